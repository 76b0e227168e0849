"""The transaction met another one (kvrpcpb.KeyError)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    pass
from rutile_proto.errors.base import Retry, RutileError


class TxnError(RutileError):
    """A transaction command could not do its work; nothing of that command was written."""


@dataclass(frozen=True, slots=True)
class LockFacts:
    """What a reader needs to know of somebody's lock (kvrpcpb.LockInfo)."""

    key: bytes
    primary: bytes
    start_ts: int
    ttl_ms: int
    lock_type: int
    """kvrpcpb.Op: 0 Put, 1 Del, 2 Lock, 5 PessimisticLock."""
    txn_size: int = 0
    for_update_ts: int = 0
    min_commit_ts: int = 0
    use_async_commit: bool = False
    secondaries: tuple[bytes, ...] = ()


@dataclass(eq=False)
class KeyIsLocked(TxnError):
    lock: LockFacts
    retry = Retry.RESOLVE_LOCK

    def __str__(self) -> str:
        return f"key {self.lock.key.hex()} is locked by transaction {self.lock.start_ts}"


class ConflictReason(Enum):
    """kvrpcpb.WriteConflict.Reason, same numbers."""

    UNKNOWN = 0
    OPTIMISTIC = 1
    PESSIMISTIC_RETRY = 2
    SELF_ROLLED_BACK = 3
    RC_CHECK_TS = 4
    LAZY_UNIQUENESS_CHECK = 5
    NOT_LOCKED_KEY_CONFLICT = 6


@dataclass(eq=False)
class WriteConflict(TxnError):
    start_ts: int
    conflict_start_ts: int
    conflict_commit_ts: int
    key: bytes
    primary: bytes = b""
    reason: ConflictReason = ConflictReason.OPTIMISTIC
    retry = Retry.RESTART_TRANSACTION

    def __str__(self) -> str:
        return (
            f"write conflict on {self.key.hex()}: transaction {self.start_ts} met one committed at"
            f" {self.conflict_commit_ts} ({self.reason.name.lower()}); begin again"
        )


@dataclass(eq=False)
class AlreadyExist(TxnError):
    key: bytes

    def __str__(self) -> str:
        return f"key {self.key.hex()} already exists"


@dataclass(eq=False)
class Deadlock(TxnError):
    lock_ts: int
    lock_key: bytes
    deadlock_key_hash: int = 0
    wait_chain: tuple[tuple[int, int, bytes], ...] = ()
    """(transaction, waits for transaction, key) from the victim round to itself."""
    retry = Retry.RESTART_TRANSACTION

    def __str__(self) -> str:
        chain = " -> ".join(str(waiter) for waiter, _, _ in self.wait_chain)
        return f"deadlock on {self.lock_key.hex()} with transaction {self.lock_ts}; chain: {chain or 'unknown'}"


@dataclass(eq=False)
class CommitTsExpired(TxnError):
    start_ts: int
    attempted_commit_ts: int
    key: bytes
    min_commit_ts: int

    def __str__(self) -> str:
        return f"commit at {self.attempted_commit_ts} is below the lock's minimum {self.min_commit_ts}: take a newer"


@dataclass(eq=False)
class CommitTsTooLarge(TxnError):
    commit_ts: int

    def __str__(self) -> str:
        return f"the calculated commit timestamp {self.commit_ts} is over the transaction's maximum"


@dataclass(eq=False)
class TxnNotFound(TxnError):
    start_ts: int
    primary_key: bytes

    def __str__(self) -> str:
        return f"transaction {self.start_ts} is unknown at its primary {self.primary_key.hex()}"


@dataclass(eq=False)
class TxnLockNotFound(TxnError):
    """Commit found neither the lock nor a commit record: the transaction was rolled back, or never prewritten."""

    start_ts: int
    commit_ts: int
    key: bytes
    retry = Retry.RESTART_TRANSACTION

    def __str__(self) -> str:
        return f"no lock of transaction {self.start_ts} on {self.key.hex()}: it was rolled back or never prewritten"


@dataclass(eq=False)
class AssertionFailed(TxnError):
    start_ts: int
    key: bytes
    assertion: int
    existing_start_ts: int = 0
    existing_commit_ts: int = 0

    def __str__(self) -> str:
        wanted = {1: "to exist", 2: "not to exist"}.get(self.assertion, "something else")
        return f"transaction {self.start_ts} asserted key {self.key.hex()} {wanted}, which does not hold"


@dataclass(eq=False)
class PrimaryMismatch(TxnError):
    lock: LockFacts

    def __str__(self) -> str:
        return f"key {self.lock.key.hex()} is not the primary of transaction {self.lock.start_ts}"


@dataclass(eq=False)
class LockWaitTimeout(TxnError):
    lock: LockFacts

    def __str__(self) -> str:
        return f"waited too long for transaction {self.lock.start_ts} to release {self.lock.key.hex()}"


@dataclass(eq=False)
class TxnAborted(TxnError):
    """kvrpcpb.KeyError.abort: a text without a class of its own."""

    message: str

    def __str__(self) -> str:
        return self.message


@dataclass(eq=False)
class TxnRetryable(TxnAborted):
    """kvrpcpb.KeyError.retryable: nothing was written, and the transaction may be begun again."""
