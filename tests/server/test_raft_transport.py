"""Raft messages over real sockets: they arrive, in order; what cannot arrive is dropped and told."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import grpc
import pytest
from server_tools import Inbox, until

from rutile_kv.client.backoff import Backoff, Pace
from rutile_kv.client.connections import StoreStubs
from rutile_kv.env.frames import LENGTH_BYTES, Purpose, frame, greeting
from rutile_kv.env.rpc import LocalStub, channel, start_server
from rutile_kv.server import raft_transport
from rutile_kv.server.local_network import LocalNetwork, LocalTransport
from rutile_kv.server.peer_port import PeerPort
from rutile_kv.server.raft_service import RaftService
from rutile_kv.server.raft_transport import QUEUE_MESSAGES, NetworkTransport, SnapshotNotSent
from rutile_kv.server.unimplemented import rest_unimplemented
from rutile_proto import coprocessor_pb2 as coprocessor
from rutile_proto import eraftpb_pb2 as eraftpb
from rutile_proto import metapb_pb2 as metapb
from rutile_proto import raft_serverpb_pb2 as raft_serverpb
from rutile_proto import tikvpb_pb2 as tikvpb
from rutile_proto import tikvpb_pb2_grpc
from rutile_proto.errors import PdError, ServerIsBusy, StorageError

CLUSTER = 7
PEER_STORE = 2


@rest_unimplemented(tikvpb.DESCRIPTOR.services_by_name["Tikv"])
class RaftOnly(RaftService):
    def __init__(self, inbox: Inbox) -> None:
        self.raft = inbox


class AddressBook:
    """StoreConnections with one entry, which a test may change."""

    def __init__(self, address: str | None) -> None:
        self.address = address
        self.peer_address = ""
        self.doubts = 0
        self._channels = []

    async def stubs(self, store_id: int, backoff: Backoff) -> StoreStubs:
        if self.address is None:
            raise PdError(f"store {store_id} is not registered")
        link = channel(self.address)
        self._channels.append(link)
        stub = tikvpb_pb2_grpc.TikvStub(link)
        return StoreStubs(stub, stub, peer_address=self.peer_address)

    def doubt(self, store_id: int) -> None:
        self.doubts += 1

    async def close(self) -> None:
        for link in self._channels:
            await link.close()


def message(index: int) -> raft_serverpb.RaftMessage:
    return raft_serverpb.RaftMessage(
        region_id=1,
        from_peer=metapb.Peer(id=10, store_id=1),
        to_peer=metapb.Peer(id=20, store_id=PEER_STORE),
        message=eraftpb.Message(index=index),
    )


async def chunks(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


class World:
    """A transport, the store it talks to, and a record of what was lost."""

    def __init__(self) -> None:
        self.inbox = Inbox()
        self.book = AddressBook(None)
        self.lost: list[int] = []
        self.pauses: list[float] = []
        self.transport = NetworkTransport(self.book, CLUSTER, self.lost.append, Pace(sleep=self._pause))

    @asynccontextmanager
    async def listening(self, store_id: int = PEER_STORE) -> AsyncIterator[PeerPort]:
        def register(server: object) -> None:
            tikvpb_pb2_grpc.add_TikvServicer_to_server(RaftOnly(self.inbox), server)

        server, self.book.address = await start_server("127.0.0.1:0", [register])
        port = PeerPort(self.inbox, CLUSTER, store_id)
        self.book.peer_address = f"127.0.0.1:{await port.listen('127.0.0.1')}"
        try:
            yield port
        finally:
            await port.close()
            await server.stop(None)

    async def _pause(self, seconds: float) -> None:
        self.pauses.append(seconds)
        await asyncio.sleep(0)

    @property
    def received(self) -> list[int]:
        return [each.message.index for each in self.inbox.messages]


def with_world(scenario: Callable[[World], Awaitable[None]]) -> None:
    async def main() -> None:
        world = World()
        try:
            await scenario(world)
        finally:
            await world.transport.close()
            await world.book.close()

    asyncio.run(main())


def test_messages_arrive_in_order() -> None:
    async def scenario(world: World) -> None:
        async with world.listening():
            for index in range(600):
                world.transport.send([message(index)])
            await until(lambda: len(world.received) == 600)
            for index in range(600, 1200):  # now that it is connected: some of one turn, some of many
                world.transport.send([message(index)])
                if index % 7 == 0:
                    await asyncio.sleep(0)
            await until(lambda: len(world.received) == 1200)
            assert world.received == list(range(1200))
            assert world.lost == []

    with_world(scenario)


def test_a_store_that_pd_does_not_know_is_unreachable() -> None:
    async def scenario(world: World) -> None:
        world.transport.send([message(1)])
        await until(lambda: world.lost == [PEER_STORE])

    with_world(scenario)


def test_the_link_comes_back_with_the_store_and_waits_longer_each_time() -> None:
    async def scenario(world: World) -> None:
        for index in range(3):
            world.transport.send([message(index)])
            await until(lambda count=index + 1: len(world.pauses) == count)
        assert world.pauses == [0.05, 0.1, 0.2]
        async with world.listening():
            world.transport.send([message(9)])
            await until(lambda: world.received == [9])
        await until(lambda: len(world.lost) == 4)
        assert world.book.doubts == 4
        assert world.pauses[3] == 0.05
        async with world.listening():  # at another port
            world.transport.send([message(10)])
            await until(lambda: world.received == [9, 10])

    with_world(scenario)


@pytest.mark.parametrize("cut", [1, LENGTH_BYTES, 11, 30])
def test_messages_are_put_together_however_the_bytes_arrive(cut: int) -> None:
    async def scenario(world: World) -> None:
        async with world.listening():
            _, writer = await asyncio.open_connection(*world.book.peer_address.split(":"))
            data = greeting(Purpose.RAFT, CLUSTER, PEER_STORE) + b"".join(
                frame(message(index).SerializeToString()) for index in range(5)
            )
            for at in range(0, len(data), cut):
                writer.write(data[at : at + cut])
                await writer.drain()
                await asyncio.sleep(0)
            await until(lambda: len(world.received) == 5)
            assert world.received == list(range(5))
            writer.close()

    with_world(scenario)


@pytest.mark.parametrize(
    "data",
    [
        greeting(Purpose.RAFT, CLUSTER + 1, PEER_STORE),
        greeting(Purpose.RAFT, CLUSTER, PEER_STORE + 1),
        b"GET / HTTP/1.1\r\n\r\n",
        greeting(Purpose.RAFT, CLUSTER, PEER_STORE) + b"\xff" * 8,
        greeting(Purpose.RAFT, CLUSTER, PEER_STORE) + (3).to_bytes(LENGTH_BYTES, "big") + b"\xff\xff\xff",
    ],
    ids=["another cluster", "another store", "another protocol", "too long", "no message"],
)
def test_who_talks_nonsense_is_hung_up_on_and_nobody_else(data: bytes) -> None:
    async def scenario(world: World) -> None:
        async with world.listening():
            world.transport.send([message(1)])
            reader, writer = await asyncio.open_connection(*world.book.peer_address.split(":"))
            writer.write(data)
            assert await reader.read() == b""
            writer.close()
            world.transport.send([message(2)])
            await until(lambda: world.received == [1, 2])
            assert world.lost == []

    with_world(scenario)


def test_a_link_to_the_wrong_store_is_given_up_and_the_address_doubted() -> None:
    async def scenario(world: World) -> None:
        async with world.listening(store_id=PEER_STORE + 1):
            world.transport.send([message(1)])
            await until(lambda: world.lost == [PEER_STORE])
            assert (world.received, world.book.doubts) == ([], 1)

    with_world(scenario)


def test_a_slow_store_does_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(raft_transport, "BACKLOG_BYTES", 100_000)

    async def scenario(world: World) -> None:
        async def never_read(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await stop.wait()
            writer.close()

        stop = asyncio.Event()
        server = await asyncio.start_server(never_read, "127.0.0.1", 0, limit=1)
        world.book.address = "127.0.0.1:1"
        world.book.peer_address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        large = message(1)
        large.message.entries.add(data=b"x" * 100_000)

        def is_dropped() -> bool:
            world.transport.send([large])
            return world.lost != []

        await until(is_dropped)
        stop.set()
        server.close()

    with_world(scenario)


def test_a_full_queue_drops_and_says_so() -> None:
    async def scenario(world: World) -> None:
        for index in range(QUEUE_MESSAGES + 5):
            world.transport.send([message(index)])
        assert world.lost == [PEER_STORE] * 5

    with_world(scenario)


def test_a_snapshot_travels_in_chunks() -> None:
    async def scenario(world: World) -> None:
        async with world.listening():
            await world.transport.send_snapshot(message(7), chunks(b"one", b"two"))
            ((head, data),) = world.inbox.snapshots
            assert (head.message.index, data) == (7, b"onetwo")
            world.inbox.refusal = ServerIsBusy("too many snapshots")
            with pytest.raises(SnapshotNotSent, match="too many snapshots"):
                await world.transport.send_snapshot(message(8), chunks(b"three"))

    with_world(scenario)


def test_a_snapshot_without_its_message_is_refused() -> None:
    async def scenario(world: World) -> None:
        async def headless() -> AsyncIterator[raft_serverpb.SnapshotChunk]:
            yield raft_serverpb.SnapshotChunk(data=b"data")

        async with world.listening():
            stub = (await world.book.stubs(PEER_STORE, Backoff("test", 1.0, Pace()))).tikv
            with pytest.raises(grpc.RpcError) as caught:
                await stub.Snapshot(headless())
            assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT

    with_world(scenario)


def test_streams_that_are_not_built_say_so() -> None:
    async def main() -> None:
        stub = LocalStub(RaftOnly(Inbox()))
        with pytest.raises(grpc.RpcError) as caught:
            async for _ in stub.BatchCoprocessor(coprocessor.BatchRequest()):
                pass
        assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
        assert "BatchCoprocessor" in caught.value.details()

    asyncio.run(main())


def test_stores_of_one_process_reach_each_other_until_one_is_cut_off() -> None:
    async def main() -> None:
        network, inbox, lost = LocalNetwork(), Inbox(), []
        transport = LocalTransport(network, 1, lost.append)
        network.join(PEER_STORE, inbox)
        transport.send([message(1)])
        await transport.send_snapshot(message(2), chunks(b"data"))
        await until(lambda: len(inbox.messages) == 1)
        assert inbox.snapshots[0][1] == b"data"
        network.cut_off(PEER_STORE)
        transport.send([message(3)])
        with pytest.raises(StorageError):
            await transport.send_snapshot(message(4), chunks())
        await until(lambda: lost == [PEER_STORE])
        network.heal(PEER_STORE)
        transport.send([message(5)])
        await until(lambda: len(inbox.messages) == 2)

    asyncio.run(main())
