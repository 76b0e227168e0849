"""PARTITION BY as written, as data."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from rutile.catalog.partitions import PartitionKind

_MONOTONE = frozenset({"YEAR", "TO_DAYS", "TO_SECONDS", "UNIX_TIMESTAMP"})
"""Functions of a date that never fall where it grows."""


@dataclass(frozen=True, slots=True)
class Term:
    """A node: `kind` is number, text, column, call or an operator; `value` what it is or is called."""

    kind: str
    value: str | int
    parts: tuple[Term, ...] = ()

    def columns(self) -> Iterator[str]:
        """The columns named, as written."""
        if self.kind == "column":
            yield str(self.value)
        for part in self.parts:
            yield from part.columns()

    @property
    def is_column(self) -> bool:
        return self.kind == "column"

    @property
    def is_monotone(self) -> bool:
        """Whether a greater value of its one column never gives a smaller result."""
        if self.is_column:
            return True
        return self.kind == "call" and self.value in _MONOTONE and self.parts[0].is_column

    def text(self) -> str:
        """As SHOW CREATE TABLE writes it."""
        shown = [part.text() for part in self.parts]
        match self.kind:
            case "column":
                return "`" + str(self.value).replace("`", "``") + "`"
            case "text":
                return "'" + str(self.value).replace("'", "''") + "'"
            case "number":
                return str(self.value)
            case "call":
                return f"{self.value}({', '.join(shown)})"
            case "negative":
                return f"-{shown[0]}"
        spaced = f" {str(self.value).upper()} " if str(self.value).isalpha() else str(self.value)
        pairs = zip(self.parts, shown, strict=True)
        return spaced.join(f"({one})" if part.kind == "operator" else one for part, one in pairs)


@dataclass(frozen=True, slots=True)
class PartitionDefinition:
    """PARTITION `name` VALUES ...; `less_than` and `values` hold None for NULL."""

    name: str
    less_than: tuple[Term | None, ...] = ()
    is_last: bool = False
    """LESS THAN MAXVALUE."""
    values: tuple[tuple[Term | None, ...], ...] = ()
    comment: str = ""


@dataclass(frozen=True, slots=True)
class PartitionClause:
    """PARTITION BY as written."""

    kind: PartitionKind
    term: Term | None
    columns: tuple[str, ...]
    count: int | None
    definitions: tuple[PartitionDefinition, ...]
