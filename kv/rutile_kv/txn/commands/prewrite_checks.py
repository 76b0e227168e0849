"""What a prewrite asks of one key before it may lock it."""

from typing import TypeAlias

from rutile_kv.mvcc.reader import MvccReader
from rutile_kv.mvcc.records import Lock, LockKind, WriteKind
from rutile_kv.txn.model import Assertion, AssertionLevel, Mutation, Op, PessimisticAction
from rutile_kv.txn.settle import commit_time, owned
from rutile_proto.errors import (
    AlreadyExist,
    AssertionFailed,
    ConflictReason,
    KeyIsLocked,
    TxnError,
    TxnRetryable,
    WriteConflict,
)
from rutile_proto.timestamps import MAX_TIMESTAMP
from rutile_proto.values import valueclass


@valueclass
class Free:
    """The key may be locked; `pessimistic_lock` is the transaction's own lock to take the place of, if any."""

    pessimistic_lock: Lock | None


@valueclass
class Prewritten:
    """This very prewrite was done before; the lock it left."""

    lock: Lock


@valueclass
class Committed:
    """The transaction is committed already: the request is a late repetition."""

    commit_ts: int


KeyState: TypeAlias = Free | Prewritten | Committed


@valueclass
class PrewriteChecks:
    """The rules of one prewrite request."""

    reader: MvccReader
    start_ts: int
    primary: bytes
    is_pessimistic: bool
    is_retry: bool
    skip_constraint_check: bool
    assertion_level: int

    def check(self, mutation: Mutation) -> KeyState:
        """What the key of `mutation` is to this transaction. Raises TxnError if it must not be written."""
        lock = self.reader.load_lock(mutation.key)
        mine = lock if lock is not None and owned(lock, self.start_ts) else None
        if mine is not None and mine.kind is not LockKind.PESSIMISTIC:
            return Prewritten(mine)
        try:
            if lock is not None and mine is None:
                raise self._locked_by_another(mutation, lock)
            self._check_free(mutation, mine)
        except TxnError:  # to be told so is right only if this is not a repetition of what has been committed
            commit_ts = commit_time(self.reader.get_txn_commit_record(mutation.key, self.start_ts))
            if commit_ts is None:
                raise
            return Committed(commit_ts)
        return Free(mine)

    def _check_free(self, mutation: Mutation, lock: Lock | None) -> None:
        """`lock` is the transaction's own pessimistic one, or None."""
        if lock is None:
            if self._must_be_locked(mutation):
                self._check_lock_can_be_amended(mutation)
            elif self._must_check_conflicts(mutation):
                self._check_conflicts(mutation)
        if mutation.op in (Op.INSERT, Op.CHECK_NOT_EXISTS) and lock is None:
            self._check_not_exists(mutation)
        self._check_assertion(mutation)

    # --- pessimistic locks ---

    def _must_be_locked(self, mutation: Mutation) -> bool:
        return self.is_pessimistic and mutation.pessimistic_action == PessimisticAction.LOCKED

    def _check_lock_can_be_amended(self, mutation: Mutation) -> None:
        """A pessimistic lock that got lost does no harm as long as nobody wrote since the transaction began."""
        newest = self.reader.seek_write(mutation.key, MAX_TIMESTAMP)
        if newest is not None and newest[0] >= self.start_ts:
            raise self._lock_lost(mutation)

    def _locked_by_another(self, mutation: Mutation, lock: Lock) -> TxnError:
        return self._lock_lost(mutation) if self._must_be_locked(mutation) else KeyIsLocked(lock.facts(mutation.key))

    def _lock_lost(self, mutation: Mutation) -> TxnRetryable:
        return TxnRetryable(
            f"pessimistic lock of transaction {self.start_ts} on {mutation.key.hex()} was lost: begin again"
        )

    # --- conflicts ---

    def _must_check_conflicts(self, mutation: Mutation) -> bool:
        if self.is_pessimistic:
            return self.is_retry or mutation.pessimistic_action == PessimisticAction.CHECK_NOW
        return not self.skip_constraint_check or mutation.op == Op.INSERT

    def _check_conflicts(self, mutation: Mutation) -> None:
        """No record may be newer than the transaction, and none may say that it was rolled back here."""
        newest = self.reader.seek_write(mutation.key, MAX_TIMESTAMP)
        if newest is None or newest[0] < self.start_ts:
            return
        commit_ts, write = newest
        if commit_ts > self.start_ts:
            raise self._conflict(mutation, write.start_ts, commit_ts, self._reason(mutation))
        if write.kind is WriteKind.ROLLBACK or write.overlapped_rollback:
            raise self._conflict(mutation, write.start_ts, commit_ts, ConflictReason.SELF_ROLLED_BACK)

    def _reason(self, mutation: Mutation) -> ConflictReason:
        if not self.is_pessimistic:
            return ConflictReason.OPTIMISTIC
        if mutation.pessimistic_action == PessimisticAction.CHECK_NOW:
            return ConflictReason.LAZY_UNIQUENESS_CHECK
        return ConflictReason.NOT_LOCKED_KEY_CONFLICT

    def _conflict(
        self, mutation: Mutation, conflict_start_ts: int, conflict_commit_ts: int, reason: ConflictReason
    ) -> WriteConflict:
        return WriteConflict(self.start_ts, conflict_start_ts, conflict_commit_ts, mutation.key, self.primary, reason)

    # --- existence ---

    def _check_not_exists(self, mutation: Mutation) -> None:
        found = self.reader.seek_data(mutation.key, MAX_TIMESTAMP)
        if found is not None and found[1].kind is WriteKind.PUT:
            raise AlreadyExist(mutation.key)

    def _check_assertion(self, mutation: Mutation) -> None:
        if mutation.assertion == Assertion.NONE or self.assertion_level == AssertionLevel.OFF:
            return
        if self.is_pessimistic and self.assertion_level != AssertionLevel.STRICT:
            return
        found = self.reader.seek_data(mutation.key, MAX_TIMESTAMP)
        exists = found is not None and found[1].kind is WriteKind.PUT
        if exists is (mutation.assertion == Assertion.EXIST):
            return
        commit_ts, start_ts = (0, 0) if found is None else (found[0], found[1].start_ts)
        raise AssertionFailed(self.start_ts, mutation.key, mutation.assertion, start_ts, commit_ts)
