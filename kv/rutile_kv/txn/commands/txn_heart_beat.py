"""TxnHeartBeat: the owner lives."""

from collections.abc import Sequence
from dataclasses import replace

from rutile_kv.mvcc.reader import MvccReader
from rutile_kv.mvcc.records import LockKind
from rutile_kv.txn.changes import Changes
from rutile_kv.txn.model import Outcome
from rutile_kv.txn.settle import owned
from rutile_proto.errors import TxnNotFound
from rutile_proto.values import valueclass


@valueclass
class HeartBeatResult:
    ttl_ms: int
    """Of the lock from now on."""


@valueclass
class TxnHeartBeat:
    """Extend the time to live of the primary lock; never shortens it. Raises TxnNotFound if the lock is gone."""

    primary_key: bytes
    start_ts: int
    advised_ttl_ms: int

    def latch_keys(self) -> Sequence[bytes]:
        return (self.primary_key,)

    def process(self, reader: MvccReader, max_ts: int) -> Outcome[HeartBeatResult]:
        lock = reader.load_lock(self.primary_key)
        if lock is None or not owned(lock, self.start_ts):
            raise TxnNotFound(self.start_ts, self.primary_key)
        changes = Changes()
        if lock.ttl_ms < self.advised_ttl_ms:
            lock = replace(lock, ttl_ms=self.advised_ttl_ms)
            changes.put_lock(self.primary_key, lock)
        may_be_lost = lock.kind is LockKind.PESSIMISTIC
        return Outcome(changes.modifies, HeartBeatResult(lock.ttl_ms), may_be_lost=may_be_lost)
