"""Result pages: record batches cut and gathered into Arrow IPC streams of bounded size."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pyarrow as pa

PAGE_BYTES = 1024 * 1024
"""About how much one page holds; a single row may be larger."""
PAGE_ROWS = 65_536
"""Rows in a page unless the fragment asks for fewer."""


def paginate(batches: Iterable[pa.RecordBatch], page_rows: int = 0) -> Iterator[list[pa.RecordBatch]]:
    """Gathers `batches` into pages of at most `page_rows` rows (0: PAGE_ROWS) and about PAGE_BYTES bytes."""
    limit = min(page_rows or PAGE_ROWS, PAGE_ROWS)
    page: list[pa.RecordBatch] = []
    rows = size = 0
    for batch in batches:
        for piece in cut(batch, limit):
            if page and (rows + piece.num_rows > limit or size + piece.nbytes > PAGE_BYTES):
                yield page
                page, rows, size = [], 0, 0
            page.append(piece)
            rows += piece.num_rows
            size += piece.nbytes
    if page:
        yield page


def cut(batch: pa.RecordBatch, limit_rows: int) -> Iterator[pa.RecordBatch]:
    """Slices of `batch`, without copying, that each fit a page by rows and, on average, by bytes."""
    if batch.num_rows == 0:
        return
    bytes_per_row = max(1, batch.nbytes // batch.num_rows)
    step = max(1, min(limit_rows, PAGE_BYTES // bytes_per_row))
    for start in range(0, batch.num_rows, step):
        yield batch.slice(start, step)


def encode_page(schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> bytes:
    """A complete Arrow IPC stream: the schema, then the batches (an empty result is the schema alone)."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, schema) as writer:
        for batch in batches:
            writer.write_batch(batch)
    page: bytes = sink.getvalue().to_pybytes()
    return page
