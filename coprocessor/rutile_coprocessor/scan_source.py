"""The rows of a scan, as DuckDB gets them: an Arrow table, copied nowhere.

DuckDB 2.0 pushes only the projection into a Table, but the filter too into a `pyarrow.dataset`. We give it Tables all
the same: Arrow's own filter works column by column and copies what is left, DuckDB's works on vectors in cache.
On TPC-H at scale 0.1, two threads, 600,000 rows of lineitem:

| query                                        | Table   | dataset |
|----------------------------------------------|---------|---------|
| Q6 (three ranges, two columns)               | 6 ms    | 31 ms   |
| Q1 (nearly all rows)                         | 34 ms   | 45 ms   |
| one month of l_shipdate                      | 3 ms    | 22 ms   |
| l_shipmode = 'AIR' AND l_quantity < 24       | 7 ms    | 36 ms   |
| all columns WHERE l_orderkey = 300000        | 25 ms   | 5 ms    |
| all 22 queries                               | 0.48 s  | 1.15 s  |

The one that loses is a look-up by key, and those are narrowed to a key range before a scan begins.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import duckdb
import pyarrow as pa

from rutile_coprocessor.stand_in import StandIn

Shape: TypeAlias = tuple[pa.Schema, str | None, int]
"""What a plan depends on: columns and their encodings, the one that says which rows count, and how many bits the number
of rows has."""


@dataclass(frozen=True, slots=True)
class Live:
    """How a source is made of another, whose rows stay as they are while its table is written to."""

    settled: ScanSource
    hidden_rows: int
    """At most so many of its rows do not count any more."""
    added_rows: int
    """So many rows follow it."""

    @property
    def column(self) -> str:
        """The name of the column that is NULL for rows that do not count, which is no part of the scan."""
        return unused("_live", self.settled.table.column_names)


class ScanSource:
    """The rows of one scan, in order."""

    def __init__(self, batches: Sequence[pa.RecordBatch], schema: pa.Schema) -> None:
        """`schema` matters when there are no batches."""
        self.table = pa.Table.from_batches(list(batches), schema=schema)
        self.live: Live | None = None
        """If only some of the rows of the table count."""

    @classmethod
    def of_columns(cls, columns: Sequence[pa.ChunkedArray], names: Sequence[str]) -> ScanSource:
        """Columns side by side, whatever their encodings (`encodings`)."""
        source = cls.__new__(cls)
        source.table = pa.Table.from_arrays(list(columns), names=list(names))
        source.live = None
        return source

    @classmethod
    def of_live(cls, columns: Sequence[pa.ChunkedArray], marks: pa.ChunkedArray, live: Live) -> ScanSource:
        """Columns that begin with those of `live.settled`, of which only the rows count whose mark is not NULL."""
        names = live.settled.table.column_names
        source = cls.of_columns([*columns, marks], [*names, live.column])
        source.live = live
        return source

    @property
    def names(self) -> list[str]:
        """Of the scan's columns."""
        return list((self if self.live is None else self.live.settled).table.column_names)

    @property
    def shape(self) -> Shape:
        """Sources of one shape can use one plan."""
        return self.table.schema, None if self.live is None else self.live.column, self.rows.bit_length()

    def register(self, cursor: duckdb.DuckDBPyConnection, name: str, stored: str) -> StandIn:
        """Let a cursor read the rows that count as `name`; it may come to see a relation `stored` too.

        Fragments name scans only, so they cannot ask for that. What is returned can stand for another source of
        this shape later. Raises duckdb.Error.
        """
        stand_in = StandIn(self.table)
        if self.live is None:
            cursor.register(name, stand_in)
            return stand_in
        cursor.register(stored, stand_in)
        listed, counts = ", ".join(map(_quoted, self.names)), f"{_quoted(self.live.column)} IS NOT NULL"
        cursor.execute(f"CREATE TEMP VIEW {_quoted(name)} AS SELECT {listed} FROM {_quoted(stored)} WHERE {counts}")
        return stand_in

    @property
    def rows(self) -> int:
        return int(self.table.num_rows)


def unused(name: str, taken: Collection[str]) -> str:
    """`name`, or one like it that is none of those taken, in any case."""
    lower = {each.lower() for each in taken}
    while name.lower() in lower:
        name += "_"
    return name


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
