"""Inputs: relations that travel with a fragment, such as the small side of a join.

They come through a port anybody may speak to. Before DuckDB sees a row of one, it is known that the stream is an Arrow
one of flat types, whose arrays hold together (offsets within their buffers, text that is UTF-8), of no more rows and
bytes than the bounds below. A compressed stream is refused before anything is made of it: its size would be a number in
its text. The bytes of an input are those of its rows, so a request that fits in memory has inputs that do.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa

from rutile_proto.errors import InvalidRequest

MAX_INPUTS = 64
MAX_INPUT_BYTES = 64 << 20
"""Of all inputs of a fragment together."""
MAX_INPUT_ROWS = 16 << 20
"""Of one input: booleans would hold eight in a byte."""
MAX_INPUT_COLUMNS = 4_096

_FLAT = (
    pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal, pa.types.is_boolean, pa.types.is_date,
    pa.types.is_timestamp, pa.types.is_time, pa.types.is_duration, pa.types.is_string, pa.types.is_binary,
    pa.types.is_large_string, pa.types.is_large_binary,
)  # fmt: skip
_HEADER, _COMPRESSION = 2, 3
"""The places of these fields in Arrow's flatbuffer tables Message and RecordBatch (format/Message.fbs)."""


@dataclass(frozen=True)
class Input:
    """A relation under the name a fragment's SQL uses."""

    name: str
    data: bytes
    """An Arrow IPC stream, not compressed."""

    @staticmethod
    def of(name: str, table: pa.Table) -> Input:
        """The input that holds a table's rows."""
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table)
        return Input(name, sink.getvalue().to_pybytes())

    def table(self) -> pa.Table:
        """The rows, checked. Raises InvalidRequest."""
        try:
            _check_uncompressed(self.data)
            with pa.ipc.open_stream(self.data) as reader:
                schema = _checked_schema(self.name, reader.schema)
                return pa.Table.from_batches(list(_checked_batches(self.name, reader)), schema=schema)
        except (pa.ArrowException, OSError, ValueError, struct.error) as error:
            raise InvalidRequest(f"input {self.name} is not a sound Arrow stream: {error}") from error


def check_inputs(inputs: Sequence[Input], taken: Sequence[str]) -> None:
    """What can be said of inputs without reading them. Raises InvalidRequest."""
    names = [each.name.lower() for each in inputs] + [name.lower() for name in taken]
    size = sum(len(each.data) for each in inputs)
    if len(inputs) > MAX_INPUTS:
        raise InvalidRequest(f"{len(inputs)} inputs in one fragment; the limit is {MAX_INPUTS}")
    if inputs and len(set(names)) < len(names):
        raise InvalidRequest(f"the scans and inputs of a fragment need names of their own: {', '.join(names)[:200]}")
    if size > MAX_INPUT_BYTES:
        raise InvalidRequest(f"the inputs of a fragment take {size} bytes; the limit is {MAX_INPUT_BYTES}")


def _checked_schema(name: str, schema: pa.Schema) -> pa.Schema:
    if not 0 < len(schema) <= MAX_INPUT_COLUMNS:
        raise InvalidRequest(f"input {name} has {len(schema)} columns; it may have 1 to {MAX_INPUT_COLUMNS}")
    for field in schema:
        if not any(is_kind(field.type) for is_kind in _FLAT):
            raise InvalidRequest(
                f"column {field.name} of input {name} is a {field.type}: inputs have flat columns only"
            )
    return schema


def _checked_batches(name: str, reader: pa.RecordBatchReader) -> Iterator[pa.RecordBatch]:
    rows = 0
    for batch in reader:
        rows += batch.num_rows
        if rows > MAX_INPUT_ROWS:
            raise InvalidRequest(f"input {name} has more than {MAX_INPUT_ROWS} rows")
        batch.validate(full=True)
        yield batch


def _check_uncompressed(data: bytes) -> None:
    """Raises InvalidRequest for a batch that says it is compressed, struct.error for one that is cut off."""
    for message in pa.ipc.MessageReader.open_stream(data):
        if message.type == "record batch" and _is_compressed(message.metadata.to_pybytes()):
            raise InvalidRequest("inputs of fragments are not compressed")


def _is_compressed(metadata: bytes) -> bool:
    """Whether the flatbuffer of a batch's message has the field `compression`."""
    message = struct.unpack_from("<I", metadata, 0)[0]
    place = _field(metadata, message, _HEADER)
    if place is None:
        raise ValueError("a batch without a header")
    return _field(metadata, place + struct.unpack_from("<I", metadata, place)[0], _COMPRESSION) is not None


def _field(buffer: bytes, table: int, number: int) -> int | None:
    """The place of a field of a flatbuffer table; None if it is not there."""
    layout = table - struct.unpack_from("<i", buffer, table)[0]
    if layout < 0:
        raise ValueError("a table without a layout")
    size = struct.unpack_from("<H", buffer, layout)[0]
    if 4 + 2 * number >= size:
        return None
    offset = struct.unpack_from("<H", buffer, layout + 4 + 2 * number)[0]
    return table + offset if offset else None
