"""Prewrite: the first phase of a commit. Lock every key with its new value; from then on the primary decides.

Three ways lead on from here. Two-phase: the client commits the primary, then the rest. Async commit: the transaction
is committed as soon as every key is locked; its commit_ts is the largest min_commit_ts of its locks, so each must lie
above every read that may have missed the lock. One-phase: all keys are in this one request, and are written as
committed.
"""

from collections.abc import Sequence

from rutile_kv.mvcc.reader import MvccReader
from rutile_kv.mvcc.records import Lock, LockKind, Write
from rutile_kv.txn.changes import Changes
from rutile_kv.txn.commands.prewrite_checks import Committed, Free, KeyState, PrewriteChecks, Prewritten
from rutile_kv.txn.model import AssertionLevel, ManyLocked, Mutation, Op, Outcome
from rutile_proto.errors import InvalidRequest, KeyIsLocked, LockFacts
from rutile_proto.values import valueclass

_LOCK_KINDS = {
    Op.PUT: LockKind.PUT,
    Op.INSERT: LockKind.PUT,
    Op.DELETE: LockKind.DELETE,
    Op.LOCK: LockKind.LOCK,
}


@valueclass
class PrewriteResult:
    min_commit_ts: int = 0
    """Async commit: the transaction commits at the largest of these. 0: it does not, commit in two phases."""
    one_pc_commit_ts: int = 0
    """Above 0: committed, at this timestamp."""


@valueclass
class Prewrite:
    """Lock the keys of `mutations` for the transaction `start_ts`.

    Raises ManyLocked (a KeyIsLocked) naming all keys that others hold, WriteConflict, AlreadyExist, AssertionFailed,
    and TxnAborted where a pessimistic lock was lost. Above 0, `for_update_ts` makes it a pessimistic transaction's.
    Async commit and one-phase commit fall back to two phases when max_ts is not known or `max_commit_ts` would be
    exceeded.
    """

    mutations: tuple[Mutation, ...]
    primary: bytes
    start_ts: int
    ttl_ms: int
    txn_size: int = 0
    min_commit_ts: int = 0
    max_commit_ts: int = 0
    for_update_ts: int = 0
    use_async_commit: bool = False
    secondaries: tuple[bytes, ...] = ()
    try_one_pc: bool = False
    assertion_level: int = AssertionLevel.OFF
    skip_constraint_check: bool = False
    is_retry: bool = False

    def latch_keys(self) -> Sequence[bytes]:
        return tuple(mutation.key for mutation in self.mutations)

    def process(self, reader: MvccReader, max_ts: int) -> Outcome[PrewriteResult]:
        states = self._check_all(reader)
        committed = next((state for state in states if isinstance(state, Committed)), None)
        if committed is not None:
            return self._as_committed(committed.commit_ts)
        commit_floor = self._commit_floor(max_ts)
        if self.try_one_pc and commit_floor and all(isinstance(state, Free) for state in states):
            return self._commit_at_once(states, commit_floor)
        return self._lock_all(states, commit_floor if self.use_async_commit else 0)

    # --- checks ---

    def _check_all(self, reader: MvccReader) -> list[KeyState]:
        checks = PrewriteChecks(
            reader,
            self.start_ts,
            self.primary,
            self.for_update_ts > 0,
            self.is_retry,
            self.skip_constraint_check,
            self.assertion_level,
        )
        states: list[KeyState] = []
        locks: list[LockFacts] = []
        for mutation in self.mutations:
            if mutation.op not in _LOCK_KINDS and mutation.op != Op.CHECK_NOT_EXISTS:
                raise InvalidRequest(f"a mutation of kind {mutation.op} cannot be prewritten")
            try:
                states.append(checks.check(mutation))
            except KeyIsLocked as met:
                locks.append(met.lock)
        if locks:
            raise ManyLocked(locks)
        return states

    def _as_committed(self, commit_ts: int) -> Outcome[PrewriteResult]:
        if self.try_one_pc:
            return Outcome([], PrewriteResult(one_pc_commit_ts=commit_ts))
        return Outcome([], PrewriteResult(min_commit_ts=commit_ts if self.use_async_commit else 0))

    def _commit_floor(self, max_ts: int) -> int:
        """The least commit_ts no reader can have missed; 0 if that is not known, or beyond what the client allows."""
        floor = max(max_ts + 1, self.start_ts + 1, self.for_update_ts + 1, self.min_commit_ts)
        within = not self.max_commit_ts or floor <= self.max_commit_ts
        return floor if max_ts and within else 0

    # --- locks ---

    def _lock_all(self, states: list[KeyState], commit_floor: int) -> Outcome[PrewriteResult]:
        changes = Changes()
        guards: list[tuple[bytes, Lock]] = []
        floors: list[int] = []
        for mutation, state in zip(self.mutations, states, strict=True):
            if isinstance(state, Prewritten):
                floors.append(state.lock.min_commit_ts if state.lock.use_async_commit else 0)
            elif mutation.op != Op.CHECK_NOT_EXISTS and isinstance(state, Free):
                lock = self._lock(changes, mutation, state.pessimistic_lock, commit_floor)
                changes.put_lock(mutation.key, lock)
                floors.append(lock.min_commit_ts if commit_floor else 0)
                guards.append((mutation.key, lock))
        agreed = max(floors, default=0) if all(floors) else 0
        return Outcome(changes.modifies, PrewriteResult(agreed), tuple(guards) if commit_floor else ())

    def _lock(self, changes: Changes, mutation: Mutation, earlier: Lock | None, commit_floor: int) -> Lock:
        kind = _LOCK_KINDS[Op(mutation.op)]
        value = changes.put_value(mutation.key, self.start_ts, mutation.value) if kind is LockKind.PUT else None
        return Lock(
            kind,
            self.primary,
            self.start_ts,
            max(self.ttl_ms, earlier.ttl_ms if earlier else 0),
            value,
            for_update_ts=self.for_update_ts,
            txn_size=self.txn_size,
            min_commit_ts=max(self.min_commit_ts, commit_floor, earlier.min_commit_ts if earlier else 0),
            use_async_commit=commit_floor > 0,
            secondaries=self.secondaries if commit_floor and mutation.key == self.primary else (),
        )

    # --- one phase ---

    def _commit_at_once(self, states: list[KeyState], commit_ts: int) -> Outcome[PrewriteResult]:
        changes = Changes()
        guards: list[tuple[bytes, Lock]] = []
        for mutation, state in zip(self.mutations, states, strict=True):
            if mutation.op == Op.CHECK_NOT_EXISTS or not isinstance(state, Free):
                continue
            lock = self._lock(changes, mutation, state.pessimistic_lock, commit_ts)
            changes.put_write(mutation.key, commit_ts, Write(lock.write_kind(), self.start_ts, lock.short_value))
            if state.pessimistic_lock is not None:
                changes.unlock(mutation.key)
            guards.append((mutation.key, lock))
        return Outcome(changes.modifies, PrewriteResult(one_pc_commit_ts=commit_ts), tuple(guards))
