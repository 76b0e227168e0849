"""Cleanup: what old clients (the Python wheel) send to the primary of a lock they met."""

from collections.abc import Sequence

from rutile_kv.mvcc.reader import MvccReader
from rutile_kv.txn.changes import Changes
from rutile_kv.txn.model import Outcome
from rutile_kv.txn.settle import expired, owned, roll_back_key
from rutile_proto.errors import KeyIsLocked
from rutile_proto.values import valueclass


@valueclass
class CleanupResult:
    commit_ts: int
    """Of the transaction, or 0 if it is rolled back (now or before)."""


@valueclass
class Cleanup:
    """Roll the transaction back on `key` unless it is committed.

    Raises KeyIsLocked while its lock's time to live runs at `current_ts`; 0 there means that it is not asked for.
    """

    key: bytes
    start_ts: int
    current_ts: int

    def latch_keys(self) -> Sequence[bytes]:
        return (self.key,)

    def process(self, reader: MvccReader, max_ts: int) -> Outcome[CleanupResult]:
        lock = reader.load_lock(self.key)
        if lock is not None and owned(lock, self.start_ts) and self.current_ts and not expired(lock, self.current_ts):
            raise KeyIsLocked(lock.facts(self.key))
        changes = Changes()
        commit_ts = roll_back_key(reader, changes, self.key, self.start_ts)
        return Outcome(changes.modifies, CleanupResult(commit_ts or 0))
