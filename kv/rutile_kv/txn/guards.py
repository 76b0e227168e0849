"""Guards: locks on their way to the disk that readers must respect already.

Async commit and one-phase commit choose a commit_ts above every read so far (max_ts). From that moment until the locks
or records are applied, a new reader with a greater timestamp would neither see them nor be counted. So the core keeps
the locks here for that time, and readers look at the lock family through `Guards.over`.
"""

from collections.abc import Iterator

from rutile_kv.engine.api import CF_LOCK, Cf, Reader
from rutile_kv.mvcc.records import Lock
from rutile_proto.keys import storage_key


class Guards:
    """Locks by storage key. Latches see to it that each key has at most one."""

    def __init__(self) -> None:
        self._locks: dict[bytes, bytes] = {}
        self._floors: dict[bytes, int] = {}
        """Their min_commit_ts."""

    def add(self, guards: tuple[tuple[bytes, Lock], ...]) -> None:
        self._locks.update((storage_key(key), lock.to_bytes()) for key, lock in guards)
        self._floors.update((storage_key(key), lock.min_commit_ts) for key, lock in guards)

    def remove(self, guards: tuple[tuple[bytes, Lock], ...]) -> None:
        for key, _ in guards:
            del self._locks[storage_key(key)]
            del self._floors[storage_key(key)]

    def blocks(self, start: bytes, end: bytes | None, ts: int) -> bool:
        """Whether a reader of [start, end), storage keys, at `ts` would miss one if it looked at the engine alone."""
        return any(start <= key and (end is None or key < end) and floor <= ts for key, floor in self._floors.items())

    def over(self, reader: Reader) -> Reader:
        """`reader` with the guards in its lock family, as of now."""
        return _GuardedReader(reader, dict(sorted(self._locks.items()))) if self._locks else reader

    def __len__(self) -> int:
        return len(self._locks)


class _GuardedReader:
    def __init__(self, reader: Reader, locks: dict[bytes, bytes]) -> None:
        self._reader = reader
        self._locks = locks

    def get(self, cf: Cf, key: bytes) -> bytes | None:
        guard = self._locks.get(key) if cf == CF_LOCK else None
        return self._reader.get(cf, key) if guard is None else guard

    def scan(self, cf: Cf, start: bytes, end: bytes | None, *, reverse: bool = False) -> Iterator[tuple[bytes, bytes]]:
        pairs = self._reader.scan(cf, start, end, reverse=reverse)
        if cf != CF_LOCK:
            return pairs
        guarded = {key: lock for key, lock in self._locks.items() if start <= key and (end is None or key < end)}
        return iter(sorted((dict(pairs) | guarded).items(), reverse=reverse)) if guarded else pairs
