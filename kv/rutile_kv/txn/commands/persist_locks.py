"""PersistLocks: write pessimistic locks out that only the leader's memory has, before somebody else leads."""

from collections.abc import Sequence

from rutile_kv.mvcc.reader import MvccReader
from rutile_kv.mvcc.records import LockKind
from rutile_kv.txn.changes import Changes
from rutile_kv.txn.model import Outcome
from rutile_proto.values import valueclass


@valueclass
class PersistLocks:
    """Have the pessimistic locks on `keys` written through Raft. A key without one is left alone."""

    keys: tuple[bytes, ...]

    def latch_keys(self) -> Sequence[bytes]:
        return self.keys

    def process(self, reader: MvccReader, max_ts: int) -> Outcome[None]:
        changes = Changes()
        for key in self.keys:
            lock = reader.load_lock(key)
            if lock is not None and lock.kind is LockKind.PESSIMISTIC:
                changes.put_lock(key, lock)
        return Outcome(changes.modifies, None)
