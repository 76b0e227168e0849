"""Secondary indexes as the catalogue knows them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class IndexState(StrEnum):
    """How far an index is on its way in (F1's states, in this order) or out (in reverse).

    Two front ends may be one state apart, never two: every state is right beside its neighbours.
    """

    DELETE_ONLY = "delete only"
    """Entries of rows that go are removed; none are made."""
    WRITE_ONLY = "write only"
    """Every change of a row is followed; nobody reads."""
    WRITE_REORGANIZATION = "write reorganization"
    """The same, and the entries of older rows are being made."""
    PUBLIC = "public"


@dataclass(frozen=True, slots=True)
class IndexColumn:
    """A column of an index; `length` is how many characters (bytes) of it, None for all."""

    column_id: int
    length: int | None = None


@dataclass(frozen=True, slots=True)
class IndexInfo:
    """A secondary index of a table."""

    id: int
    name: str
    columns: tuple[IndexColumn, ...]
    unique: bool = False
    state: IndexState = IndexState.PUBLIC
    comment: str = ""
    readable_from: int = 0
    """The first timestamp at which it has an entry for every row; older readers go without it."""

    @property
    def column_ids(self) -> tuple[int, ...]:
        return tuple(column.column_id for column in self.columns)

    @property
    def is_public(self) -> bool:
        return self.state is IndexState.PUBLIC

    def to_json(self) -> dict[str, Any]:
        """For the catalogue's JSON."""
        columns = [[column.column_id, column.length] for column in self.columns]
        return {
            "id": self.id, "name": self.name, "columns": columns, "unique": self.unique, "state": self.state.value,
            "comment": self.comment, "readable_from": self.readable_from,
        }  # fmt: skip

    @staticmethod
    def from_json(body: dict[str, Any]) -> IndexInfo:
        """What `to_json` made."""
        columns = tuple(IndexColumn(column_id, length) for column_id, length in body["columns"])
        state, readable_from = IndexState(body["state"]), body.get("readable_from", 0)
        return IndexInfo(body["id"], body["name"], columns, body["unique"], state, body["comment"], readable_from)
