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
    │   │   TxnNotFound, TxnLockNotFound, PrimaryMismatch, LockWaitTimeout, TxnAborted
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
        └── FragmentCancelled             deadline, KILL, or client gone

SQL errors (MySQL codes) live in `rutile.errors`; they wrap these where a statement meets them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, auto
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from rutile_proto.metapb_pb2 import Peer, Region


class Retry(Enum):
    """What a caller does about an error."""

    NEVER = auto()
    """Report it."""
    NEXT_PEER = auto()
    """Send it to the hinted leader, or to the next peer, at once."""
    REFRESH_REGION = auto()
    """Drop the cached region, look it up again, send it again."""
    BACK_OFF = auto()
    """Wait, then send it to the same place."""
    RESOLVE_LOCK = auto()
    """Find out what became of the lock's owner, then send it again."""
    RESTART_TRANSACTION = auto()
    """Begin again with a new start timestamp."""


class RutileError(Exception):
    """Root of the tree. `str(error)` names the thing and says what to do next where there is something to do."""

    retry: ClassVar[Retry] = Retry.NEVER


# --- regions ----------------------------------------------------------------------------------------------------------


class RegionError(RutileError):
    """The region could not serve the request; nothing was executed (except where `UndeterminedResult` says so)."""

    retry = Retry.REFRESH_REGION


@dataclass(eq=False)
class NotLeader(RegionError):
    region_id: int
    leader: Peer | None = None
    retry = Retry.NEXT_PEER

    def __str__(self) -> str:
        hint = f"peer {self.leader.id} on store {self.leader.store_id} is" if self.leader else "the leader is not known"
        return f"this peer does not lead region {self.region_id}: {hint}"


@dataclass(eq=False)
class RegionNotFound(RegionError):
    region_id: int

    def __str__(self) -> str:
        return f"region {self.region_id} is not on this store"


@dataclass(eq=False)
class KeyNotInRegion(RegionError):
    key: bytes
    region_id: int
    start_key: bytes
    end_key: bytes

    def __str__(self) -> str:
        return f"key {self.key.hex()} is outside region {self.region_id} [{self.start_key.hex()}, {self.end_key.hex()})"


@dataclass(eq=False)
class EpochNotMatch(RegionError):
    """The region changed since the caller cached it; `current_regions` holds what covers its range now."""

    region_id: int
    current_regions: list[Region] = field(default_factory=list)

    def __str__(self) -> str:
        now = ", ".join(f"{r.id} at {r.region_epoch.conf_ver}/{r.region_epoch.version}" for r in self.current_regions)
        return f"region {self.region_id} changed its epoch; now: {now or 'unknown'}"


@dataclass(eq=False)
class StoreNotMatch(RegionError):
    request_store_id: int
    actual_store_id: int

    def __str__(self) -> str:
        return f"request for store {self.request_store_id} reached store {self.actual_store_id}"


@dataclass(eq=False)
class MismatchPeerId(RegionError):
    request_peer_id: int
    store_peer_id: int

    def __str__(self) -> str:
        return f"request for peer {self.request_peer_id}, but this store's peer is {self.store_peer_id}"


@dataclass(eq=False)
class StaleCommand(RegionError):
    detail: str = "the term changed before the command was proposed"

    def __str__(self) -> str:
        return f"stale command: {self.detail}"


@dataclass(eq=False)
class ServerIsBusy(RegionError):
    reason: str
    backoff_ms: int = 0
    retry = Retry.BACK_OFF

    def __str__(self) -> str:
        return f"server is busy: {self.reason}"


class MaxTimestampNotSynced(RegionError):
    retry = Retry.BACK_OFF

    def __str__(self) -> str:
        return "the new leader has not yet fetched a timestamp above every read it may have missed"


@dataclass(eq=False)
class ReadIndexNotReady(RegionError):
    region_id: int
    reason: str = ""
    retry = Retry.BACK_OFF

    def __str__(self) -> str:
        return f"read index of region {self.region_id} is not ready: {self.reason}"


@dataclass(eq=False)
class DataIsNotReady(RegionError):
    region_id: int
    peer_id: int
    safe_ts: int
    retry = Retry.BACK_OFF

    def __str__(self) -> str:
        return f"region {self.region_id} can serve stale reads only up to {self.safe_ts}"


@dataclass(eq=False)
class RegionNotInitialized(RegionError):
    region_id: int
    retry = Retry.BACK_OFF

    def __str__(self) -> str:
        return f"region {self.region_id} waits for its first snapshot"


@dataclass(eq=False)
class ProposalInMergingMode(RegionError):
    region_id: int
    retry = Retry.BACK_OFF

    def __str__(self) -> str:
        return f"region {self.region_id} is being merged"


@dataclass(eq=False)
class DiskFull(RegionError):
    store_ids: list[int]
    reason: str
    retry = Retry.BACK_OFF

    def __str__(self) -> str:
        return f"disk full on stores {self.store_ids}: {self.reason}; free space or add a store"


@dataclass(eq=False)
class RaftEntryTooLarge(RegionError):
    region_id: int
    entry_size_bytes: int
    limit_bytes: int = 0
    retry = Retry.NEVER

    def __str__(self) -> str:
        return (
            f"an entry of {self.entry_size_bytes} bytes is over the limit of {self.limit_bytes} bytes"
            f" (region {self.region_id}): write less at once"
        )


@dataclass(eq=False)
class RegionDamaged(RegionError):
    """This replica's data differs from its leader's; it serves no more. Travels as text."""

    region_id: int
    detail: str

    def __str__(self) -> str:
        return f"region {self.region_id} is damaged on this store: {self.detail}; remove this peer and add it anew"


@dataclass(eq=False)
class UnknownRegionError(RegionError):
    """A region error this version has no class for, with its text."""

    message: str

    def __str__(self) -> str:
        return self.message


# --- transactions -----------------------------------------------------------------------------------------------------


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
    """kvrpcpb.KeyError.abort or .retryable: a text without a class of its own."""

    message: str

    def __str__(self) -> str:
        return self.message


# --- the rest ---------------------------------------------------------------------------------------------------------


@dataclass(eq=False)
class UndeterminedResult(RutileError):
    """The answer to a commit was lost: it may have happened. Read to find out; do not blindly repeat."""

    start_ts: int
    cause: str = ""

    def __str__(self) -> str:
        return f"the outcome of transaction {self.start_ts} is not known ({self.cause}): read before you repeat it"


@dataclass(eq=False)
class RetriesExhausted(RutileError):
    what: str
    spent_ms: int
    cause: BaseException | None = None

    def __str__(self) -> str:
        return f"{self.what}: gave up after {self.spent_ms} ms; last: {self.cause}"


class WatchEnded(RutileError):
    """A watch cannot go on; nothing that it has delivered was wrong."""


@dataclass(eq=False)
class WatchFellBehind(WatchEnded):
    """The consumer read more slowly than changes came, and the store keeps only so many for it."""

    resume_ts: int
    """Everything up to this timestamp was delivered; 0 for raw data, where the last position says that."""

    def __str__(self) -> str:
        where = f"timestamp {self.resume_ts}" if self.resume_ts else "its last position"
        return f"the watch was read too slowly: watch again from {where}, and read faster"


@dataclass(eq=False)
class WatchBelowSafePoint(WatchEnded):
    """Versions that the watch would have to tell of may be gone."""

    from_ts: int
    safe_point: int

    def __str__(self) -> str:
        return (
            f"changes since {self.from_ts} are not all kept: garbage collection has passed up to {self.safe_point};"
            f" read a snapshot, and watch from its timestamp"
        )


@dataclass(eq=False)
class WatchHistoryGone(WatchEnded):
    """Raw data has no versions; what happened after the position was in the log, and that has been cut."""

    region_id: int
    index: int

    def __str__(self) -> str:
        return (
            f"the log of region {self.region_id} no longer reaches back to entry {self.index}:"
            f" watch again with the current state first"
        )


class PdError(RutileError):
    """The placement driver refused, or could not be reached."""


class InvalidRequest(RutileError):
    """Malformed or out of bounds; the text names the field and the bound."""


class TransactionTooLarge(InvalidRequest):
    """A transaction would have to buffer more than its client allows."""

    def __init__(self, size_bytes: int, limit_bytes: int) -> None:
        super().__init__(
            f"a transaction of {size_bytes} bytes is over its limit of {limit_bytes} bytes; commit in parts"
        )
        self.size_bytes = size_bytes
        self.limit_bytes = limit_bytes


class MalformedEncoding(RutileError, ValueError):
    """Bytes that none of our encoders wrote; the text says what was expected where."""


class StorageError(RutileError):
    """Something about this node's own disk or ports."""


class EngineClosed(StorageError):
    """Used after close."""


class EngineCorrupt(StorageError):
    """What was read back is not what can have been written."""


class DataDirMismatch(StorageError):
    """The directory belongs to another cluster or store, is in use, or was written by a newer format."""


class PortInUse(StorageError):
    """Somebody else listens on the address; the text names it."""


class CoprocessorError(RutileError):
    """Pushed-down execution failed; the store lives on."""


class FragmentRefused(CoprocessorError):
    """The fragment names something that is not on the whitelist; the text names it."""


class FragmentFailed(CoprocessorError):
    """The fragment ran into an error of its own data: overflow, bad cast, memory limit."""


class FragmentCancelled(CoprocessorError):
    """Stopped by its deadline, by KILL, or because the client went away."""
