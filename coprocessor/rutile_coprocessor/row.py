"""The row codec: a table's rows to and from the values of the key-value store.

`RowCodec` has two halves that agree byte for byte (a Hypothesis test holds them to it): `encode_row`/`decode_row` take
microseconds for one row, without Arrow, for point statements; `encode_batch`/`decode_batch` take well under a
microsecond a row for many. A value holds all columns of its row, those of the primary key too.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa

from rutile_coprocessor.row_arrow import Int64Array, RowBlock, encode_rows
from rutile_coprocessor.row_bytes import RowBytes, buffers_of, gather
from rutile_coprocessor.row_layout import HEADER, ROW_FORMAT, RowLayout, struct_code
from rutile_coprocessor.row_values import Converter, storage_reader, storage_writer
from rutile_coprocessor.schema import HIDDEN_HANDLE, Column, Scalar, TableSchema
from rutile_coprocessor.value_errors import NullNotAllowed
from rutile_proto.errors import EngineCorrupt, InvalidRequest

CHUNK_ROWS = 16_384
"""Rows handled at once: their bytes then stay in the processor's cache, which is several times faster."""


class RowCodec:
    """Encodes in the schema's current layout; decodes any layout up to it."""

    def __init__(self, schema: TableSchema) -> None:
        self.schema = schema
        self._layouts: dict[int, RowLayout] = {}
        self._readers: dict[int, _RowReader] = {}

    def _layout(self, version: int) -> RowLayout:
        if version not in self._layouts:
            self._layouts[version] = RowLayout(version, self.schema.layout(version))
        return self._layouts[version]

    # --- one row ---

    @cached_property
    def _writer(self) -> _RowWriter:
        return _RowWriter(self.schema, self._layout(self.schema.layout_version))

    def encode_row(self, values: Sequence[Scalar]) -> bytes:
        """The bytes of one row; `values` in the order of the schema's columns. Raises a ColumnValueError."""
        return self._writer.encode(values)

    def decode_row(self, data: bytes) -> tuple[Scalar, ...]:
        """The values of one row, in the order of the schema's columns. Raises EngineCorrupt."""
        if len(data) < HEADER.size or data[0] != ROW_FORMAT:
            raise EngineCorrupt(f"a row that begins with {data[:4].hex()!r} has no known format")
        version = data[1] | data[2] << 8
        reader = self._readers.get(version)
        if reader is None:
            reader = self._readers[version] = _RowReader(self.schema, self._layout(version))
        return reader.decode(data)

    # --- many rows ---

    def encode_batch(self, batch: pa.RecordBatch) -> list[bytes]:
        """`encode_array` as a list."""
        return self.encode_array(batch).to_pylist()  # type: ignore[no-any-return]

    def encode_array(self, batch: pa.RecordBatch) -> pa.Array:
        """The bytes of each row, as large_binary. The batch has every column of the schema, by name; Arrow types of the
        same family are converted if no value changes. Raises a ColumnValueError, or InvalidRequest if a column is
        missing."""
        layout = self._layout(self.schema.layout_version)
        positions = {name.lower(): place for place, name in enumerate(batch.schema.names)}
        missing = [column.name for column in layout.columns if column.name.lower() not in positions]
        if missing:
            raise InvalidRequest(f"table {self.schema.name}: the batch lacks columns {', '.join(missing)}")
        arrays = [batch.column(positions[column.name.lower()]) for column in layout.columns]
        chunks = [
            encode_rows(layout, [array.slice(start, CHUNK_ROWS) for array in arrays])
            for start in range(0, batch.num_rows, CHUNK_ROWS)
        ]
        return pa.concat_arrays(chunks) if chunks else pa.array([], pa.large_binary())

    def decode_batch(
        self, values: list[bytes], handles: Int64Array | None = None, columns: Sequence[str] | None = None
    ) -> pa.RecordBatch:
        """Rows as one batch of the named columns (all if None), in the order named. `handles` are needed only when
        HIDDEN_HANDLE is among them. Raises EngineCorrupt, or InvalidRequest for an unknown column."""
        return self._decode(buffers_of(values, CHUNK_ROWS), handles, columns)

    def decode_bytes(
        self, rows: Iterable[RowBytes], handles: Int64Array | None = None, columns: Sequence[str] | None = None
    ) -> pa.RecordBatch:
        """`decode_batch` for rows that were read in bulk."""
        return self._decode((chunk for part in rows for chunk in part.chunks(CHUNK_ROWS)), handles, columns)

    def _decode(
        self, parts: Iterable[RowBytes], handles: Int64Array | None, columns: Sequence[str] | None
    ) -> pa.RecordBatch:
        wanted = self.schema.arrow_schema(columns)
        if HIDDEN_HANDLE in wanted.names and handles is None:
            raise InvalidRequest(f"{HIDDEN_HANDLE} was asked for, but no handles were given")
        batches, end = [], 0
        for part in parts:
            start, end = end, end + len(part)
            arrays = self._decode_chunk(part, wanted, None if handles is None else handles[start:end])
            batches.append(pa.RecordBatch.from_arrays(arrays, schema=wanted))
        if not batches:
            return pa.RecordBatch.from_pylist([], schema=wanted)
        return batches[0] if len(batches) == 1 else pa.concat_batches(batches)

    def _decode_chunk(self, rows: RowBytes, wanted: pa.Schema, handles: Int64Array | None) -> list[pa.Array]:
        if int(rows.lengths.min()) < HEADER.size:
            raise EngineCorrupt("a row is shorter than its header")
        headers = gather(rows.buffer, rows.starts, np.dtype([("format", "u1"), ("version", "<u2")]))
        if not (headers["format"] == ROW_FORMAT).all():
            raise EngineCorrupt("a row has no known format")
        groups = _group_by_version(headers["version"])
        blocks = [
            self._block_columns(
                RowBlock(self._layout(version), rows.buffer, rows.starts[places], rows.lengths[places]), version, wanted
            )
            for version, places in groups
        ]
        arrays = blocks[0] if len(blocks) == 1 else _restore_order(blocks, [places for _, places in groups])
        return [pa.array(handles) if array is None else array for array in arrays]

    def _block_columns(self, block: RowBlock, version: int, wanted: pa.Schema) -> list[pa.Array | None]:
        """The wanted columns of one block; None stands for the hidden handle, which is not in the rows."""
        arrays: list[pa.Array | None] = []
        for name in wanted.names:
            if name == HIDDEN_HANDLE:
                arrays.append(None)
                continue
            column = self.schema.column(name)
            arrays.append(block.column(column) if column.in_layout(version) else _defaults(column, len(block)))
        return arrays


def _defaults(column: Column, count: int) -> pa.Array:
    return pa.repeat(pa.scalar(column.absent_value, column.type.arrow_type), count)


def _group_by_version(versions: Any) -> list[tuple[int, Any]]:
    """(layout version, its rows) for each version there is; one slice if all are alike, as they nearly always are."""
    first = int(versions[0])
    if (versions == first).all():
        return [(first, slice(None))]
    return [(int(version), np.flatnonzero(versions == version)) for version in np.unique(versions)]


def _restore_order(blocks: list[list[pa.Array | None]], rows: list[Int64Array]) -> list[pa.Array | None]:
    order = pa.array(np.argsort(np.concatenate(rows)))
    columns = zip(*blocks, strict=True)
    return [None if parts[0] is None else pa.concat_arrays(parts).take(order) for parts in columns]


class _RowWriter:
    """One row into bytes, without Arrow."""

    def __init__(self, schema: TableSchema, layout: RowLayout) -> None:
        places = {column.id: place for place, column in enumerate(schema.columns)}

        def plan(column: Column) -> tuple[int, int, Converter, Any]:
            slot = layout.slots[column.id]
            zero = bytes(16) if not column.type.is_variable and struct_code(column.type) == "16s" else 0
            return places[column.id], 1 << slot.index, storage_writer(column), zero

        self._layout = layout
        self._columns = schema.columns
        self._fixed = [plan(column) for column in layout.fixed]
        self._variable = [plan(column) for column in layout.variable]
        self._required = sum(1 << layout.slots[column.id].index for column in layout.columns if not column.nullable)

    def encode(self, values: Sequence[Scalar]) -> bytes:
        if len(values) != len(self._columns):
            raise InvalidRequest(f"a row of {len(values)} values for {len(self._columns)} columns")
        nulls, end = 0, 0
        fields: list[Any] = []
        texts: list[bytes] = []
        for place, bit, convert, zero in self._fixed:
            value = values[place]
            if value is None:
                nulls |= bit
            fields.append(zero if value is None else convert(value))
        for place, bit, convert, _ in self._variable:
            value = values[place]
            if value is None:
                nulls |= bit
            else:
                texts.append(convert(value))
                end += len(texts[-1])
            fields.append(end)
        if nulls & self._required:
            raise self._null_error(nulls & self._required)
        layout = self._layout
        bitmap = nulls.to_bytes(layout.null_bytes, "little")
        return layout.struct.pack(ROW_FORMAT, layout.version, bitmap, *fields) + b"".join(texts)

    def _null_error(self, missing: int) -> NullNotAllowed:
        slots = self._layout.slots.values()
        column = next(slot.column for slot in slots if missing >> slot.index & 1)
        return NullNotAllowed(column.name, "NULL in a NOT NULL column")


class _RowReader:
    """Bytes of one layout into a row of the current schema, without Arrow."""

    def __init__(self, schema: TableSchema, layout: RowLayout) -> None:
        self._layout = layout
        self._first_end = 3 + len(layout.fixed)
        self._plan = [self._column_plan(column) for column in schema.columns]

    def _column_plan(self, column: Column) -> tuple[int, int, Converter | None, Scalar]:
        """(null bit, field in the unpacked prefix, converter, default). Variable fields are numbered from -1 down;
        a column that the layout lacks has a null bit of -1, which every row has."""
        slot = self._layout.slots.get(column.id)
        if slot is None:
            return -1, 0, None, column.absent_value
        field = -1 - slot.order if column.type.is_variable else 3 + slot.order
        return 1 << slot.index, field, storage_reader(column.type), None

    def decode(self, data: bytes) -> tuple[Scalar, ...]:
        size = self._layout.prefix_size
        if len(data) < size:
            raise EngineCorrupt(f"a row of {len(data)} bytes is shorter than its layout {self._layout.version}")
        fields = self._layout.struct.unpack_from(data)
        ends = (size, *(size + end for end in fields[self._first_end :]))
        if ends[-1] != len(data):
            raise EngineCorrupt("a row's length does not match its last end offset")
        nulls = int.from_bytes(fields[2], "little") | 1 << self._layout.null_bytes * 8
        row: list[Any] = []
        for bit, field, convert, default in self._plan:
            if nulls & bit:
                row.append(default)
                continue
            value = fields[field] if field >= 0 else data[ends[-1 - field] : ends[-field]]
            row.append(value if convert is None else convert(value))
        return tuple(row)
