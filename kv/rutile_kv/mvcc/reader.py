"""The questions about versions that gets, scans and transaction commands ask of the engine."""

from collections.abc import Container, Iterator
from typing import TypeAlias

from rutile_kv.engine.api import CF_DEFAULT, CF_LOCK, CF_WRITE, Reader
from rutile_kv.mvcc.records import Lock, LockKind, Write, WriteKind
from rutile_kv.mvcc.versions import NO_DATA, newest_first, oldest_first
from rutile_proto.codec import encode_uint64_desc
from rutile_proto.errors import EngineCorrupt, KeyIsLocked, LockFacts
from rutile_proto.keys import TS_LENGTH, split_versioned, storage_bound, storage_key, user_key, versioned_key
from rutile_proto.timestamps import MAX_TIMESTAMP
from rutile_proto.values import valueclass

_ABOVE_VERSIONS = b"\xff" * TS_LENGTH + b"\xff"
"""Behind a storage key: above every version of that key, and below the next key."""
NOBODY: frozenset[int] = frozenset()
Version: TypeAlias = tuple[int, Write]
"""(commit_ts, record)."""


# --- what became of a transaction -------------------------------------------------------------------------------------


@valueclass
class Recorded:
    """The transaction left this record: a commit at `commit_ts`, or a rollback."""

    commit_ts: int
    write: Write


@valueclass
class OverlappedRollback:
    """It was rolled back, which the record of another transaction, committed at its start_ts, says by a flag."""


@valueclass
class NotRecorded:
    """It left no record."""

    overlapped_write: Write | None
    """The record of another transaction committed at its start_ts: a rollback would have to go there."""


TxnRecord: TypeAlias = Recorded | OverlappedRollback | NotRecorded


# --- whom a lock blocks -----------------------------------------------------------------------------------------------


def blocks_read(lock: Lock, key: bytes, ts: int, bypass: frozenset[int] = NOBODY) -> bool:
    """Whether a reader of `key` (a user key) at `ts` must find out about `lock` first.

    It need not when the lock writes nothing, belongs to a later transaction, cannot be committed at or below `ts`, or
    is one of `bypass`: start timestamps known to be rolled back or to commit above `ts`. A reader of the newest version
    that meets the primary takes the transaction as not yet committed, unless async commit may have decided otherwise.
    """
    if lock.start_ts > ts or lock.kind in (LockKind.LOCK, LockKind.PESSIMISTIC):
        return False
    if lock.min_commit_ts > ts or lock.start_ts in bypass:
        return False
    return ts != MAX_TIMESTAMP or key != lock.primary or lock.use_async_commit


class MvccReader:
    """Reads versions through an engine reader. All keys are user keys; an empty `start` or `end` is infinity."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    # --- values ---

    def get(
        self, key: bytes, ts: int, *, bypass: frozenset[int] = NOBODY, access: frozenset[int] = NOBODY
    ) -> bytes | None:
        """The value of `key` as of `ts`, or None.

        `bypass` and `access` are start timestamps of transactions whose locks may be stepped over, or read as if
        committed (kvrpcpb.Context.resolved_locks and committed_locks). Raises KeyIsLocked.
        """
        lock = self.load_lock(key)
        if lock is not None:
            if lock.start_ts in access and lock.kind in (LockKind.PUT, LockKind.DELETE):
                return self._locked_value(key, lock)
            if blocks_read(lock, key, ts, bypass):
                raise KeyIsLocked(lock.facts(key))
        storage = storage_key(key)
        for _, data in self._reader.scan(CF_WRITE, versioned_key(storage, ts), storage + _ABOVE_VERSIONS):
            write = Write.from_bytes(data)
            if write.kind not in NO_DATA:
                return self.value_of(key, write)
        return None

    def value_of(self, key: bytes, write: Write) -> bytes | None:
        """The value that a record of `key` stands for; None unless it is a PUT."""
        if write.kind is not WriteKind.PUT:
            return None
        return write.short_value if write.short_value is not None else self.long_value(storage_key(key), write.start_ts)

    def _locked_value(self, key: bytes, lock: Lock) -> bytes | None:
        if lock.kind is LockKind.DELETE:
            return None
        if lock.short_value is not None:
            return lock.short_value
        return self.long_value(storage_key(key), lock.start_ts)

    def long_value(self, storage: bytes, start_ts: int) -> bytes:
        """A value of the family default; EngineCorrupt if it is not there, since something says that it is."""
        value = self._reader.get(CF_DEFAULT, versioned_key(storage, start_ts))
        if value is None:
            raise EngineCorrupt(f"the value of {storage.hex()} written by transaction {start_ts} is missing")
        return value

    # --- records ---

    def load_lock(self, key: bytes) -> Lock | None:
        """The lock on `key`, whoever owns it."""
        data = self._reader.get(CF_LOCK, storage_key(key))
        return None if data is None else Lock.from_bytes(data)

    def writes(self, key: bytes, newest: int = MAX_TIMESTAMP) -> Iterator[Version]:
        """(commit_ts, record) of `key` with commit_ts <= newest, newest first."""
        storage = storage_key(key)
        for version, data in self._reader.scan(CF_WRITE, versioned_key(storage, newest), storage + _ABOVE_VERSIONS):
            yield split_versioned(version)[1], Write.from_bytes(data)

    def seek_write(self, key: bytes, ts: int) -> Version | None:
        """(commit_ts, record) of the newest record of any kind with commit_ts <= ts."""
        return next(self.writes(key, ts), None)

    def seek_data(self, key: bytes, ts: int) -> Version | None:
        """(commit_ts, record) of the newest PUT or DELETE with commit_ts <= ts."""
        return next((found for found in self.writes(key, ts) if found[1].kind not in NO_DATA), None)

    def get_txn_commit_record(self, key: bytes, start_ts: int) -> TxnRecord:
        """What the transaction that began at `start_ts` left on `key`."""
        for commit_ts, write in self.writes(key):
            if commit_ts < start_ts:
                break
            if write.start_ts == start_ts:
                return Recorded(commit_ts, write)
            if commit_ts == start_ts:
                return OverlappedRollback() if write.overlapped_rollback else NotRecorded(write)
        return NotRecorded(None)

    # --- ranges ---

    def scan_locks(
        self, start: bytes, end: bytes, max_ts: int, limit: int, *, owners: Container[int] | None = None
    ) -> list[LockFacts]:
        """The first `limit` locks of any kind in [start, end) with start_ts <= max_ts, in key order.

        With `owners`, only those of these transactions.
        """
        found: list[LockFacts] = []
        for storage, data in self._reader.scan(CF_LOCK, storage_bound(start), storage_bound(end) or None):
            lock = Lock.from_bytes(data)
            if lock.start_ts <= max_ts and (owners is None or lock.start_ts in owners):
                found.append(lock.facts(user_key(storage)))
                if len(found) == limit:
                    break
        return found

    def scan(
        self,
        start: bytes,
        end: bytes,
        ts: int,
        limit: int,
        *,
        reverse: bool = False,
        key_only: bool = False,
        bypass: frozenset[int] = NOBODY,
        access: frozenset[int] = NOBODY,
    ) -> list[tuple[bytes, bytes | KeyIsLocked]]:
        """The first `limit` pairs of [start, end) as of `ts`, from the upper end down when `reverse`.

        A key whose lock blocks the reader stands in the list with its KeyIsLocked; its neighbours are read all the
        same. With `key_only` values are empty.
        """
        low, high = storage_bound(start), storage_bound(end) or None
        pairs: list[tuple[bytes, bytes | KeyIsLocked]] = []
        locks = self._answering_locks(low, high, ts, reverse, bypass, access)
        for storage, answer in _overlaid(self._visible(low, high, ts, reverse), locks, reverse):
            if len(pairs) == limit:
                break
            value = self._answer(storage, answer, key_only)
            if value is not None:
                pairs.append((user_key(storage), value))
        return pairs

    def _answer(self, storage: bytes, answer: "_Answer", key_only: bool) -> bytes | KeyIsLocked | None:
        if isinstance(answer, KeyIsLocked):
            return answer
        if answer.kind in (WriteKind.DELETE, LockKind.DELETE):
            return None
        if key_only:
            return b""
        return answer.short_value if answer.short_value is not None else self.long_value(storage, answer.start_ts)

    def _answering_locks(
        self, low: bytes, high: bytes | None, ts: int, reverse: bool, bypass: frozenset[int], access: frozenset[int]
    ) -> Iterator[tuple[bytes, "_Answer"]]:
        """Locks that decide what a reader gets of their key: by blocking it, or by being read as committed."""
        for storage, data in self._reader.scan(CF_LOCK, low, high, reverse=reverse):
            lock = Lock.from_bytes(data)
            key = user_key(storage)
            if lock.start_ts in access and lock.kind in (LockKind.PUT, LockKind.DELETE):
                yield storage, lock
            elif blocks_read(lock, key, ts, bypass):
                yield storage, KeyIsLocked(lock.facts(key))

    def _visible(self, low: bytes, high: bytes | None, ts: int, reverse: bool) -> Iterator[tuple[bytes, "_Answer"]]:
        """(storage key, newest PUT or DELETE with commit_ts <= ts) of each key that has one, in scan order."""
        pairs = self._reader.scan(CF_WRITE, low, high, reverse=reverse)
        newest = encode_uint64_desc(ts)
        chosen = oldest_first(pairs, newest) if reverse else newest_first(pairs, newest)
        return ((version[:-TS_LENGTH], Write.from_bytes(data)) for version, data in chosen)


_Answer: TypeAlias = Write | Lock | KeyIsLocked


def _overlaid(
    rows: Iterator[tuple[bytes, _Answer]], locks: Iterator[tuple[bytes, _Answer]], reverse: bool
) -> Iterator[tuple[bytes, _Answer]]:
    """Rows and locks in one order; a lock takes the place of its key's row."""
    lock = next(locks, None)
    for row in rows:
        while lock is not None and (lock[0] > row[0] if reverse else lock[0] < row[0]):
            yield lock
            lock = next(locks, None)
        if lock is not None and lock[0] == row[0]:
            row, lock = lock, next(locks, None)
        yield row
    while lock is not None:
        yield lock
        lock = next(locks, None)
