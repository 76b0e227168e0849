"""ResolveLock: the fate of transactions is known; carry it out on the locks they left."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from rutile_kv.mvcc.reader import MvccReader
from rutile_kv.mvcc.records import Lock, LockKind
from rutile_kv.txn.changes import Changes
from rutile_kv.txn.model import Outcome
from rutile_kv.txn.settle import commit_lock, roll_back_lock
from rutile_proto.values import valueclass

BATCH_LOCKS = 256
"""Locks settled by one command when a whole region is to be cleaned."""


@valueclass
class ResolveLock:
    """Commit at `commit_ts`, or roll back if that is 0, the locks of transaction `start_ts` on `keys`.

    Without `keys` it means every lock in the region; the shell finds them and comes back in batches. `txn_infos` are
    (start_ts, commit_ts or 0) of further transactions. Keys whose lock is gone or somebody else's are left alone.
    """

    start_ts: int = 0
    commit_ts: int = 0
    keys: tuple[bytes, ...] = ()
    txn_infos: tuple[tuple[int, int], ...] = ()

    def statuses(self) -> Mapping[int, int]:
        """commit_ts (0: rolled back) by start_ts."""
        own = ((self.start_ts, self.commit_ts),) if self.start_ts else ()
        return dict((*own, *self.txn_infos))

    def on(self, keys: Sequence[bytes]) -> "ResolveLock":
        """The same for these keys."""
        return replace(self, keys=tuple(keys))

    def latch_keys(self) -> Sequence[bytes]:
        return self.keys

    def process(self, reader: MvccReader, max_ts: int) -> Outcome[None]:
        statuses = self.statuses()
        changes = Changes()
        for key in self.keys:
            lock = reader.load_lock(key)
            if lock is not None and lock.start_ts in statuses:
                _settle(reader, changes, key, lock, statuses[lock.start_ts])
        return Outcome(changes.modifies, None)


def _settle(reader: MvccReader, changes: Changes, key: bytes, lock: Lock, commit_ts: int) -> None:
    if not commit_ts:
        roll_back_lock(reader, changes, key, lock)
    elif lock.kind is LockKind.PESSIMISTIC:  # left by a lock request that came again after the commit
        changes.unlock(key)
    else:
        commit_lock(changes, key, lock, commit_ts)
