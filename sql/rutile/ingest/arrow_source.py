"""Arrow batches that are already on their way, as something to import. They cannot be read twice."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa

from rutile.ingest.arrow_rows import plain
from rutile.ingest.import_source import BATCH_ROWS, Source


class ArrowSource(Source):
    """Batches of one schema."""

    def __init__(self, name: str, schema: pa.Schema, incoming: Iterator[pa.RecordBatch]) -> None:
        super().__init__(name, schema, described=name)
        self._incoming = incoming

    def batches(self) -> Iterator[pa.RecordBatch]:
        for batch in self._incoming:
            for at in range(0, batch.num_rows, BATCH_ROWS):
                yield plain(pa.Table.from_batches([batch.slice(at, BATCH_ROWS)])).combine_chunks().to_batches()[0]
