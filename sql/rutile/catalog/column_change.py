"""A column on its way to another type, as the catalogue keeps it while it lasts.

The table's schema has the new column among `dropped`: rows hold it, nobody sees it. The indexes it will be in are among
the table's, not public; each stands in for an old one.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from rutile_coprocessor.schema import Column, column_from_json, column_to_json


class ChangeState(StrEnum):
    """How far it is; front ends may be one state apart, never two."""

    DELETE_ONLY = "delete only"
    """Rows that hold the new column can be read; none are written."""
    WRITE_ONLY = "write only"
    """Whoever writes a row writes both."""
    WRITE_REORGANIZATION = "write reorganization"
    """The same, and older rows are rewritten."""
    DELETE_REORGANIZATION = "delete reorganization"
    """All rows hold both; nobody reads the old indexes any more, everybody writes them still."""
    OLD_DELETE_ONLY = "old delete only"
    """The same, but nobody adds entries to the old indexes, or minds those there are; they go with their rows."""

    @property
    def writes(self) -> bool:
        """Whether rows are written with the new column."""
        return self is not ChangeState.DELETE_ONLY


@dataclass(frozen=True, slots=True)
class ColumnChange:
    """What becomes of which column."""

    column: Column
    """As it will be."""
    source_id: int
    state: ChangeState
    indexes: tuple[tuple[int, int], ...] = ()
    """(old index, new index), by id."""
    zone: str = "UTC"
    """Of the session that asked: in which TIMESTAMPs are converted."""
    strict: bool = True
    """Whether values that do not fit are refused; else they are made to fit."""
    place: tuple[bool, str | None] = (False, None)
    """(FIRST, AFTER) as written."""

    @property
    def hidden_name(self) -> str:
        """What the column is called while nobody sees it."""
        return f"_rutile_changing_{self.source_id}"

    def to_json(self) -> dict[str, Any]:
        """For the catalogue's JSON."""
        return {
            "column": column_to_json(self.column), "source_id": self.source_id, "state": self.state.value,
            "indexes": self.indexes, "zone": self.zone, "strict": self.strict, "place": self.place,
        }  # fmt: skip

    @staticmethod
    def from_json(body: dict[str, Any]) -> ColumnChange:
        """What `to_json` made."""
        first, after = body["place"]
        return ColumnChange(
            column_from_json(body["column"]), body["source_id"], ChangeState(body["state"]),
            tuple((old, new) for old, new in body["indexes"]), body["zone"], body["strict"], (first, after),
        )  # fmt: skip
