"""Which transactions are about to commit in a region, and since when: the locks that hold progress back.

The table follows what is applied. When it begins to, locks are there already; those come from a snapshot, read in steps
while applying goes on. What was applied meanwhile is newer than the snapshot and wins.
"""

from collections.abc import Iterable, Sequence
from enum import Enum, auto

from rutile_kv.engine.api import CF_LOCK, Modify
from rutile_kv.mvcc.records import Lock, LockKind

MAX_LOCKS = 1 << 18
"""Locks a table holds, about 64 MiB. With more it gives up, and progress stands still until there are fewer."""
_GONE = 0
"""While loading: this key's lock in the snapshot is out of date."""


class Loading(Enum):
    """How much a table knows."""

    NOTHING = auto()
    UNDER_WAY = auto()
    DONE = auto()


class LockTable:
    """The PUT and DELETE locks of one region. Others write nothing a watcher would see; a pessimistic lock becomes one
    of these before it commits, and its commit_ts is chosen after that."""

    def __init__(self, limit: int = MAX_LOCKS) -> None:
        self.loading = Loading.NOTHING
        self._limit = limit
        self._owner: dict[bytes, int] = {}
        self._keys: dict[int, dict[bytes, None]] = {}

    def __len__(self) -> int:
        return len(self._owner)

    # --- loading ------------------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """A snapshot was taken in this very turn; its locks follow."""
        self._give_up()
        self.loading = Loading.UNDER_WAY

    def found(self, pairs: Iterable[tuple[bytes, bytes]]) -> None:
        """Some pairs of the snapshot's lock family."""
        if self.loading is Loading.UNDER_WAY:
            for key, data in pairs:
                if key not in self._owner:
                    self._put(key, data)
            self._check_limit()

    def finish(self) -> None:
        """The snapshot held no more."""
        if self.loading is Loading.UNDER_WAY:
            for key in [key for key, owner in self._owner.items() if owner == _GONE]:
                del self._owner[key]
            self.loading = Loading.DONE

    def abandon(self) -> None:
        """The snapshot could not be read to its end: nothing is known. Harmless once it was."""
        if self.loading is Loading.UNDER_WAY:
            self._give_up()

    # --- following ----------------------------------------------------------------------------------------------------

    def apply(self, modifies: Sequence[Modify]) -> None:
        """What a log entry changed."""
        if self.loading is Loading.NOTHING:
            return
        for cf, key, data in modifies:
            if cf == CF_LOCK:
                self._remove(key)
                if data is not None:
                    self._put(key, data)
        self._check_limit()

    def oldest(self) -> tuple[int, bytes] | None:
        """(start_ts, one of its keys) of the oldest transaction with a lock here; None without locks."""
        if not self._keys:
            return None
        start_ts = min(self._keys)
        return start_ts, next(iter(self._keys[start_ts]))

    # --- inside -------------------------------------------------------------------------------------------------------

    def _put(self, key: bytes, data: bytes) -> None:
        lock = Lock.from_bytes(data)
        if lock.kind in (LockKind.PUT, LockKind.DELETE):
            self._owner[key] = lock.start_ts
            self._keys.setdefault(lock.start_ts, {})[key] = None

    def _remove(self, key: bytes) -> None:
        owner = self._owner.pop(key, _GONE)
        if owner != _GONE:
            keys = self._keys[owner]
            del keys[key]
            if not keys:
                del self._keys[owner]
        if self.loading is Loading.UNDER_WAY:
            self._owner[key] = _GONE

    def _check_limit(self) -> None:
        if len(self._owner) > self._limit:
            self._give_up()

    def _give_up(self) -> None:
        self._owner.clear()
        self._keys.clear()
        self.loading = Loading.NOTHING
