"""The name of a table in a statement."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TableName:
    """A table as written; `database` None means the session's."""

    name: str
    database: str | None = None
