"""`RowBytes`: the values of many rows as one buffer, with the place of each: what is read in bulk is never cut up."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

VIEW_INLINE = 12
"""An Arrow string view holds up to this many bytes itself."""
CHUNK_BYTES = 1 << 30
"""One buffer holds at most so many bytes (but at least one value): offsets within it are int32."""
_PADDING = bytes(VIEW_INLINE)


@dataclass(frozen=True, slots=True)
class RowBytes:
    """Value i is `buffer[starts[i] : starts[i] + lengths[i]]`; what lies between values is anything."""

    buffer: bytes
    """Goes on for at least VIEW_INLINE bytes behind the last value."""
    starts: npt.NDArray[np.int64]
    lengths: npt.NDArray[np.int64]

    @classmethod
    def of(cls, values: Sequence[bytes]) -> RowBytes:
        """The values joined; together they have at most CHUNK_BYTES."""
        lengths = np.fromiter(map(len, values), np.int64, len(values))
        return cls(joined(values), np.cumsum(lengths) - lengths, lengths)

    def __len__(self) -> int:
        return len(self.starts)

    def __getitem__(self, place: int) -> bytes:
        start = int(self.starts[place])
        return self.buffer[start : start + int(self.lengths[place])]

    def part(self, begin: int, end: int) -> RowBytes:
        """Values begin..end, in the same buffer."""
        return RowBytes(self.buffer, self.starts[begin:end], self.lengths[begin:end])

    def at(self, places: npt.NDArray[np.intp]) -> RowBytes:
        """The values at `places`, in the same buffer."""
        return RowBytes(self.buffer, self.starts[places], self.lengths[places])

    def chunks(self, most_rows: int) -> Iterator[RowBytes]:
        """The same values, at most `most_rows` at a time."""
        return (self.part(begin, begin + most_rows) for begin in range(0, len(self), most_rows))

    def to_list(self) -> list[bytes]:
        """The values one by one."""
        starts, ends = self.starts.tolist(), (self.starts + self.lengths).tolist()
        return [self.buffer[start:end] for start, end in zip(starts, ends, strict=True)]


def gather(buffer: bytes, starts: npt.NDArray[np.int64], dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    """The `dtype` records that begin at each of `starts`, which need no alignment. Every one must end inside."""
    windows = np.ndarray((len(buffer) - dtype.itemsize + 1,), np.dtype((np.void, dtype.itemsize)), buffer, 0, (1,))
    return windows[starts].view(dtype)


def joined(values: Sequence[bytes]) -> bytes:
    """The values one behind the other, and the bytes a buffer goes on with."""
    return b"".join((*values, _PADDING))


def buffers_of(values: Sequence[bytes], most_rows: int) -> Iterator[RowBytes]:
    """The values in buffers of at most `most_rows` rows and CHUNK_BYTES bytes (but at least one row)."""
    for start in range(0, len(values), most_rows):
        part = values[start : start + most_rows]
        if sum(map(len, part)) <= CHUNK_BYTES:
            yield RowBytes.of(part)
        else:
            yield from (RowBytes.of([value]) for value in part)
