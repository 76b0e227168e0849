"""Requests that share a connection of frames, against a toy store that holds them as long as the test wants."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest

from rutile_kv.client.calls import CallDropped
from rutile_kv.client.command_stream import CommandStub
from rutile_kv.client.command_way import MAX_COMMANDS
from rutile_kv.env.frames import GREETING_BYTES, Purpose, frame, greeting, take_frames
from rutile_kv.env.rpc import channel, start_server
from rutile_proto import kvrpcpb_pb2 as kvrpcpb
from rutile_proto import tikvpb_pb2 as tikvpb
from rutile_proto import tikvpb_pb2_grpc

Response = tikvpb.BatchCommandsResponse.Response
Code = grpc.StatusCode
HELLO = greeting(Purpose.COMMANDS, 7, 2)


class ToyStore(tikvpb_pb2_grpc.TikvServicer):
    """Answers a get with its key once `gate` is open; by gRPC with a value that says so."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.messages: list[list[bytes]] = []
        self.greetings: list[bytes] = []
        self.hello = HELLO
        self.grpc_address = ""
        self.answer = self._echo
        self.writers: list[asyncio.StreamWriter] = []

    async def KvGet(self, request: kvrpcpb.GetRequest, context: Any) -> kvrpcpb.GetResponse:
        await asyncio.sleep(0)
        return kvrpcpb.GetResponse(value=b"alone " + request.key)

    async def BatchCommands(self, request_iterator: Any, context: Any) -> AsyncIterator[tikvpb.BatchCommandsResponse]:
        async for message in request_iterator:
            answers = [Response(Get=kvrpcpb.GetResponse(value=b"by gRPC")) for _ in message.requests]
            yield tikvpb.BatchCommandsResponse(responses=answers, request_ids=message.request_ids)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.append(writer)
        try:
            self.greetings.append(await reader.readexactly(GREETING_BYTES))
            writer.write(self.hello)
            arrived = bytearray()
            while data := await reader.read(1 << 16):
                arrived += data
                for body in take_frames(arrived):
                    await self._answer(tikvpb.BatchCommandsRequest.FromString(body), writer)
        except (OSError, asyncio.IncompleteReadError):
            return  # the client is gone
        finally:
            writer.close()

    async def _answer(self, message: tikvpb.BatchCommandsRequest, writer: asyncio.StreamWriter) -> None:
        self.messages.append([request.Get.key for request in message.requests])
        await self.gate.wait()
        writer.write(frame(self.answer(message)))

    def _echo(self, message: tikvpb.BatchCommandsRequest) -> bytes:
        answers = [Response(Get=kvrpcpb.GetResponse(value=request.Get.key)) for request in message.requests]
        body: bytes = tikvpb.BatchCommandsResponse(
            responses=answers, request_ids=message.request_ids
        ).SerializeToString()
        return body


@asynccontextmanager
async def talking(store: ToyStore) -> AsyncIterator[CommandStub]:
    server, address = await start_server(
        "127.0.0.1:0", [lambda s: tikvpb_pb2_grpc.add_TikvServicer_to_server(store, s)]
    )
    peers = await asyncio.start_server(store.serve, "127.0.0.1")
    try:
        async with channel(address) as link:
            peer_address = f"127.0.0.1:{peers.sockets[0].getsockname()[1]}"
            stub = CommandStub(tikvpb_pb2_grpc.TikvStub(link), HELLO, peer_address)
            store.grpc_address = address
            yield stub
            await stub.close()
    finally:
        peers.close()
        for writer in store.writers:
            writer.close()
        await peers.wait_closed()
        await server.stop(None)


def run(scenario: Callable[[ToyStore, CommandStub], Awaitable[None]]) -> None:
    async def main() -> None:
        store = ToyStore()
        async with asyncio.timeout(20), talking(store) as stub:
            await scenario(store, stub)

    asyncio.run(main())


def get(stub: CommandStub, key: bytes, timeout: float | None = None) -> asyncio.Future[kvrpcpb.GetResponse]:
    return asyncio.ensure_future(stub.KvGet(kvrpcpb.GetRequest(key=key), timeout=timeout))


async def until(condition: Callable[[], bool]) -> None:
    while not condition():
        await asyncio.sleep(0.005)


async def failure(call: Awaitable[Any]) -> Code:
    with pytest.raises(grpc.RpcError) as caught:
        await call
    return caught.value.code()


def test_requests_of_one_turn_share_messages_and_a_lone_one_waits_for_nobody() -> None:
    async def scenario(store: ToyStore, stub: CommandStub) -> None:
        store.gate.set()
        assert (await get(stub, b"alone")).value == b"alone"
        keys = [b"%d" % number for number in range(300)]
        answers = await asyncio.gather(*(get(stub, key) for key in keys))
        assert [answer.value for answer in answers] == keys
        sizes = [len(message) for message in store.messages]
        assert sizes == [1, MAX_COMMANDS, MAX_COMMANDS, 300 - 2 * MAX_COMMANDS]
        assert store.greetings == [HELLO]

    run(scenario)


def test_what_waits_for_the_connection_leaves_together() -> None:
    async def scenario(store: ToyStore, stub: CommandStub) -> None:
        store.gate.set()
        await asyncio.gather(*(get(stub, b"%d" % number) for number in range(5)))
        assert [len(message) for message in store.messages] == [5]

    run(scenario)


def test_a_large_request_goes_alone() -> None:
    async def scenario(store: ToyStore, stub: CommandStub) -> None:
        assert (await get(stub, b"k" * 40_000)).value == b"alone " + b"k" * 40_000
        assert not store.messages

    run(scenario)


def test_a_lost_connection_fails_what_is_on_it_and_the_next_request_makes_another() -> None:
    async def scenario(store: ToyStore, stub: CommandStub) -> None:
        calls = [get(stub, b"%d" % number) for number in range(4)]
        await until(lambda: bool(store.messages))
        store.writers[0].transport.abort()
        assert [await failure(call) for call in calls] == [Code.UNAVAILABLE] * 4
        store.gate.set()
        assert (await get(stub, b"again")).value == b"again"
        assert len(store.greetings) == 2

    run(scenario)


def test_a_store_that_is_not_there_is_unavailable_and_one_that_moved_is_found() -> None:
    async def scenario(store: ToyStore, stub: CommandStub) -> None:
        store.gate.set()
        there = stub._peer_address
        stub.move_peer("127.0.0.1:1")
        assert await failure(get(stub, b"nobody")) is Code.UNAVAILABLE
        stub.move_peer(there)
        assert (await get(stub, b"key")).value == b"key"

    run(scenario)


def test_who_greets_otherwise_is_asked_by_grpc() -> None:
    async def scenario(store: ToyStore, stub: CommandStub) -> None:
        store.hello = b"HTTP/1.1 400 Bad Request"
        assert (await get(stub, b"key")).value == b"by gRPC"
        assert (await get(stub, b"key")).value == b"by gRPC"
        assert len(store.greetings) == 1

    run(scenario)


def test_a_grpc_port_told_as_the_peer_port_is_asked_by_grpc() -> None:
    """TiKV's Raft messages travel by gRPC: its peer address, where it tells one, is such a port."""

    async def scenario(store: ToyStore, stub: CommandStub) -> None:
        stub.move_peer(store.grpc_address)
        assert (await get(stub, b"key")).value == b"by gRPC"

    run(scenario)


@pytest.mark.parametrize("sent", [b"\xff\xff\xff\xff more", frame(b"\xff\xff")])
def test_an_answer_that_makes_no_sense_ends_the_connection(sent: bytes) -> None:
    async def scenario(store: ToyStore, stub: CommandStub) -> None:
        call = get(stub, b"key")
        await until(lambda: bool(store.messages))
        store.writers[0].write(sent)
        assert await failure(call) is Code.INTERNAL
        store.gate.set()
        assert (await get(stub, b"again")).value == b"again"

    run(scenario)


def test_a_deadline_and_a_cancellation_end_one_request_only() -> None:
    async def scenario(store: ToyStore, stub: CommandStub) -> None:
        calls = [get(stub, b"first"), get(stub, b"late", timeout=0.05), get(stub, b"dropped"), get(stub, b"patient")]
        assert await failure(calls[1]) is Code.DEADLINE_EXCEEDED
        calls[2].cancel()
        store.gate.set()
        assert (await calls[3]).value == b"patient"
        assert calls[2].cancelled()

    run(scenario)


def test_closing_fails_what_is_on_the_way() -> None:
    async def scenario(store: ToyStore, stub: CommandStub) -> None:
        calls = [get(stub, b"first"), get(stub, b"second")]
        await until(lambda: bool(store.messages))
        await stub.close()
        for call in calls:
            with pytest.raises(CallDropped):
                await call

    run(scenario)


def test_closing_while_connecting() -> None:
    async def scenario(store: ToyStore, stub: CommandStub) -> None:
        call = get(stub, b"first")
        await asyncio.sleep(0)
        await stub.close()
        with pytest.raises(CallDropped):
            await call

    run(scenario)
