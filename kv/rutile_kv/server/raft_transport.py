"""Raft messages on their way to other stores: a TCP link to each (`peer_port`), and a gRPC stream for each snapshot.

Raft is built for a network that loses messages, so nothing here waits: `send` writes the message to the link or, when
too much is waiting there, drops it and says so (`on_unreachable`), which makes the leader probe instead of stream. A
link connects when it has something to send, and on failure forgets what it held, reports its store unreachable and
waits a little longer each time before it dials again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from typing import cast

import grpc

from rutile_kv.client.backoff import Backoff, Pace
from rutile_kv.client.calls import answer_of
from rutile_kv.client.connections import StoreConnections, StoreStubs
from rutile_kv.env.frames import Purpose, frame, greeting, keep_alive
from rutile_proto import raft_serverpb_pb2 as raft_serverpb
from rutile_proto.errors import PdError, RutileError

log = logging.getLogger(__name__)

QUEUE_MESSAGES = 4096
"""Messages a link holds while it is connecting; the next ones are dropped."""
BACKLOG_BYTES = 64 << 20
"""What may wait in a connected link while the peer is slow; beyond it messages are dropped."""
MAX_PARALLEL_SNAPSHOTS = 4
"""Snapshots sent at once by one store; each holds an engine snapshot open."""
DIAL_BUDGET_SECONDS = 5.0
"""How long one attempt may ask PD for the address, and then try to connect."""
FIRST_BACKOFF_SECONDS = 0.05
MAX_BACKOFF_SECONDS = 2.0
OnUnreachable = Callable[[int], None]
"""Told the id of a store that messages did not reach (the driver steps StoreUnreachable)."""


class SnapshotNotSent(RutileError):
    """A snapshot stream broke, or the receiver refused it; Raft asks for another one."""


class NetworkTransport:
    """The raftstore's Transport between processes. Belongs to one event loop; `close` ends its links."""

    def __init__(
        self,
        connections: StoreConnections,
        cluster_id: int,
        on_unreachable: OnUnreachable,
        pace: Pace | None = None,
    ) -> None:
        self._dialer = _Dialer(connections, cluster_id, pace or Pace())
        self._on_unreachable = on_unreachable
        self._links: dict[int, StoreLink] = {}
        self._snapshots = asyncio.Semaphore(MAX_PARALLEL_SNAPSHOTS)

    def send(self, messages: Sequence[raft_serverpb.RaftMessage]) -> None:
        """Write each to its store's link, those for one store at one go: it finds them together, and so they share a
        round there. Never blocks, may drop."""
        by_store: dict[int, list[raft_serverpb.RaftMessage]] = {}
        for message in messages:
            by_store.setdefault(message.to_peer.store_id, []).append(message)
        for store_id, group in by_store.items():
            link = self._links.get(store_id)
            if link is None:
                link = self._links[store_id] = StoreLink(store_id, self._dialer, self._on_unreachable)
            link.send(group)

    async def send_snapshot(self, message: raft_serverpb.RaftMessage, chunks: AsyncIterator[bytes]) -> None:
        """Stream a snapshot: its message first, then the data. Raises SnapshotNotSent, or why PD could not be asked."""
        store_id = message.to_peer.store_id
        async with self._snapshots:
            stub = (await self._dialer.stubs(store_id)).tikv
            try:
                await answer_of(stub.Snapshot(_snapshot_stream(message, chunks)))
            except grpc.RpcError as error:
                self._dialer.doubt(store_id)
                raise SnapshotNotSent(f"store {store_id} did not take it: {_short(error)}") from error

    async def close(self) -> None:
        """Stop all links, in order of store id; what they hold is dropped."""
        for store_id in sorted(self._links):
            await self._links[store_id].close()
        self._links.clear()


class _Dialer:
    """Finds stores and connects to them, each time within a budget of its own."""

    def __init__(self, connections: StoreConnections, cluster_id: int, pace: Pace) -> None:
        self._connections = connections
        self._cluster_id = cluster_id
        self._pace = pace
        self.sleep = pace.sleep

    async def stubs(self, store_id: int) -> StoreStubs:
        """RutileError when PD does not know the store or cannot be asked."""
        backoff = Backoff(f"find store {store_id}", DIAL_BUDGET_SECONDS, self._pace)
        return await self._connections.stubs(store_id, backoff)

    async def connect(self, store_id: int) -> _Outgoing:
        """A connection that was greeted. Raises RutileError, OSError or TimeoutError."""
        address = (await self.stubs(store_id)).peer_address
        if not address:
            raise PdError(f"store {store_id} has told no address for Raft messages")
        host, _, port = address.rpartition(":")
        async with asyncio.timeout(DIAL_BUDGET_SECONDS):
            _, outgoing = await asyncio.get_running_loop().create_connection(_Outgoing, host.strip("[]"), int(port))
        outgoing.write(greeting(Purpose.RAFT, self._cluster_id, store_id))
        return outgoing

    def doubt(self, store_id: int) -> None:
        """A connection ended: the address may have changed."""
        self._connections.doubt(store_id)


class _Outgoing(asyncio.Protocol):
    """A connection to another store's Raft port."""

    def __init__(self) -> None:
        self.lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Done when the connection is gone."""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        keep_alive(transport)

    def connection_lost(self, error: Exception | None) -> None:
        self._transport = None
        if not self.lost.done():
            self.lost.set_result(None)

    def write(self, data: bytes) -> bool:
        """Whether it is on its way; not if the connection is gone or has too much to carry already."""
        transport = self._transport
        if transport is None or transport.get_write_buffer_size() > BACKLOG_BYTES:
            return False
        transport.write(data)
        return True

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()


class StoreLink:
    """The way to one store: a connection while there is one, else a bounded list and the task that connects."""

    def __init__(self, store_id: int, dialer: _Dialer, on_unreachable: OnUnreachable) -> None:
        self.store_id = store_id
        self._dialer = dialer
        self._on_unreachable = on_unreachable
        self._waiting: list[raft_serverpb.RaftMessage] = []
        self._wanted = asyncio.Event()
        self._outgoing: _Outgoing | None = None
        self._task = asyncio.create_task(self._run(), name=f"raft link to store {store_id}")

    def send(self, messages: Sequence[raft_serverpb.RaftMessage]) -> None:
        if self._outgoing is not None:
            sent = self._outgoing.write(_frames(messages))
        else:
            room = QUEUE_MESSAGES - len(self._waiting)
            sent = len(messages) <= room
            self._waiting += messages[:room]
            self._wanted.set()
        if not sent:
            self._on_unreachable(self.store_id)

    async def close(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        """Connect for ever; each failure costs a pause that doubles up to MAX_BACKOFF_SECONDS."""
        backoff = FIRST_BACKOFF_SECONDS
        while True:
            await self._wanted.wait()
            try:
                await self._stay_connected()
                log.info("raft link to store %d ended", self.store_id)
                backoff = FIRST_BACKOFF_SECONDS
            except (RutileError, OSError) as error:
                log.info("raft link to store %d cannot be made: %s", self.store_id, _short(error))
            self._dialer.doubt(self.store_id)
            self._forget()
            await self._dialer.sleep(backoff)
            backoff = min(2 * backoff, MAX_BACKOFF_SECONDS)

    async def _stay_connected(self) -> None:
        """Returns when the connection is lost. Raises what connecting raises."""
        outgoing = await self._dialer.connect(self.store_id)
        try:
            outgoing.write(_frames(self._waiting))
            self._waiting.clear()
            self._outgoing = outgoing
            await outgoing.lost
        finally:
            self._outgoing = None
            outgoing.close()

    def _forget(self) -> None:
        """Drop what waits and say so: by the time the link is back Raft has newer things to say."""
        self._waiting.clear()
        self._wanted.clear()
        self._on_unreachable(self.store_id)


def _frames(messages: Sequence[raft_serverpb.RaftMessage]) -> bytes:
    return b"".join([frame(message.SerializeToString()) for message in messages])


async def _snapshot_stream(
    message: raft_serverpb.RaftMessage, chunks: AsyncIterator[bytes]
) -> AsyncIterator[raft_serverpb.SnapshotChunk]:
    yield raft_serverpb.SnapshotChunk(message=message)
    async for data in chunks:
        yield raft_serverpb.SnapshotChunk(data=data)


def _short(error: BaseException) -> str:
    if isinstance(error, grpc.aio.AioRpcError):
        return f"{error.code().name}: {error.details()}"
    return f"{type(error).__name__}: {error}"
