"""What PD and a store tell each other about regions: heartbeats out, orders in."""

from collections.abc import Sequence
from typing import Protocol

from rutile_kv.raftstore.events import ChangePeers, Merge, TransferLeader
from rutile_kv.raftstore.region_info import RegionInfo
from rutile_proto import kvrpcpb_pb2 as kvrpcpb
from rutile_proto import metapb_pb2 as metapb
from rutile_proto import pdpb_pb2 as pdpb
from rutile_proto.errors import InvalidRequest


class PdEvents(Protocol):
    """The driver's way to PD."""

    def region_heartbeat(self, request: pdpb.RegionHeartbeatRequest) -> None:
        """Report a region led from here. Never blocks; the request has no header yet. An order that PD gives in answer
        goes to `StoreDriver.on_pd_heartbeat_response`."""

    def regions_split(self, regions: Sequence[metapb.Region]) -> None:
        """A region led from here split into these. Never blocks."""

    async def region_by_id(self, region_id: int) -> metapb.Region | None:
        """The region as PD knows it; None if it knows none. Raises PdError."""

    async def ask_split(self, region: metapb.Region, count: int) -> Sequence[tuple[int, Sequence[int]]]:
        """Ids for `count` new regions: (region id, peer ids in the order of the region's peers). Raises PdError."""


def context_of(info: RegionInfo, epoch: metapb.RegionEpoch | None = None) -> kvrpcpb.Context:
    """A request context for a region as it is known here, or as it was at `epoch`."""
    return kvrpcpb.Context(region_id=info.region.id, region_epoch=epoch or info.region.region_epoch, peer=info.peer)


def event_of(
    order: pdpb.RegionHeartbeatResponse, info: RegionInfo, token: object
) -> ChangePeers | Merge | TransferLeader:
    """The request PD's order stands for, valid only for the epoch PD saw. Raises InvalidRequest for what this version
    cannot do.
    """
    context = context_of(info, order.region_epoch)
    if order.HasField("change_peer_v2"):
        return ChangePeers(token, context, list(order.change_peer_v2.changes))
    if order.HasField("change_peer"):
        return ChangePeers(token, context, [order.change_peer])
    if order.HasField("transfer_leader"):
        return TransferLeader(token, context, order.transfer_leader.peer.id)
    if order.HasField("merge"):
        return Merge(token, context, order.merge.target)
    raise InvalidRequest(f"PD orders something this version cannot do: {order}")
