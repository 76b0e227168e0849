"""A base as a file: Arrow IPC, uncompressed, the keys, then a field per column id, a batch per chunk."""

from __future__ import annotations

import os
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa

from rutile_kv.columnar.base import TableBase
from rutile_kv.columnar.sorted_keys import SortedKeys

KEYS_FIELD = "keys"
_CHECK_BYTES = 1 << 20


def write_base(path: Path, base: TableBase) -> None:
    """The base as one synced Arrow IPC file: a batch for each chunk."""
    length = _key_length(base)
    fields = [pa.field(KEYS_FIELD, pa.binary(length))]
    fields += [pa.field(str(each), chunks[0].type) for each, chunks in base.columns.items()]
    schema = pa.schema(fields)
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, schema) as writer:
        for number, keys in enumerate(base.keys):
            arrays = [_key_array(keys, length), *(chunks[number] for chunks in base.columns.values())]
            writer.write_batch(pa.RecordBatch.from_arrays(arrays, schema=schema))
    with path.open("rb") as file:
        os.fsync(file.fileno())


def read_chunks(path: Path) -> tuple[tuple[SortedKeys, ...], Mapping[int, tuple[pa.Array, ...]]]:
    """Keys and columns by id, mapped: nothing is read until it is looked at."""
    reader = pa.ipc.open_file(pa.memory_map(str(path)))
    batches = [reader.get_batch(number) for number in range(reader.num_record_batches)]
    keys = tuple(_key_chunk(batch.column(0)) for batch in batches)
    names = reader.schema.names[1:]
    columns = {int(name): tuple(batch.column(at) for batch in batches) for at, name in enumerate(names, 1)}
    return keys, columns


def _key_length(base: TableBase) -> int:
    """The length all keys have; -1, Arrow's word for any, if they differ."""
    lengths = {keys.shape[1] if isinstance(keys, np.ndarray) else -1 for keys in base.keys}
    return lengths.pop() if len(lengths) == 1 else -1


def _key_array(keys: SortedKeys, length: int) -> pa.Array:
    if isinstance(keys, np.ndarray) and length >= 0:
        flat = np.ascontiguousarray(keys)
        return pa.Array.from_buffers(pa.binary(length), len(keys), [None, pa.py_buffer(flat)])
    return pa.array([bytes(key) for key in keys], pa.binary(length))


def _key_chunk(array: pa.Array) -> SortedKeys:
    if not pa.types.is_fixed_size_binary(array.type):
        keys: list[bytes] = array.to_pylist()
        return keys
    width = array.type.byte_width
    matrix = np.frombuffer(array.buffers()[1], dtype=np.uint8, count=len(array) * width, offset=array.offset * width)
    return matrix.reshape(len(array), width)


def measure(path: Path) -> tuple[int, int]:
    """A file's size and checksum."""
    size_bytes = checksum = 0
    with path.open("rb") as file:
        while piece := file.read(_CHECK_BYTES):
            size_bytes += len(piece)
            checksum = zlib.crc32(piece, checksum)
    return size_bytes, checksum
