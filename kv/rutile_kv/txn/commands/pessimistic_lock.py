"""PessimisticLock: take keys while the transaction still runs, as SELECT ... FOR UPDATE and pessimistic DML do."""

from collections.abc import Sequence
from dataclasses import replace

from rutile_kv.mvcc.reader import MvccReader, NotRecorded, Version
from rutile_kv.mvcc.records import Lock, LockKind, WriteKind
from rutile_kv.mvcc.versions import NO_DATA
from rutile_kv.txn.changes import Changes
from rutile_kv.txn.model import Assertion, Mutation, Outcome
from rutile_kv.txn.settle import commit_time, is_rolled_back, owned
from rutile_proto.errors import AlreadyExist, ConflictReason, KeyIsLocked, TxnAborted, WriteConflict
from rutile_proto.timestamps import MAX_TIMESTAMP
from rutile_proto.values import valueclass


@valueclass
class LockedKey:
    """What was found under the lock."""

    value: bytes | None
    """The newest committed value if values were asked for."""
    exists: bool


@valueclass
class PessimisticLockResult:
    keys: tuple[LockedKey, ...]
    """In the order of the mutations."""


@valueclass
class PessimisticLock:
    """Lock the keys of `mutations` as of `for_update_ts`.

    Raises KeyIsLocked if somebody else holds one (waiting is the shell's business), WriteConflict if one was committed
    after `for_update_ts`: take a new one and read again. AlreadyExist where the mutation asserts that there is nothing,
    TxnAborted if the transaction is decided or has prewritten the key. `lock_only_if_exists` leaves absent keys alone.
    """

    mutations: tuple[Mutation, ...]
    primary: bytes
    start_ts: int
    for_update_ts: int
    ttl_ms: int
    min_commit_ts: int = 0
    return_values: bool = False
    check_existence: bool = False
    lock_only_if_exists: bool = False

    def latch_keys(self) -> Sequence[bytes]:
        return tuple(mutation.key for mutation in self.mutations)

    def process(self, reader: MvccReader, max_ts: int) -> Outcome[PessimisticLockResult]:
        changes = Changes()
        found = tuple(self._lock(reader, changes, mutation) for mutation in self.mutations)
        return Outcome(changes.modifies, PessimisticLockResult(found), may_be_lost=True)

    def _lock(self, reader: MvccReader, changes: Changes, mutation: Mutation) -> LockedKey:
        lock = reader.load_lock(mutation.key)
        newest = reader.seek_write(mutation.key, MAX_TIMESTAMP)
        if lock is not None:
            self._check_own(lock, mutation.key)
        elif newest is not None:
            self._check_records(reader, mutation.key, newest)
        found = self._read(reader, mutation, newest)
        if found.exists or not self.lock_only_if_exists:
            self._take(changes, mutation.key, lock)
        return found

    def _take(self, changes: Changes, key: bytes, own: Lock | None) -> None:
        if own is None:
            ts, minimum = self.for_update_ts, self.min_commit_ts
            fresh = Lock(
                LockKind.PESSIMISTIC, self.primary, self.start_ts, self.ttl_ms, for_update_ts=ts, min_commit_ts=minimum
            )
            changes.put_lock(key, fresh)
        elif own.for_update_ts < self.for_update_ts:
            changes.put_lock(key, replace(own, for_update_ts=self.for_update_ts, ttl_ms=max(own.ttl_ms, self.ttl_ms)))

    def _check_own(self, lock: Lock, key: bytes) -> None:
        if not owned(lock, self.start_ts):
            raise KeyIsLocked(lock.facts(key))
        if lock.kind is not LockKind.PESSIMISTIC:
            raise TxnAborted(f"transaction {self.start_ts} has prewritten {key.hex()}: it cannot be locked any more")

    def _check_records(self, reader: MvccReader, key: bytes, newest: Version) -> None:
        """What the transaction left itself cannot be older than it is."""
        commit_ts, write = newest
        record = reader.get_txn_commit_record(key, self.start_ts) if commit_ts >= self.start_ts else NotRecorded(None)
        if is_rolled_back(record) or commit_time(record) is not None:
            raise TxnAborted(f"transaction {self.start_ts} is rolled back or committed on {key.hex()}: begin again")
        if commit_ts > self.for_update_ts:
            reason = ConflictReason.PESSIMISTIC_RETRY
            raise WriteConflict(self.start_ts, write.start_ts, commit_ts, key, self.primary, reason)

    def _read(self, reader: MvccReader, mutation: Mutation, newest: Version | None) -> LockedKey:
        must_be_absent = mutation.assertion == Assertion.NOT_EXIST
        if not (must_be_absent or self.return_values or self.check_existence or self.lock_only_if_exists):
            return LockedKey(None, False)
        data = newest
        if newest is not None and newest[1].kind in NO_DATA:
            data = reader.seek_data(mutation.key, newest[0])
        exists = data is not None and data[1].kind is WriteKind.PUT
        if must_be_absent and exists:
            raise AlreadyExist(mutation.key)
        value = reader.value_of(mutation.key, data[1]) if data is not None and self.return_values else None
        return LockedKey(value, exists)
