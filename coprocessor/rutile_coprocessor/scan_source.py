"""Gives DuckDB the rows of a scan: a pyarrow dataset, so that projection and filter are pushed into it.

DuckDB 2.0 pushes filters into datasets but not into Tables. It asks the dataset for a scanner with the columns and the
predicate it wants, and trusts the scanner to apply the predicate exactly, which Arrow's own scanner does.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds


class ScanSource(ds.InMemoryDataset):  # type: ignore[misc]
    """The batches of one scan. Counts what goes in and out of it, for EXPLAIN ANALYZE."""

    def __init__(self, batches: Sequence[pa.RecordBatch], schema: pa.Schema) -> None:
        super().__init__(list(batches), schema=schema)
        self.rows_held = sum(batch.num_rows for batch in batches)
        self.rows_read = 0
        """Rows looked at; a scan that runs twice in one query counts twice."""
        self.rows_out = 0
        """Rows that passed the pushed filter."""
        self.filter_text = ""
        """The last filter that was pushed down."""

    def scanner(self, **options: Any) -> _CountingScanner:
        predicate = options.get("filter")
        self.filter_text = "" if predicate is None else str(predicate)
        self.rows_read += self.rows_held
        return _CountingScanner(self, super().scanner(**options))


class _CountingScanner:
    """The part of pyarrow's Scanner that DuckDB uses."""

    def __init__(self, source: ScanSource, scanner: ds.Scanner) -> None:
        self._source = source
        self._scanner = scanner
        self.projected_schema = scanner.projected_schema

    def to_reader(self) -> pa.RecordBatchReader:
        return pa.RecordBatchReader.from_batches(self.projected_schema, self._counted())

    def _counted(self) -> Iterator[pa.RecordBatch]:
        for batch in self._scanner.to_reader():
            self._source.rows_out += batch.num_rows
            yield batch
