"""Chunks of the mirror in the encodings DuckDB reads fastest (`rutile_coprocessor.encodings`), kept while they live.

Encoding a chunk costs about what one or two queries gain from it, so it is done when the chunk is read a second time:
what is read once stays as it comes. A chunk that is new among others that are narrow is encoded at once: a column is
narrow in all of its chunks or in none. A narrow chunk goes when
the chunk it was made from goes, which it never keeps. All together have a budget; when that is spent, chunks stay as
they come until others have gone.
"""

from __future__ import annotations

import threading
import weakref
from dataclasses import dataclass, replace

import pyarrow as pa

from rutile_coprocessor.encodings import narrowed


@dataclass(frozen=True, slots=True)
class _Entry:
    source: weakref.ref[pa.Array]
    chunk: pa.Array | None
    """None: the chunk has been read once, or has no narrower form, or there was no room for it."""
    settled: bool
    """Whether it has been read more than once."""

    @property
    def size_bytes(self) -> int:
        return 0 if self.chunk is None else int(self.chunk.nbytes)


class NarrowChunks:
    """Any thread may ask."""

    def __init__(self, budget_bytes: int) -> None:
        self._budget_bytes = budget_bytes
        self._entries: dict[int, _Entry] = {}
        """By the identity of the chunk they were made from."""
        self._size_bytes = 0
        self._mutex = threading.RLock()  # a chunk's end may be noticed while this is held

    @property
    def size_bytes(self) -> int:
        """What the narrow chunks take; never above the budget."""
        return self._size_bytes

    def __len__(self) -> int:
        return len(self._entries)

    def of(self, chunk: pa.Array, *, at_once: bool = False) -> tuple[pa.Array, bool]:
        """The chunk, narrow or as it came, and whether the next reader gets it so; `at_once`: narrow if it can be."""
        number = id(chunk)
        with self._mutex:
            entry = self._entries.get(number)
        if entry is not None and entry.source() is not chunk:
            entry = None
        if entry is not None and entry.settled:
            return chunk if entry.chunk is None else entry.chunk, True
        is_known = at_once or entry is not None
        made = narrowed(chunk) if is_known and self._size_bytes < self._budget_bytes else chunk
        kept = self._keep(chunk, None if made is chunk else made, settled=is_known)
        return chunk if kept is None else kept, is_known

    def moved(self, old: pa.Array, new: pa.Array) -> None:
        """What is known of `old` counts for `new`, which has the same values."""
        number = id(new)
        with self._mutex:
            entry = self._entries.get(id(old))
            if old is not new and entry is not None and entry.source() is old:
                del self._entries[id(old)]
                source = weakref.ref(new, lambda gone: self._forget(number, gone))
                self._entries[number] = replace(entry, source=source)

    def clear(self) -> None:
        with self._mutex:
            self._entries.clear()
            self._size_bytes = 0

    def _keep(self, chunk: pa.Array, made: pa.Array | None, *, settled: bool) -> pa.Array | None:
        """What is kept of `made`: nothing if there is no room."""
        number = id(chunk)
        source = weakref.ref(chunk, lambda gone: self._forget(number, gone))
        with self._mutex:
            before = self._entries.pop(number, None)
            self._size_bytes -= 0 if before is None else before.size_bytes
            if made is not None and self._size_bytes + made.nbytes > self._budget_bytes:
                made = None
            self._entries[number] = _Entry(source, made, settled)
            self._size_bytes += self._entries[number].size_bytes
        return made

    def _forget(self, number: int, gone: weakref.ref[pa.Array]) -> None:
        with self._mutex:
            entry = self._entries.get(number)
            if entry is not None and entry.source is gone:
                self._size_bytes -= entry.size_bytes
                del self._entries[number]
