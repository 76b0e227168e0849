"""Rows of a table as committed versions, made in bulk: what an import writes instead of running transactions.

Keys, rows and index entries are computed column by column (no Python step a row), put into the order of their storage
keys, and handed to `rutile_kv.client.bulk_load`. Nobody can have read the table at these timestamps: it is published
only afterwards.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rutile.rows.access import TableAccess
from rutile.rows.bulk_entries import Entries, entries_of, storage_keys
from rutile.rows.index_access import IndexAccess
from rutile_coprocessor.handles import HandleCodec
from rutile_coprocessor.row import RowCodec
from rutile_kv.client.bulk_load import CommittedRows, ascends
from rutile_proto.keys import record_key, record_keys


@dataclass(frozen=True, slots=True)
class EncodedBatch:
    """What a batch of rows becomes."""

    rows: CommittedRows
    """Rows and index entries, in key order."""
    keys: pa.Array
    """The storage key of each row, in the order of the batch."""
    distinct: list[pa.Array]
    """For each unique index, the storage keys that nothing else may have: null where a row has a NULL in it."""


class BulkEncoder:
    """Turns record batches of one table into committed versions."""

    def __init__(self, table: TableAccess, start_ts: int, commit_ts: int) -> None:
        self._table = table
        self._schema = schema = table.schema
        self._handles = HandleCodec(schema)
        self._rows = RowCodec(schema)
        self._start_ts, self._commit_ts = start_ts, commit_ts

    def encode(self, batch: pa.RecordBatch, first_row_id: int) -> EncodedBatch:
        """The rows of `batch`, which has the table's columns and types. `first_row_id` numbers rows without a key.

        Raises a ColumnValueError for a value that does not fit its column. Two rows with one key are both there.
        """
        handles = self.handles(batch, first_row_id)
        row_keys = self.row_keys(handles)
        keys, values, distinct = [row_keys], [self._rows.encode_array(batch)], []
        for index in self._table.indexes:
            entries, entry_values, unique = _entries(index, batch, handles)
            if unique is not None:
                distinct.append(unique)
            keys.append(entries)
            values.append(entry_values)
        return EncodedBatch(self._in_order(pa.concat_arrays(keys), pa.concat_arrays(values)), row_keys, distinct)

    def _in_order(self, keys: pa.Array, values: pa.Array) -> CommittedRows:
        if not ascends(keys):
            order = pc.array_sort_indices(keys)
            keys, values = keys.take(order), values.take(order)
        return CommittedRows(keys, values, self._start_ts, self._commit_ts)

    def keys(self, batch: pa.RecordBatch, first_row_id: int) -> tuple[pa.Array, list[pa.Array]]:
        """`EncodedBatch.keys` and `.distinct`, without the rows."""
        handles = self.handles(batch, first_row_id)
        found = [_entries(index, batch, handles)[2] for index in self._table.indexes if index.info.unique]
        return self.row_keys(handles), [each for each in found if each is not None]

    def handles(self, batch: pa.RecordBatch, first_row_id: int) -> pa.Array:
        """The handle of each row, as large_binary."""
        if self._schema.handle == "common":
            return self._handles.encode_array(batch)
        if self._schema.handle == "int":
            numbers = self._handles.int_handles(batch)
        else:
            numbers = np.arange(first_row_id, first_row_id + batch.num_rows, dtype=np.int64)
        matrix = np.ascontiguousarray(record_keys(0, numbers)[:, -8:])
        fixed = pa.Array.from_buffers(pa.binary(8), len(numbers), [None, pa.py_buffer(matrix)])
        return fixed.cast(pa.large_binary())

    def row_keys(self, handles: pa.Array) -> pa.Array:
        """The storage keys of rows with these handles."""
        return storage_keys(record_key(self._schema.table_id, b""), handles)


def _entries(index: IndexAccess, batch: pa.RecordBatch, handles: pa.Array) -> Entries:
    return entries_of(index, [batch.column(position) for position in index.positions], handles)
