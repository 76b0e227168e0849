"""Commit: make prewritten keys visible from commit_ts on."""

from collections.abc import Sequence

from rutile_kv.mvcc.reader import MvccReader
from rutile_kv.mvcc.records import LockKind
from rutile_kv.txn.changes import Changes
from rutile_kv.txn.model import Outcome
from rutile_kv.txn.settle import commit_lock, commit_time
from rutile_proto.errors import InvalidRequest, TxnLockNotFound
from rutile_proto.values import valueclass


@valueclass
class CommitResult:
    commit_ts: int


@valueclass
class Commit:
    """Commit `keys` of a transaction.

    Raises CommitTsExpired where a reader pushed the lock beyond commit_ts, TxnLockNotFound where the transaction was
    rolled back or never prewrote. A key that is committed already counts as done.
    """

    start_ts: int
    commit_ts: int
    keys: tuple[bytes, ...]

    def latch_keys(self) -> Sequence[bytes]:
        return self.keys

    def process(self, reader: MvccReader, max_ts: int) -> Outcome[CommitResult]:
        if self.commit_ts <= self.start_ts:
            raise InvalidRequest(f"commit_ts {self.commit_ts} is not above start_ts {self.start_ts}")
        changes = Changes()
        for key in self.keys:
            self._commit(reader, changes, key)
        return Outcome(changes.modifies, CommitResult(self.commit_ts))

    def _commit(self, reader: MvccReader, changes: Changes, key: bytes) -> None:
        lock = reader.load_lock(key)
        mine = lock is not None and lock.start_ts == self.start_ts
        if lock is not None and mine and lock.kind is not LockKind.PESSIMISTIC:
            commit_lock(changes, key, lock, self.commit_ts)
            return
        if commit_time(reader.get_txn_commit_record(key, self.start_ts)) is None:
            raise TxnLockNotFound(self.start_ts, self.commit_ts, key)
        if mine:  # a pessimistic lock request that came again after the commit left it
            changes.unlock(key)
