"""The error tree. Every failure Rutile reports is one of these, and each answers: may the caller try again, and how?

    RutileError
    ├── RegionError                     the request went to the wrong place, or the region could not serve it now
    │   ├── NotLeader                     switch to the hinted peer
    │   ├── RegionNotFound, KeyNotInRegion, EpochNotMatch, StoreNotMatch, MismatchPeerId, StaleCommand
    │   │                                 refresh the region cache
    │   ├── ServerIsBusy, MaxTimestampNotSynced, ReadIndexNotReady, DataIsNotReady, RegionNotInitialized,
    │   │   ProposalInMergingMode, DiskFull   back off
    │   └── RaftEntryTooLarge             give up: send less
    ├── TxnError                        the transaction met another one (kvrpcpb.KeyError)
    │   ├── KeyIsLocked                   resolve the lock, try again
    │   ├── WriteConflict, Deadlock, AlreadyExist, AssertionFailed, CommitTsExpired, CommitTsTooLarge,
    │   │   TxnNotFound, TxnLockNotFound, PrimaryMismatch, LockWaitTimeout, TxnAborted, TxnRetryable
    ├── UndeterminedResult              the commit may or may not have happened
    ├── RetriesExhausted                the budget of a back-off ran out; carries the last cause
    ├── WatchEnded                      a watch cannot go on
    │   ├── WatchFellBehind, WatchBelowSafePoint, WatchHistoryGone
    ├── PdError                         the placement driver refused
    ├── InvalidRequest                  malformed or out of bounds; says which bound
    │   └── TransactionTooLarge           commit in parts
    ├── MalformedEncoding               bytes that none of our encoders wrote
    ├── StorageError                    this node's disk
    │   ├── EngineClosed, EngineCorrupt, DataDirMismatch, PortInUse
    └── CoprocessorError                pushed-down execution
        ├── FragmentRefused               not on the whitelist
        ├── FragmentFailed                the engine reported an error (overflow, bad cast, ...)
        ├── LayoutMismatch                a row was written under another definition: look at the definition again
        └── FragmentCancelled             deadline, KILL, or client gone

SQL errors (MySQL codes) live in `rutile.errors`; they wrap these where a statement meets them.
"""

from __future__ import annotations

from rutile_proto.errors.base import Retry, RutileError
from rutile_proto.errors.others import (
    CoprocessorError,
    DataDirMismatch,
    EngineClosed,
    EngineCorrupt,
    FragmentCancelled,
    FragmentFailed,
    FragmentRefused,
    InvalidRequest,
    LayoutMismatch,
    MalformedEncoding,
    PdError,
    PortInUse,
    RetriesExhausted,
    StorageError,
    TransactionTooLarge,
    UndeterminedResult,
    WatchBelowSafePoint,
    WatchEnded,
    WatchFellBehind,
    WatchHistoryGone,
)
from rutile_proto.errors.regions import (
    DataIsNotReady,
    DiskFull,
    EpochNotMatch,
    KeyNotInRegion,
    MaxTimestampNotSynced,
    MismatchPeerId,
    NotLeader,
    ProposalInMergingMode,
    RaftEntryTooLarge,
    ReadIndexNotReady,
    RegionDamaged,
    RegionError,
    RegionNotFound,
    RegionNotInitialized,
    ServerIsBusy,
    StaleCommand,
    StoreNotMatch,
    UnknownRegionError,
)
from rutile_proto.errors.transactions import (
    AlreadyExist,
    AssertionFailed,
    CommitTsExpired,
    CommitTsTooLarge,
    ConflictReason,
    Deadlock,
    KeyIsLocked,
    LockFacts,
    LockWaitTimeout,
    PrimaryMismatch,
    TxnAborted,
    TxnError,
    TxnLockNotFound,
    TxnNotFound,
    TxnRetryable,
    WriteConflict,
)

__all__ = [
    "AlreadyExist", "AssertionFailed", "CommitTsExpired", "CommitTsTooLarge", "ConflictReason", "CoprocessorError",
    "DataDirMismatch", "DataIsNotReady", "Deadlock", "DiskFull", "EngineClosed", "EngineCorrupt", "EpochNotMatch",
    "FragmentCancelled", "FragmentFailed", "FragmentRefused", "InvalidRequest", "KeyIsLocked", "KeyNotInRegion",
    "LayoutMismatch",
    "LockFacts", "LockWaitTimeout", "MalformedEncoding", "MaxTimestampNotSynced", "MismatchPeerId", "NotLeader",
    "PdError", "PortInUse", "PrimaryMismatch", "ProposalInMergingMode", "RaftEntryTooLarge", "ReadIndexNotReady",
    "RegionDamaged", "RegionError", "RegionNotFound", "RegionNotInitialized", "RetriesExhausted", "Retry",
    "RutileError", "ServerIsBusy", "StaleCommand", "StorageError", "StoreNotMatch", "TransactionTooLarge",
    "TxnAborted", "TxnError", "TxnLockNotFound", "TxnNotFound", "TxnRetryable", "UndeterminedResult",
    "UnknownRegionError", "WatchBelowSafePoint", "WatchEnded", "WatchFellBehind", "WatchHistoryGone", "WriteConflict",
]  # fmt: skip
