"""What the Raft core refuses, and what a `Storage` may answer instead of data.

    RaftError (RutileError)
    ├── ProposalDropped            nothing was appended; `reason` says why, and trying again later or elsewhere may work
    ├── InvalidConfChange          the change can never be applied to the current configuration
    ├── MalformedConfChange        bytes that no `ConfChange` was encoded to
    ├── ReadyOutstanding           a `Ready` was taken and not yet given back with `advance`
    ├── AppliedOutOfOrder          the applied index contradicts the log: the state machine and the log are not of one
    piece └── StorageAnswer
        ├── Compacted              the index was compacted away: only a snapshot can help
        ├── Unavailable            the index is beyond the end of the log
        └── SnapshotTemporarilyUnavailable   a snapshot is being made: the core asks again by itself

A message from the network never raises: what is stale or odd is ignored.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import ClassVar

from rutile_proto.errors import Retry, RutileError


class RaftError(RutileError):
    """Root of what the Raft core raises."""


class DropReason(Enum):
    """Why a proposal or a read was not taken."""

    NOT_LEADER = "this peer does not lead"
    NO_LEADER = "no leader is known"
    TRANSFERRING = "leadership is being handed over"
    TOO_MUCH_UNCOMMITTED = "too many bytes wait to be committed"
    CONF_CHANGE_PENDING = "another configuration change is not applied yet"
    IN_JOINT = "the joint configuration must be left first"
    NOT_IN_JOINT = "there is no joint configuration to leave"
    TOO_MANY_READS = "too many reads wait for confirmation"
    UNKNOWN_PEER = "the peer is not a voter of this group"


@dataclass(eq=False)
class ProposalDropped(RaftError):
    """Nothing was appended and nothing will happen: the caller may try again, here or at the leader."""

    reason: DropReason
    retry: ClassVar[Retry] = Retry.BACK_OFF

    def __str__(self) -> str:
        return f"proposal dropped: {self.reason.value}"


class InvalidConfChange(RaftError):
    """The change cannot be applied to the current configuration; the text names the rule it breaks."""


class MalformedConfChange(RaftError):
    """The bytes of a configuration entry are not an encoded `ConfChange`."""


class ReadyOutstanding(RaftError):
    """`ready()` was called before the last `Ready` was given back, or another one was given back."""


class AppliedOutOfOrder(RaftError):
    """The caller says it applied what was never committed or never handed out."""


class StorageAnswer(RaftError):
    """A `Storage` has no data for this question; the core handles each of these."""


@dataclass(eq=False)
class Compacted(StorageAnswer):
    index: int

    def __str__(self) -> str:
        return f"log index {self.index} was compacted away"


@dataclass(eq=False)
class Unavailable(StorageAnswer):
    index: int

    def __str__(self) -> str:
        return f"log index {self.index} is beyond the end of the log"


class SnapshotTemporarilyUnavailable(StorageAnswer):
    """The snapshot is being made; the core asks again at the next heartbeat."""
