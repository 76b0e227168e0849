"""BatchRollback: the transaction's owner gives it up."""

from collections.abc import Sequence

from rutile_kv.mvcc.reader import MvccReader
from rutile_kv.txn.changes import Changes
from rutile_kv.txn.model import Outcome
from rutile_kv.txn.settle import already_committed, roll_back_key
from rutile_proto.values import valueclass


@valueclass
class BatchRollback:
    """Roll `keys` of a transaction back, prewritten or not, and keep later prewrites of it out.

    Raises TxnAborted if a key is committed.
    """

    start_ts: int
    keys: tuple[bytes, ...]

    def latch_keys(self) -> Sequence[bytes]:
        return self.keys

    def process(self, reader: MvccReader, max_ts: int) -> Outcome[None]:
        changes = Changes()
        for key in self.keys:
            commit_ts = roll_back_key(reader, changes, key, self.start_ts)
            if commit_ts is not None:
                raise already_committed(self.start_ts, commit_ts)
        return Outcome(changes.modifies, None)
