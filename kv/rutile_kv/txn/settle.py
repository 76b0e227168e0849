"""Settling one key of a transaction: committing or rolling back its lock, or recording that it never was.

Several commands end in these steps. Each is idempotent: repeated, it finds its own record and writes nothing.
"""

from dataclasses import replace

from rutile_kv.mvcc.reader import MvccReader, NotRecorded, OverlappedRollback, Recorded, TxnRecord
from rutile_kv.mvcc.records import Lock, LockKind, Write, WriteKind
from rutile_kv.txn.changes import Changes
from rutile_proto.errors import CommitTsExpired, TxnAborted
from rutile_proto.timestamps import physical_ms


def owned(lock: Lock | None, start_ts: int) -> bool:
    """Whether the lock is there and belongs to the transaction that began at `start_ts`."""
    return lock is not None and lock.start_ts == start_ts


def commit_time(record: TxnRecord) -> int | None:
    """The commit_ts a record tells, or None if it tells of no commit."""
    if isinstance(record, Recorded) and record.write.kind is not WriteKind.ROLLBACK:
        return record.commit_ts
    return None


def is_rolled_back(record: TxnRecord) -> bool:
    """Whether a record tells of a rollback."""
    return isinstance(record, OverlappedRollback) or (
        isinstance(record, Recorded) and record.write.kind is WriteKind.ROLLBACK
    )


def expired(lock: Lock, current_ts: int) -> bool:
    """Whether the lock's time to live is over at `current_ts`; its owner may be taken for dead."""
    return physical_ms(lock.start_ts) + lock.ttl_ms < physical_ms(current_ts)


def commit_lock(changes: Changes, key: bytes, lock: Lock, commit_ts: int) -> None:
    """Turn a prewritten lock into a commit record. Raises CommitTsExpired below the lock's min_commit_ts."""
    if commit_ts < lock.min_commit_ts:
        raise CommitTsExpired(lock.start_ts, commit_ts, key, lock.min_commit_ts)
    overlapped = commit_ts in lock.rollback_ts
    changes.put_write(key, commit_ts, Write(lock.write_kind(), lock.start_ts, lock.short_value, overlapped))
    changes.unlock(key)


def roll_back_lock(reader: MvccReader, changes: Changes, key: bytes, lock: Lock) -> None:
    """Remove the transaction's own lock with its value, and leave a rollback record.

    A lock beside a commit record is a pessimistic one whose request came again: it is only removed.
    """
    record = reader.get_txn_commit_record(key, lock.start_ts)
    changes.unlock(key)
    if commit_time(record) is not None:
        return
    if lock.kind is LockKind.PUT and lock.short_value is None:
        changes.delete_value(key, lock.start_ts)
    _put_rollback(changes, key, lock.start_ts, record)


def roll_back_missing(
    changes: Changes, key: bytes, start_ts: int, record: NotRecorded, other_lock: Lock | None
) -> None:
    """Record that a transaction without lock or record on `key` is rolled back, so that a late prewrite fails.

    Another transaction's async-commit lock is told too: should that be committed at our start_ts, its record carries
    our rollback.
    """
    _put_rollback(changes, key, start_ts, record)
    if other_lock is not None and other_lock.use_async_commit and start_ts not in other_lock.rollback_ts:
        changes.put_lock(key, replace(other_lock, rollback_ts=(*other_lock.rollback_ts, start_ts)))


def roll_back_key(reader: MvccReader, changes: Changes, key: bytes, start_ts: int) -> int | None:
    """Roll the transaction back on `key` in whatever state it is there.

    Returns the commit_ts if it is committed already, and then writes nothing.
    """
    lock = reader.load_lock(key)
    if lock is not None and owned(lock, start_ts):
        roll_back_lock(reader, changes, key, lock)
        return None
    record = reader.get_txn_commit_record(key, start_ts)
    if isinstance(record, NotRecorded):
        roll_back_missing(changes, key, start_ts, record, lock)
    return commit_time(record)


def already_committed(start_ts: int, commit_ts: int) -> TxnAborted:
    """The error for wanting to roll back what is committed."""
    return TxnAborted(f"transaction {start_ts} is committed already, at {commit_ts}: it cannot be rolled back")


def _put_rollback(changes: Changes, key: bytes, start_ts: int, record: TxnRecord) -> None:
    overlapped = record.overlapped_write if isinstance(record, NotRecorded) else None
    if overlapped is None:
        changes.put_write(key, start_ts, Write.rollback(start_ts, protected=True))
    else:
        changes.put_write(key, start_ts, replace(overlapped, overlapped_rollback=True))
