"""Transaction commands, one verb a file.

A command is a frozen dataclass of plain fields (user keys, protocol numbers). `latch_keys` says which keys it may
write; `process` looks at what is stored and decides, once: an Outcome, or a TxnError and nothing written. It runs
between two awaits of the shell, so what it read is still so when it decides.

Every command may be repeated: the answer to a request can be lost after the work was done.
"""

from rutile_kv.txn.commands.batch_rollback import BatchRollback
from rutile_kv.txn.commands.check_secondary_locks import CheckSecondaryLocks, SecondaryLocks
from rutile_kv.txn.commands.check_txn_status import Action, CheckTxnStatus, TxnStatus
from rutile_kv.txn.commands.cleanup import Cleanup, CleanupResult
from rutile_kv.txn.commands.collect_garbage import Collected, CollectGarbage
from rutile_kv.txn.commands.commit import Commit, CommitResult
from rutile_kv.txn.commands.persist_locks import PersistLocks
from rutile_kv.txn.commands.pessimistic_lock import LockedKey, PessimisticLock, PessimisticLockResult
from rutile_kv.txn.commands.pessimistic_rollback import PessimisticRollback
from rutile_kv.txn.commands.prewrite import Prewrite, PrewriteResult
from rutile_kv.txn.commands.resolve_lock import ResolveLock
from rutile_kv.txn.commands.txn_heart_beat import HeartBeatResult, TxnHeartBeat

__all__ = [
    "Action",
    "BatchRollback",
    "CheckSecondaryLocks",
    "CheckTxnStatus",
    "Cleanup",
    "CleanupResult",
    "CollectGarbage",
    "Collected",
    "Commit",
    "CommitResult",
    "HeartBeatResult",
    "LockedKey",
    "PersistLocks",
    "PessimisticLock",
    "PessimisticLockResult",
    "PessimisticRollback",
    "Prewrite",
    "PrewriteResult",
    "ResolveLock",
    "SecondaryLocks",
    "TxnHeartBeat",
    "TxnStatus",
]
