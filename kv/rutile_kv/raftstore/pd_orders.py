"""What a store does because PD says so: orders that come with heartbeats, and doubts that PD settles.

Everything here runs beside the rounds. An order that is late or refused is logged; PD sees in the next heartbeat what
became of it.
"""

import logging
from collections.abc import Awaitable, Callable, Sequence

from rutile_kv.raftstore.events import Event, MembershipDoubt
from rutile_kv.raftstore.pd_commands import PdEvents, context_of, event_of
from rutile_kv.raftstore.region_change import find_peer
from rutile_kv.raftstore.region_checks import RegionChecks
from rutile_kv.raftstore.region_info import RegionInfo
from rutile_kv.raftstore.routing import tombstone_message
from rutile_proto import kvrpcpb_pb2 as kvrpcpb
from rutile_proto import pdpb_pb2 as pdpb
from rutile_proto import raft_serverpb_pb2 as raft_serverpb
from rutile_proto.errors import RutileError

log = logging.getLogger(__name__)

Change = Callable[[Callable[[object], Event]], Awaitable[object]]
"""Step the event made for a token, and wait for its end. Raises RutileError."""
SplitRegion = Callable[[kvrpcpb.Context, Sequence[bytes]], Awaitable[object]]
TakeMessage = Callable[[raft_serverpb.RaftMessage], None]


class PdOrders:
    """See the module. Raises nothing but what is wrong with the store itself."""

    def __init__(
        self, pd: PdEvents, checks: RegionChecks, change: Change, split: SplitRegion, take_message: TakeMessage
    ) -> None:
        self._pd = pd
        self._checks = checks
        self._change = change
        self._split = split
        self._take_message = take_message

    async def obey(self, order: pdpb.RegionHeartbeatResponse, info: RegionInfo) -> None:
        """Carry out an order for a region that is led from here."""
        if order.HasField("split_region"):
            await self._obey_split(order, info)
            return
        try:
            await self._change(lambda token: event_of(order, info, token))
        except RutileError as error:
            log.info("region %d: PD's order was not carried out: %s", info.region.id, error)

    async def settle(self, doubt: MembershipDoubt) -> None:
        """Ask PD whether a peer still belongs; if it does not, it hears what a fellow would have told it."""
        try:
            now = await self._pd.region_by_id(doubt.region.id)
        except RutileError as error:
            log.info("region %d: PD does not say who is a member: %s", doubt.region.id, error)
            return
        if now is None or find_peer(now, doubt.peer.id) is not None:
            return
        known = raft_serverpb.RegionLocalState(region=now)
        self._take_message(tombstone_message(known, doubt.peer, doubt.peer))

    async def _obey_split(self, order: pdpb.RegionHeartbeatResponse, info: RegionInfo) -> None:
        try:
            if order.split_region.keys:
                await self._split(context_of(info, order.region_epoch), list(order.split_region.keys))
            else:
                await self._checks.split_in_half(info.region)
        except RutileError as error:
            log.warning("region %d: PD's split was not made: %s", info.region.id, error)
