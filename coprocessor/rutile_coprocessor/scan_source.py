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

from collections.abc import Sequence

import pyarrow as pa


class ScanSource:
    """The rows of one scan, in order."""

    def __init__(self, batches: Sequence[pa.RecordBatch], schema: pa.Schema) -> None:
        """`schema` matters when there are no batches."""
        self.table = pa.Table.from_batches(list(batches), schema=schema)

    @classmethod
    def of_columns(cls, columns: Sequence[pa.ChunkedArray], names: Sequence[str]) -> ScanSource:
        """Columns side by side, whatever their encodings (`encodings`)."""
        source = cls.__new__(cls)
        source.table = pa.Table.from_arrays(list(columns), names=list(names))
        return source

    @property
    def rows(self) -> int:
        return int(self.table.num_rows)
