"""CheckTxnStatus: somebody met a lock and asks its primary what became of the transaction."""

from collections.abc import Sequence
from dataclasses import replace
from enum import IntEnum

from rutile_kv.mvcc.reader import MvccReader, NotRecorded
from rutile_kv.mvcc.records import Lock, LockKind
from rutile_kv.txn.changes import Changes
from rutile_kv.txn.model import Outcome
from rutile_kv.txn.settle import commit_time, expired, owned, roll_back_lock, roll_back_missing
from rutile_proto.errors import LockFacts, PrimaryMismatch, TxnNotFound
from rutile_proto.timestamps import MAX_TIMESTAMP
from rutile_proto.values import valueclass


class Action(IntEnum):
    """kvrpcpb.Action: what the check did."""

    NO_ACTION = 0
    TTL_EXPIRE_ROLLBACK = 1
    LOCK_NOT_EXIST_ROLLBACK = 2
    MIN_COMMIT_TS_PUSHED = 3
    TTL_EXPIRE_PESSIMISTIC_ROLLBACK = 4
    LOCK_NOT_EXIST_DO_NOTHING = 5


@valueclass
class TxnStatus:
    """Exactly one of: running (`lock` is set), committed (`commit_ts` above 0), rolled back (neither)."""

    commit_ts: int = 0
    lock: LockFacts | None = None
    action: Action = Action.NO_ACTION

    @property
    def ttl_ms(self) -> int:
        """The time to live of the lock, 0 unless the transaction is running."""
        return 0 if self.lock is None else self.lock.ttl_ms


@valueclass
class CheckTxnStatus:
    """Decide about the transaction `lock_ts` by its `primary_key`: roll it back if its time to live is over.

    While it runs, a reader's `caller_start_ts` pushes min_commit_ts, so that the reader need not wait. A transaction
    nothing is known of is rolled back if `rollback_if_not_exist`, else TxnNotFound is raised. A lock of async commit is
    left alone unless `force_sync_commit`: its secondaries decide. With `verify_is_primary`, PrimaryMismatch is raised
    if the lock names another primary.
    """

    primary_key: bytes
    lock_ts: int
    caller_start_ts: int
    current_ts: int
    rollback_if_not_exist: bool = False
    force_sync_commit: bool = False
    resolving_pessimistic_lock: bool = False
    verify_is_primary: bool = False

    def latch_keys(self) -> Sequence[bytes]:
        return (self.primary_key,)

    def process(self, reader: MvccReader, max_ts: int) -> Outcome[TxnStatus]:
        lock = reader.load_lock(self.primary_key)
        changes = Changes()
        if lock is not None and owned(lock, self.lock_ts):
            return Outcome(changes.modifies, self._check_lock(reader, changes, lock))
        return Outcome(changes.modifies, self._check_record(reader, changes, lock))

    # --- running, or dead ---

    def _check_lock(self, reader: MvccReader, changes: Changes, lock: Lock) -> TxnStatus:
        if self.verify_is_primary and lock.primary != self.primary_key:
            raise PrimaryMismatch(lock.facts(self.primary_key))
        if lock.use_async_commit and not self.force_sync_commit:
            return TxnStatus(lock=lock.facts(self.primary_key))
        if expired(lock, self.current_ts):
            return self._expire(reader, changes, lock)
        return self._push(changes, lock)

    def _expire(self, reader: MvccReader, changes: Changes, lock: Lock) -> TxnStatus:
        if lock.kind is LockKind.PESSIMISTIC and self.resolving_pessimistic_lock:
            changes.unlock(self.primary_key)
            return TxnStatus(action=Action.TTL_EXPIRE_PESSIMISTIC_ROLLBACK)
        roll_back_lock(reader, changes, self.primary_key, lock)
        return TxnStatus(action=Action.TTL_EXPIRE_ROLLBACK)

    def _push(self, changes: Changes, lock: Lock) -> TxnStatus:
        """Raise min_commit_ts above the caller, for locks that have one: only those promise to respect it."""
        newest = self.caller_start_ts == MAX_TIMESTAMP
        if lock.min_commit_ts and not newest and self.caller_start_ts >= lock.min_commit_ts:
            lock = replace(lock, min_commit_ts=max(self.caller_start_ts + 1, self.current_ts))
            changes.put_lock(self.primary_key, lock)
        pushed = newest or (self.caller_start_ts > 0 and lock.min_commit_ts > self.caller_start_ts)
        action = Action.MIN_COMMIT_TS_PUSHED if pushed else Action.NO_ACTION
        return TxnStatus(lock=lock.facts(self.primary_key), action=action)

    # --- decided, or never heard of ---

    def _check_record(self, reader: MvccReader, changes: Changes, other_lock: Lock | None) -> TxnStatus:
        record = reader.get_txn_commit_record(self.primary_key, self.lock_ts)
        if not isinstance(record, NotRecorded):
            return TxnStatus(commit_ts=commit_time(record) or 0)
        if not self.rollback_if_not_exist:
            raise TxnNotFound(self.lock_ts, self.primary_key)
        if self.resolving_pessimistic_lock:
            return TxnStatus(action=Action.LOCK_NOT_EXIST_DO_NOTHING)
        roll_back_missing(changes, self.primary_key, self.lock_ts, record, other_lock)
        return TxnStatus(action=Action.LOCK_NOT_EXIST_ROLLBACK)
