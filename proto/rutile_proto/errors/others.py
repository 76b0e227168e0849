"""Everything else: outcomes unknown, watches that ended, PD, bad requests, disks, fragments."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    pass
from rutile_proto.errors.base import RutileError


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
    """What happened cannot be told: the log was cut after the position of a raw watch (raw data has no versions), or
    log entry `index` brought whole table files of a bulk load into the range of a transactional one."""

    region_id: int
    index: int

    def __str__(self) -> str:
        return (
            f"what happened in region {self.region_id} about log entry {self.index} cannot be told change by change:"
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


class LayoutMismatch(CoprocessorError):
    """A row was written under another definition than it is read with, newer or too old: look at the definition."""


class FragmentCancelled(CoprocessorError):
    """Stopped by its deadline, by KILL, or because the client went away."""
