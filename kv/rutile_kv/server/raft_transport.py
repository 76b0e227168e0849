"""Raft messages between stores over gRPC: one BatchRaft stream per peer store, one Snapshot stream per snapshot.

Raft is built for a network that loses messages, so nothing here waits: `send` puts the message into the link's bounded
queue or, when that is full, drops it and says so (`on_unreachable`), which makes the leader probe instead of stream.
A link connects when it has something to send, sends what has gathered as one BatchRaftMessage, and on failure forgets
what it held, reports its regions unreachable and waits a little longer each time before it dials again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable

import grpc

from rutile_kv.client.backoff import Backoff, Pace
from rutile_kv.client.calls import Stub, answer_of
from rutile_kv.client.connections import StoreConnections
from rutile_proto import raft_serverpb_pb2 as raft_serverpb
from rutile_proto import tikvpb_pb2 as tikvpb
from rutile_proto.errors import RutileError

log = logging.getLogger(__name__)

QUEUE_MESSAGES = 4096
"""Messages a link holds while it is connecting or the peer is slow; the next ones are dropped."""
BATCH_MESSAGES = 256
"""Messages in one BatchRaftMessage."""
MAX_PARALLEL_SNAPSHOTS = 4
"""Snapshots sent at once by one store; each holds an engine snapshot open."""
DIAL_BUDGET_SECONDS = 5.0
"""How long one attempt may ask PD for the address."""
FIRST_BACKOFF_SECONDS = 0.05
MAX_BACKOFF_SECONDS = 2.0

OnUnreachable = Callable[[int], None]
"""Told the id of a store that messages did not reach (the driver steps StoreUnreachable)."""


class SnapshotNotSent(RutileError):
    """A snapshot stream broke, or the receiver refused it; Raft asks for another one."""


class GrpcTransport:
    """The raftstore's Transport over gRPC. Belongs to one event loop; `close` ends its links."""

    def __init__(self, connections: StoreConnections, on_unreachable: OnUnreachable, pace: Pace | None = None) -> None:
        self._dialer = _Dialer(connections, pace or Pace())
        self._on_unreachable = on_unreachable
        self._links: dict[int, StoreLink] = {}
        self._snapshots = asyncio.Semaphore(MAX_PARALLEL_SNAPSHOTS)

    def send(self, message: raft_serverpb.RaftMessage) -> None:
        """Queue `message` for its store; never blocks, may drop."""
        store_id = message.to_peer.store_id
        link = self._links.get(store_id)
        if link is None:
            link = self._links[store_id] = StoreLink(store_id, self._dialer, self._on_unreachable)
        link.send(message)

    async def send_snapshot(self, message: raft_serverpb.RaftMessage, chunks: AsyncIterator[bytes]) -> None:
        """Stream a snapshot: its message first, then the data. Raises SnapshotNotSent, or why PD could not be asked."""
        store_id = message.to_peer.store_id
        async with self._snapshots:
            stub = await self._dialer.dial(store_id)
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
    """Finds the stub of a store, each time within a budget of its own."""

    def __init__(self, connections: StoreConnections, pace: Pace) -> None:
        self._connections = connections
        self._pace = pace
        self.sleep = pace.sleep

    async def dial(self, store_id: int) -> Stub:
        """The store's Tikv stub; RutileError when PD does not know it or cannot be asked."""
        backoff = Backoff(f"find store {store_id}", DIAL_BUDGET_SECONDS, self._pace)
        return (await self._connections.stubs(store_id, backoff)).tikv

    def doubt(self, store_id: int) -> None:
        """A stream ended: its address may have changed."""
        self._connections.doubt(store_id)


class StoreLink:
    """The way to one store: a bounded queue and the task that keeps a stream open."""

    def __init__(self, store_id: int, dialer: _Dialer, on_unreachable: OnUnreachable) -> None:
        self.store_id = store_id
        self._dialer = dialer
        self._on_unreachable = on_unreachable
        self._queue: asyncio.Queue[raft_serverpb.RaftMessage] = asyncio.Queue(QUEUE_MESSAGES)
        self._task = asyncio.create_task(self._run(), name=f"raft link to store {store_id}")

    def send(self, message: raft_serverpb.RaftMessage) -> None:
        try:
            self._queue.put_nowait(message)
        except asyncio.QueueFull:
            self._on_unreachable(self.store_id)

    async def close(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        """Stream for ever; each failed stream costs a pause that doubles up to MAX_BACKOFF_SECONDS."""
        backoff = FIRST_BACKOFF_SECONDS
        while True:
            batches = _Batches(await self._queue.get(), self._queue)
            try:
                stub = await self._dialer.dial(self.store_id)
                await answer_of(stub.BatchRaft(aiter(batches)))
            except (grpc.RpcError, RutileError, OSError) as error:
                log.info("raft link to store %d broke: %s", self.store_id, _short(error))
            self._dialer.doubt(self.store_id)
            self._forget()
            if batches.sent > 1:
                backoff = FIRST_BACKOFF_SECONDS
            await self._dialer.sleep(backoff)
            backoff = min(2 * backoff, MAX_BACKOFF_SECONDS)

    def _forget(self) -> None:
        """Drop what waits and say so: by the time the link is back Raft has newer things to say."""
        while not self._queue.empty():
            self._queue.get_nowait()
        self._on_unreachable(self.store_id)


class _Batches:
    """The stream's requests: whatever has gathered since the last one, up to BATCH_MESSAGES."""

    def __init__(self, first: raft_serverpb.RaftMessage, queue: asyncio.Queue[raft_serverpb.RaftMessage]) -> None:
        self._first = first
        self._queue = queue
        self.sent = 0

    async def __aiter__(self) -> AsyncIterator[tikvpb.BatchRaftMessage]:
        message = self._first
        while True:
            batch = tikvpb.BatchRaftMessage(msgs=[message])
            while len(batch.msgs) < BATCH_MESSAGES and not self._queue.empty():
                batch.msgs.append(self._queue.get_nowait())
            self.sent += 1
            yield batch
            message = await self._queue.get()


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
