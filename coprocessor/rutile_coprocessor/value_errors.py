"""Values a column cannot hold. Each names the column, so that SQL can report MySQL's error for it.

ColumnValueError (an InvalidRequest)
├── ValueOutOfRange     MySQL 1264
├── ValueTooLong        MySQL 1406
├── WrongValueType      MySQL 1366
└── NullNotAllowed      MySQL 1048
"""

from __future__ import annotations

from dataclasses import dataclass

from rutile_proto.errors import InvalidRequest


@dataclass(eq=False)
class ColumnValueError(InvalidRequest):
    column: str
    detail: str = ""

    def __str__(self) -> str:
        return f"column {self.column}: {self.detail}"


class ValueOutOfRange(ColumnValueError):
    """A number or time beyond what the type holds, or with more digits than it keeps."""


class ValueTooLong(ColumnValueError):
    """Text or bytes longer than the declared length."""


class WrongValueType(ColumnValueError):
    """A value of another type."""


class NullNotAllowed(ColumnValueError):
    """NULL for a NOT NULL column."""
