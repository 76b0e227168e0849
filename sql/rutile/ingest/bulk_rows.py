"""Rows of a table as committed MVCC versions, made in bulk: what an import writes instead of running transactions.

For each row, and each of its index entries, one entry of the `write` family, `storage key | NOT commit_ts ->
'P' start_ts 'v' value`; a value over 255 bytes goes to `default` under `storage key | NOT start_ts`, as a transaction
would have left it (see rutile_kv.mvcc.records). Nobody can have read the table at these timestamps: it is published
only afterwards.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import pyarrow as pa

from rutile.rows.access import TableAccess
from rutile_coprocessor.handles import HandleCodec
from rutile_coprocessor.row import RowCodec
from rutile_kv.mvcc.records import SHORT_VALUE_LIMIT_BYTES, Write, WriteKind
from rutile_proto.codec import encode_bytes_fixed, encode_uint64_desc
from rutile_proto.keys import record_key, record_keys, storage_key, user_key

DEFAULT_FAMILY = 0
WRITE_FAMILY = 2
"""`rutilepb.WriteOps.kinds`: the family's index, shifted by one; the low bit would mean delete."""


BulkEntries: TypeAlias = tuple[bytes, list[bytes], list[bytes], list[bytes]]
"""(kinds, storage keys to route by, engine keys, values), parallel."""


@dataclass(frozen=True, slots=True)
class EncodedRows:
    """Rows and index entries in storage-key order; value i lies at `storage_keys[i]`. In a table without duplicates
    each key is there once."""

    storage_keys: list[bytes]
    values: list[bytes]


class BulkEncoder:
    """Turns record batches of one table into engine entries."""

    def __init__(self, table: TableAccess, start_ts: int, commit_ts: int) -> None:
        self._table = table
        self._schema = schema = table.schema
        self._handles = HandleCodec(schema)
        self._rows = RowCodec(schema)
        self._start_suffix = encode_uint64_desc(start_ts)
        self._commit_suffix = encode_uint64_desc(commit_ts)
        inline = Write(WriteKind.PUT, start_ts=start_ts, short_value=b"").to_bytes()
        self._inline_head = inline[:-1]  # without the length byte of the empty value
        self._outside = Write(WriteKind.PUT, start_ts=start_ts).to_bytes()

    def encode(self, batch: pa.RecordBatch, first_row_id: int) -> EncodedRows:
        """The rows of `batch`, which has the table's columns and types. `first_row_id` numbers rows without a key.

        Raises a ColumnValueError for a value that does not fit its column.
        """
        keys = self._storage_keys(batch, first_row_id)
        values = self._rows.encode_batch(batch)
        if self._table.indexes:
            for key, value in self._index_entries(batch, keys):
                keys.append(key)
                values.append(value)
        order = sorted(range(len(keys)), key=keys.__getitem__)
        return EncodedRows([keys[i] for i in order], [values[i] for i in order])

    def _index_entries(self, batch: pa.RecordBatch, row_keys: Sequence[bytes]) -> list[tuple[bytes, bytes]]:
        """(storage key, value) of every index entry of the rows."""
        rows = list(zip(*(column.to_pylist() for column in batch.columns), strict=True))
        handles = [self._table.handle_of(user_key(key)) for key in row_keys]
        made = [
            index.entry(row, handle) for index in self._table.indexes for row, handle in zip(rows, handles, strict=True)
        ]
        return [(storage_key(entry.key), entry.value) for entry in made]

    def entries(self, encoded: EncodedRows) -> BulkEntries:
        """(kinds, storage keys to route by, engine keys, values), parallel, as `WriteOps` wants them."""
        kinds, routes, keys, values = bytearray(), [], [], []
        head, commit = self._inline_head, self._commit_suffix
        for key, row in zip(encoded.storage_keys, encoded.values, strict=True):
            if len(row) > SHORT_VALUE_LIMIT_BYTES:
                kinds.append(DEFAULT_FAMILY << 1)
                routes.append(key)
                keys.append(key + self._start_suffix)
                values.append(row)
                value = self._outside
            else:
                value = head + _LENGTHS[len(row)] + row
            kinds.append(WRITE_FAMILY << 1)
            routes.append(key)
            keys.append(key + commit)
            values.append(value)
        return bytes(kinds), routes, keys, values

    def _storage_keys(self, batch: pa.RecordBatch, first_row_id: int) -> list[bytes]:
        table_id = self._schema.table_id
        if self._schema.handle == "common":
            prefix = record_key(table_id, b"")
            return [storage_key(prefix + handle) for handle in self._handles.encode_batch(batch)]
        if self._schema.handle == "int":
            handles = self._handles.int_handles(batch)
        else:
            handles = np.arange(first_row_id, first_row_id + batch.num_rows, dtype=np.int64)
        matrix = encode_bytes_fixed(record_keys(table_id, handles))
        joined, width = matrix.tobytes(), matrix.shape[1]
        return [joined[i : i + width] for i in range(0, len(joined), width)]


_LENGTHS = [bytes([length]) for length in range(SHORT_VALUE_LIMIT_BYTES + 1)]
