"""What a cursor reads under a relation's name, while the rows behind it come and go.

A plan belongs to what it was made of: register another table under the same name, and DuckDB binds and plans each
statement anew. But it asks a registered object for its rows whenever a statement runs, and only then. So what is
registered stands in for tables that take turns, and a prepared statement reads the one that is there when it runs.

    cursor ──► plan ──► stand-in ──► the table of this run, none between runs

DuckDB 2.0 reads any object with `__arrow_c_stream__`, but takes it to have one row and joins accordingly; only of a
`duckdb._sources.Source` does it ask `rows()`. That class is private, so pyproject.toml names an upper bound
(`docs/decisions/plans-that-stay.md`).
"""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
from duckdb._sources import ArrowScanSource


class StandIn(ArrowScanSource):  # type: ignore[misc]  # DuckDB's sources are not typed
    """Registered with one cursor, which only one run uses at a time."""

    schema_is_stable = True

    def __init__(self, table: pa.Table) -> None:
        super().__init__(table)
        self._nothing = table.schema.empty_table()

    def stand_for(self, table: pa.Table) -> None:
        """Be read as `table`, whose schema is that of the first one."""
        self.obj = table

    def leave(self) -> None:
        """Keep no rows."""
        self.obj = self._nothing

    def rows(self) -> int:
        """How many there are now: DuckDB asks when it plans."""
        return int(self.obj.num_rows)

    def __arrow_c_schema__(self) -> object:
        return self._nothing.schema.__arrow_c_schema__()

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """All columns; only objects that have this can be registered."""
        return self.obj.__arrow_c_stream__(requested_schema)

    def stream(self, columns: Sequence[int] | None, filters: Sequence[object]) -> tuple[object, bool]:
        """The rows of the run that begins, as a capsule, and whether they have only the columns with those numbers."""
        if columns is None:
            return self.obj.__arrow_c_stream__(), False
        return self.obj.select(list(columns)).__arrow_c_stream__(), True
