"""CheckSecondaryLocks: was an async-commit transaction prewritten on all its keys? Then it is committed."""

from collections.abc import Sequence

from rutile_kv.mvcc.reader import MvccReader, NotRecorded
from rutile_kv.mvcc.records import LockKind
from rutile_kv.txn.changes import Changes
from rutile_kv.txn.model import Outcome
from rutile_kv.txn.settle import commit_time, owned, roll_back_lock, roll_back_missing
from rutile_proto.errors import LockFacts
from rutile_proto.values import valueclass


@valueclass
class SecondaryLocks:
    """All asked-for keys have locks: `locks` are they. Otherwise the transaction is decided and `locks` is empty."""

    locks: tuple[LockFacts, ...]
    commit_ts: int
    """Above 0: committed then. 0 with locks missing: rolled back."""


@valueclass
class CheckSecondaryLocks:
    """Look for the locks of transaction `start_ts` on `keys`; a key without one is kept from ever getting it."""

    start_ts: int
    keys: tuple[bytes, ...]

    def latch_keys(self) -> Sequence[bytes]:
        return self.keys

    def process(self, reader: MvccReader, max_ts: int) -> Outcome[SecondaryLocks]:
        changes = Changes()
        locks: list[LockFacts] = []
        for key in self.keys:
            found = self._check(reader, changes, key)
            if isinstance(found, int):
                return Outcome(changes.modifies, SecondaryLocks((), found))
            locks.append(found)
        return Outcome(changes.modifies, SecondaryLocks(tuple(locks), 0))

    def _check(self, reader: MvccReader, changes: Changes, key: bytes) -> LockFacts | int:
        """The lock, or the commit_ts of the decided transaction (0: rolled back)."""
        lock = reader.load_lock(key)
        if lock is not None and owned(lock, self.start_ts):
            if lock.kind is not LockKind.PESSIMISTIC:
                return lock.facts(key)
            roll_back_lock(reader, changes, key, lock)
            return 0
        record = reader.get_txn_commit_record(key, self.start_ts)
        if isinstance(record, NotRecorded):
            roll_back_missing(changes, key, self.start_ts, record, lock)
        return commit_time(record) or 0
