"""The request went to the wrong place, or the region could not serve it now (errorpb.Error)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rutile_proto.metapb_pb2 import Peer, Region
from rutile_proto.errors.base import Retry, RutileError


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
