"""How large tables are, by what ANALYZE last found: nothing is counted when asked."""

from __future__ import annotations

from dataclasses import dataclass

from rutile.statistics.known import KnownStatistics


@dataclass(frozen=True, slots=True)
class TableSize:
    """NULLs for a table that was never analyzed."""

    rows: int | None = None
    row_bytes: int | None = None
    """Of a row's values on average."""

    @property
    def data_bytes(self) -> int | None:
        return None if self.rows is None or self.row_bytes is None else self.rows * self.row_bytes


def size_of(statistics: KnownStatistics, table_id: int) -> TableSize:
    """What is known of a table."""
    found = statistics.of(table_id)
    if found is None:
        return TableSize()
    return TableSize(found.rows, round(sum(column.width for column in found.columns.values())))
