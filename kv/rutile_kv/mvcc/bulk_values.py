"""The values of the records a bulk read has chosen: most stand in their records and are found there all at once."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rutile_coprocessor.row_bytes import CHUNK_BYTES, RowBytes, buffers_of, gather
from rutile_kv.engine.api import CF_DEFAULT, Reader
from rutile_kv.mvcc.reader import MvccReader
from rutile_kv.mvcc.records import Write
from rutile_proto.codec import ByteMatrix
from rutile_proto.keys import TS_LENGTH, versioned_key

_TSO_VARINT_BYTES = 9
"""The length of a start_ts of this century: records with one have their short value at a known place."""
_VALUE_AT = 1 + _TSO_VARINT_BYTES + 2
_TAG_VALUE = ord("v")
_PULL_SHARE = 4
"""When one value in this many is long, the long values of a block are pulled as a range instead of got one by one."""
_ABOVE_VERSIONS = b"\xff" * (TS_LENGTH + 1)


@dataclass(frozen=True, slots=True)
class Chosen:
    """The PUT records a reader sees in one block: their storage keys and contents."""

    keys: ByteMatrix | list[bytes]
    records: RowBytes
    newest_ts: int
    """The largest commit timestamp in the block."""

    def __len__(self) -> int:
        return len(self.records)

    def key_at(self, position: int) -> bytes:
        key = self.keys[position]
        return key if isinstance(key, bytes) else key.tobytes()

    def cut(self, count: int) -> "Chosen":
        return Chosen(self.keys[:count], self.records.part(0, count), self.newest_ts)


def values_of(reader: Reader, chosen: Chosen) -> tuple[RowBytes, ...]:
    """The values of PUT records: those of the shape that nearly all have are found all at once, the others one by one
    and put behind the records."""
    records = chosen.records
    starts, lengths = records.starts + _VALUE_AT, records.lengths - _VALUE_AT
    odd = np.flatnonzero(~_are_short(records))
    if not len(odd):
        return (RowBytes(records.buffer, starts, lengths),)
    found = _odd_values(reader, chosen, odd.tolist())
    if sum(map(len, found)) > CHUNK_BYTES:
        values = RowBytes(records.buffer, starts, lengths).to_list()
        for position, value in zip(odd.tolist(), found, strict=True):
            values[position] = value
        return tuple(buffers_of(values, len(values)))
    behind = RowBytes.of(found)
    starts[odd], lengths[odd] = behind.starts + len(records.buffer), behind.lengths
    return (RowBytes(records.buffer + behind.buffer, starts, lengths),)


def _are_short(records: RowBytes) -> npt.NDArray[np.bool_]:
    """Whether each record is kind, a start_ts of nine bytes, and a short value to its end."""
    heads = gather(records.buffer, records.starts, np.dtype(("u1", (_VALUE_AT,))))
    value_lengths = records.lengths - _VALUE_AT
    short: npt.NDArray[np.bool_] = (value_lengths >= 0) & (heads[:, -2] == _TAG_VALUE) & (heads[:, -1] == value_lengths)
    return short & (heads[:, 1:_TSO_VARINT_BYTES] >= 0x80).all(axis=1) & (heads[:, _TSO_VARINT_BYTES] < 0x80)


def _odd_values(reader: Reader, chosen: Chosen, places: list[int]) -> list[bytes]:
    """The values of the records at `places`; long ones are pulled as one range if they are many."""
    writes = [Write.from_bytes(chosen.records[place]) for place in places]
    wanted = [
        (chosen.key_at(place), write.start_ts)
        for place, write in zip(places, writes, strict=True)
        if write.short_value is None
    ]
    stored: dict[bytes, bytes] = {}
    if wanted and len(wanted) * _PULL_SHARE >= len(chosen):
        stored.update(reader.scan(CF_DEFAULT, wanted[0][0], wanted[-1][0] + _ABOVE_VERSIONS))
    long_values = _long_values(reader, wanted, stored)
    return [next(long_values) if write.short_value is None else write.short_value for write in writes]


def _long_values(reader: Reader, wanted: list[tuple[bytes, int]], stored: dict[bytes, bytes]) -> Iterator[bytes]:
    one_by_one = MvccReader(reader)
    for key, start_ts in wanted:
        value = stored.get(versioned_key(key, start_ts))
        yield one_by_one.long_value(key, start_ts) if value is None else value
