"""PessimisticRollback: release pessimistic locks, for instance after a statement that failed."""

from collections.abc import Sequence

from rutile_kv.mvcc.reader import MvccReader
from rutile_kv.mvcc.records import LockKind
from rutile_kv.txn.changes import Changes
from rutile_kv.txn.model import Outcome
from rutile_kv.txn.settle import owned
from rutile_proto.values import valueclass


@valueclass
class PessimisticRollback:
    """Remove the transaction's pessimistic locks taken at or before `for_update_ts`; the transaction goes on."""

    start_ts: int
    for_update_ts: int
    keys: tuple[bytes, ...]

    def latch_keys(self) -> Sequence[bytes]:
        return self.keys

    def process(self, reader: MvccReader, max_ts: int) -> Outcome[None]:
        changes = Changes()
        for key in self.keys:
            lock = reader.load_lock(key)
            if lock is None or not owned(lock, self.start_ts) or lock.kind is not LockKind.PESSIMISTIC:
                continue
            if lock.for_update_ts <= self.for_update_ts:
                changes.unlock(key)
        return Outcome(changes.modifies, None, may_be_lost=True)
