"""An engine in memory: per family a map of versions, and a reader's place in time is one integer.

Each batch gets the next sequence number; a reader looks for the newest version not newer than its own number, so a
snapshot is a number with a pin on it. Versions that no reader can reach any more are cut off as batches are written:
`_stale` lists, oldest first, the keys that have something to cut.
"""

import weakref
from collections import deque
from collections.abc import Iterable, Iterator
from itertools import pairwise
from threading import Lock
from typing import Self

from rutile_kv.engine.api import ALL_CFS, DATA_CFS, Cf, Modify, WriteBatch
from rutile_kv.engine.rocks_table_files import pairs_of
from rutile_kv.engine.table_file import TableFile
from rutile_kv.engine.versions import VersionedMap
from rutile_proto.errors import EngineClosed, InvalidRequest

_CHUNK_KEYS = 256
"""Keys read under the lock at a time by a scan."""


class _Pin:
    """A moment somebody still reads at; it ends when its last holder lets go of it."""

    __slots__ = ("__weakref__", "sequence")

    def __init__(self, sequence: int) -> None:
        self.sequence = sequence


class MemoryBatch:
    """Operations in the order they were added."""

    def __init__(self) -> None:
        self.operations: list[tuple[Cf, bytes, bytes | None, bytes | None]] = []
        """(family, key, value or None, end of the range for delete_range)."""
        self.written = False

    def put(self, cf: Cf, key: bytes, value: bytes) -> None:
        self.operations.append((cf, key, value, None))

    def delete(self, cf: Cf, key: bytes) -> None:
        self.operations.append((cf, key, None, None))

    def delete_range(self, cf: Cf, start: bytes, end: bytes) -> None:
        self.operations.append((cf, start, None, end))

    def extend(self, modifies: Iterable[Modify]) -> None:
        self.operations.extend((cf, key, value, None) for cf, key, value in modifies)

    def ingest(self, cf: Cf, table: TableFile) -> None:
        self.operations.extend((cf, key, value, None) for key, value in pairs_of(table))

    def __len__(self) -> int:
        return len(self.operations)


class _View:
    """Reads at one moment: the pin's."""

    def __init__(self, engine: "MemoryEngine", pin: _Pin) -> None:
        self._engine: MemoryEngine | None = engine
        self._pin: _Pin | None = pin

    def _opened(self) -> tuple["MemoryEngine", _Pin]:
        if self._engine is None or self._pin is None:
            raise EngineClosed("the snapshot is closed")
        return self._engine, self._pin

    def get(self, cf: Cf, key: bytes) -> bytes | None:
        engine, pin = self._opened()
        return engine.get_at(cf, key, pin.sequence)

    def scan(self, cf: Cf, start: bytes, end: bytes | None, *, reverse: bool = False) -> Iterator[tuple[bytes, bytes]]:
        engine, pin = self._opened()
        return engine.scan_at(cf, start, end, reverse, pin)

    def close(self) -> None:
        self._engine = self._pin = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


class MemoryEngine:
    """The Engine protocol without a disk. `sync` has nothing to do; what was written is gone with the process."""

    def __init__(self) -> None:
        self._families: dict[Cf, VersionedMap] = {cf: VersionedMap() for cf in ALL_CFS}
        self._sequence = 0
        self._pins: weakref.WeakSet[_Pin] = weakref.WeakSet()
        self._stale: deque[tuple[int, Cf, bytes]] = deque()
        self._lock = Lock()
        self._closed = False

    # --- reading ---

    def get(self, cf: Cf, key: bytes) -> bytes | None:
        return self.get_at(cf, key, self._sequence)

    def scan(self, cf: Cf, start: bytes, end: bytes | None, *, reverse: bool = False) -> Iterator[tuple[bytes, bytes]]:
        return self.scan_at(cf, start, end, reverse, self._pin())

    def snapshot(self) -> _View:
        return _View(self, self._pin())

    def get_at(self, cf: Cf, key: bytes, sequence: int) -> bytes | None:
        """The value as of batch number `sequence`, which somebody must hold a pin on."""
        self._check_open()
        return self._families[cf].get(key, sequence)

    def scan_at(
        self, cf: Cf, start: bytes, end: bytes | None, reverse: bool, pin: _Pin
    ) -> Iterator[tuple[bytes, bytes]]:
        """Pairs of the range as of `pin`, which lives as long as the iterator."""
        self._check_open()
        return self._pairs(self._families[cf], start, end, reverse, pin)

    def _pairs(
        self, family: VersionedMap, start: bytes, end: bytes | None, reverse: bool, pin: _Pin
    ) -> Iterator[tuple[bytes, bytes]]:
        while True:
            keys, chunk = self._chunk(family, start, end, reverse, pin.sequence)
            yield from chunk
            if len(keys) < _CHUNK_KEYS:
                return
            if reverse:
                end = keys[-1]
            else:
                start = keys[-1] + b"\0"

    def _chunk(
        self, family: VersionedMap, start: bytes, end: bytes | None, reverse: bool, sequence: int
    ) -> tuple[list[bytes], list[tuple[bytes, bytes]]]:
        self._check_open()
        with self._lock:
            keys = family.chunk(start, end, _CHUNK_KEYS, reverse)
            values = [family.get(key, sequence) for key in keys]
        return keys, [(key, value) for key, value in zip(keys, values, strict=True) if value is not None]

    def approximate_size_bytes(self, start: bytes, end: bytes | None) -> int:
        """Keys in range (versions of snapshots included) times the mean size of a sample of them."""
        self._check_open()
        with self._lock:
            return sum(self._families[cf].approximate_size_bytes(start, end, self._sequence) for cf in DATA_CFS)

    # --- writing ---

    def batch(self) -> MemoryBatch:
        return MemoryBatch()

    def write(self, batch: WriteBatch) -> None:
        self._check_open()
        if not isinstance(batch, MemoryBatch):
            raise TypeError("a batch belongs to the kind of engine that made it")
        if batch.written:
            raise InvalidRequest("this batch was written before; a batch is written once")
        batch.written = True
        with self._lock:
            self._apply(self._net_changes(batch))

    def sync(self) -> None:
        self._check_open()

    def ingest(self, cf: Cf, pairs: Iterator[tuple[bytes, bytes]]) -> int:
        self._check_open()
        loaded = list(pairs)
        if any(left >= right for (left, _), (right, _) in pairwise(loaded)):
            raise InvalidRequest("ingest wants keys in strictly ascending order")
        with self._lock:
            self._apply({cf: dict(loaded)})
        return len(loaded)

    def compact(self, start: bytes, end: bytes | None) -> None:
        """What nobody can reach was given back as it was overwritten."""
        self._check_open()

    def close(self) -> None:
        self._closed = True
        self._families = {cf: VersionedMap() for cf in ALL_CFS}

    def _net_changes(self, batch: MemoryBatch) -> dict[Cf, dict[bytes, bytes | None]]:
        changes: dict[Cf, dict[bytes, bytes | None]] = {}
        for cf, key, value, end in batch.operations:
            into = changes.setdefault(cf, {})
            if end is None:
                into[key] = value
            else:
                self._delete_range(self._families[cf], into, key, end)
        return changes

    def _delete_range(self, family: VersionedMap, into: dict[bytes, bytes | None], start: bytes, end: bytes) -> None:
        low, high = family.bounds(start, end)
        doomed = [key for key in into if start <= key < end]
        for key in (*family.keys[low:high], *doomed):
            into[key] = None

    def _apply(self, changes: dict[Cf, dict[bytes, bytes | None]]) -> None:
        self._sequence += 1
        for cf, of_family in changes.items():
            family = self._families[cf]
            replaced = [key for key in of_family if key in family.versions]
            family.put_all(of_family, self._sequence)
            self._stale.extend((self._sequence, cf, key) for key in replaced)
        self._trim()

    def _trim(self) -> None:
        """Forget versions superseded at or before the oldest moment anybody still reads at."""
        horizon = min((pin.sequence for pin in self._pins), default=self._sequence)
        gone: dict[Cf, list[bytes]] = {}
        while self._stale and self._stale[0][0] <= horizon:
            _, cf, key = self._stale.popleft()
            if self._families[cf].trim(key, horizon):
                gone.setdefault(cf, []).append(key)
        for cf, keys in gone.items():
            self._families[cf].drop_keys(keys)

    def _pin(self) -> _Pin:
        self._check_open()
        with self._lock:
            pin = _Pin(self._sequence)
            self._pins.add(pin)
        return pin

    def _check_open(self) -> None:
        if self._closed:
            raise EngineClosed("the engine is closed")
