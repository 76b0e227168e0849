"""Messages between the members of a placement driver, over the address they serve everybody at.

To each member there is a queue and one call at a time, which takes along what has gathered. A call that fails loses its
messages: Raft sends again what matters. A message of another cluster is refused, so that members started with the wrong
addresses do each other no harm.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Protocol

import grpc

from rutile_kv.engine.api import Snapshot
from rutile_kv.env.rpc import RpcContext, channel
from rutile_kv.raft import Message
from rutile_kv.raft.codec import message_from_pb, message_to_pb
from rutile_pd.consensus.members import address_of
from rutile_pd.consensus.replica import state_pairs
from rutile_proto import pdpb_pb2 as pdpb
from rutile_proto import pdraftpb_pb2 as pdraftpb
from rutile_proto import pdraftpb_pb2_grpc
from rutile_proto.errors import InvalidRequest

log = logging.getLogger(__name__)

CALL_TIMEOUT_S = 1.0
SNAPSHOT_TIMEOUT_S = 60.0
MAX_QUEUED = 256
"""Messages to one member that wait; older ones are dropped for newer ones."""
MAX_MET = 64
PAGE_BYTES = 1 << 20
"""Of a snapshot, in one message."""


class Receiver(Protocol):
    """What the transport knows of the member it serves: `Replication`."""

    def receive(self, message: Message) -> None: ...

    def receive_snapshot(self, message: Message, pairs: list[tuple[bytes, bytes]]) -> None: ...

    def unreachable(self, member_id: int) -> None: ...

    def snapshot_sent(self, member_id: int, ok: bool) -> None: ...


class GrpcPeers:
    """Sends to the other members."""

    def __init__(
        self,
        receiver: Receiver,
        own: pdpb.Member,
        find_member: Callable[[int], pdpb.Member | None],
        cluster_id: Callable[[], int],
    ) -> None:
        """`find_member` is asked each time, for members come and go."""
        self._receiver = receiver
        self._own = own
        self._find_member = find_member
        self._cluster_id = cluster_id
        self._met: dict[int, pdpb.Member] = {}
        """Whoever has sent something and is not known yet: one that has just joined knows nobody."""
        self._peers: dict[str, _Peer] = {}
        self._snapshots: dict[asyncio.Task[None], None] = {}

    def meet(self, sender: pdpb.Member) -> None:
        """Somebody has sent something."""
        if self._find_member(sender.member_id) is None and len(self._met) < MAX_MET:
            self._met[sender.member_id] = sender

    def send(self, message: Message) -> None:
        peer = self._peer(message.to)
        if peer is not None:
            peer.put(message)

    def send_snapshot(self, message: Message, state: Snapshot) -> None:
        peer = self._peer(message.to)
        if peer is None:
            state.close()
            self._receiver.snapshot_sent(message.to, False)
            return
        task = asyncio.create_task(self._send_snapshot(peer, message, state), name="placement driver snapshot")
        self._snapshots[task] = None
        task.add_done_callback(self._snapshots.pop)

    async def close(self) -> None:
        for task in list(self._snapshots):
            task.cancel()
        await asyncio.gather(*self._snapshots, return_exceptions=True)
        peers, self._peers = self._peers, {}
        for peer in peers.values():
            await peer.close()

    def _peer(self, member_id: int) -> _Peer | None:
        member = self._find_member(member_id) or self._met.get(member_id)
        address = address_of(member) if member is not None else ""
        if not address:
            return None
        if address not in self._peers:
            self._peers[address] = _Peer(address, member_id, self._receiver, self._request)
        return self._peers[address]

    def _request(self) -> pdraftpb.DeliverRequest:
        return pdraftpb.DeliverRequest(cluster_id=self._cluster_id(), sender=self._own)

    async def _send_snapshot(self, peer: _Peer, message: Message, state: Snapshot) -> None:
        ok = False
        try:
            await peer.stub.Install(_pages(message, state, self._cluster_id()), timeout=SNAPSHOT_TIMEOUT_S)
            ok = True
        except grpc.RpcError as error:
            log.warning("a snapshot to %s failed and is sent again: %s", peer.address, error)
        finally:
            state.close()
            self._receiver.snapshot_sent(message.to, ok)


class _Peer:
    """The way to one member."""

    def __init__(
        self, address: str, member_id: int, receiver: Receiver, request: Callable[[], pdraftpb.DeliverRequest]
    ) -> None:
        """`request` makes an empty one."""
        self.address = address
        self._member_id, self._receiver, self._request = member_id, receiver, request
        self._channel = channel(address)
        self.stub = pdraftpb_pb2_grpc.PdRaftStub(self._channel)  # type: ignore[no-untyped-call]
        self._queue: deque[Message] = deque(maxlen=MAX_QUEUED)
        self._wake = asyncio.Event()
        self._task = asyncio.create_task(self._deliver(), name=f"messages to {address}")

    def put(self, message: Message) -> None:
        self._queue.append(message)
        self._wake.set()

    async def close(self) -> None:
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task
        await self._channel.close()

    async def _deliver(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            batch = [message_to_pb(message) for message in self._queue]
            self._queue.clear()
            try:
                request = self._request()
                request.messages.extend(batch)
                await self.stub.Deliver(request, timeout=CALL_TIMEOUT_S)
            except grpc.RpcError as error:
                if error.code() is grpc.StatusCode.FAILED_PRECONDITION:
                    log.error("%s: %s", self.address, error.details())
                self._receiver.unreachable(self._member_id)


class PeerService(pdraftpb_pb2_grpc.PdRaftServicer):
    """Takes what other members send."""

    def __init__(self, receiver: Receiver, cluster_id: Callable[[], int]) -> None:
        self._receiver = receiver
        self._cluster_id = cluster_id
        self.peers: GrpcPeers | None = None
        """The way back, once there is one."""

    def register(self, server: grpc.aio.Server) -> None:
        """Add the service to `server`."""
        pdraftpb_pb2_grpc.add_PdRaftServicer_to_server(self, server)  # type: ignore[no-untyped-call]

    async def Deliver(self, request: pdraftpb.DeliverRequest, context: RpcContext) -> pdraftpb.DeliverResponse:
        await self._check(request.cluster_id, context)
        if self.peers is not None:
            self.peers.meet(request.sender)
        try:
            for message in request.messages:
                self._receiver.receive(message_from_pb(message))
        except InvalidRequest as error:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        return pdraftpb.DeliverResponse()

    async def Install(
        self, request_iterator: AsyncIterator[pdraftpb.SnapshotPage], context: RpcContext
    ) -> pdraftpb.InstallResponse:
        """Gathers the state, then hands it over with its message. A stream that breaks off leaves nothing."""
        message, complete, pairs = None, False, []
        async for page in request_iterator:
            await self._check(page.cluster_id, context)
            if page.HasField("message"):
                message = message_from_pb(page.message)
            pairs += [(pair.key, pair.value) for pair in page.pairs]
            complete = page.last
        if message is None or message.snapshot is None or not complete:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "the snapshot is not whole")
        self._receiver.receive_snapshot(message, pairs)
        return pdraftpb.InstallResponse()

    async def _check(self, cluster_id: int, context: RpcContext) -> None:
        own = self._cluster_id()
        if cluster_id and own and cluster_id != own:
            text = f"a member of cluster {cluster_id} sends to one of cluster {own}: check the addresses of both"
            await context.abort(grpc.StatusCode.FAILED_PRECONDITION, text)


async def _pages(message: Message, state: Snapshot, cluster_id: int) -> AsyncIterator[pdraftpb.SnapshotPage]:
    page = pdraftpb.SnapshotPage(cluster_id=cluster_id, message=message_to_pb(message))
    size_bytes = 0
    for key, value in state_pairs(state):
        page.pairs.add(key=key, value=value)
        size_bytes += len(key) + len(value)
        if size_bytes >= PAGE_BYTES:
            yield page
            page, size_bytes = pdraftpb.SnapshotPage(cluster_id=cluster_id), 0
    page.last = True
    yield page
