"""Requests that share messages: over gRPC, against a toy store that holds them as long as the test wants."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest

from rutile_kv.client.calls import CallDropped
from rutile_kv.client.command_stream import COMMANDS, CommandStub
from rutile_kv.client.command_way import MAX_COMMANDS
from rutile_kv.env.rpc import channel, start_server
from rutile_kv.server.command_answers import METHODS
from rutile_proto import kvrpcpb_pb2 as kvrpcpb
from rutile_proto import tikvpb_pb2 as tikvpb
from rutile_proto import tikvpb_pb2_grpc
from rutile_proto.wire_status import FINAL_CODES, response_of_status, status_in

Response = tikvpb.BatchCommandsResponse.Response
Code = grpc.StatusCode


class ToyStore(tikvpb_pb2_grpc.TikvServicer):
    """Answers a get with its key, once `gate` is open."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.alone: list[bytes] = []
        self.messages: list[list[bytes]] = []
        self.streams = 0
        self.answer_to: dict[bytes, Response] = {}
        self.breaks = False

    async def KvGet(self, request: kvrpcpb.GetRequest, context: Any) -> kvrpcpb.GetResponse:
        self.alone.append(request.key)
        await self.gate.wait()
        return kvrpcpb.GetResponse(value=request.key)

    async def BatchCommands(self, request_iterator: Any, context: Any) -> AsyncIterator[tikvpb.BatchCommandsResponse]:
        self.streams += 1
        async for message in request_iterator:
            self.messages.append([request.Get.key for request in message.requests])
            if self.breaks:
                await context.abort(Code.UNAVAILABLE, "the store goes")
            await self.gate.wait()
            answers = [self._answer(request.Get.key) for request in message.requests]
            yield tikvpb.BatchCommandsResponse(responses=answers, request_ids=message.request_ids)

    def _answer(self, key: bytes) -> Response:
        return self.answer_to.get(key) or Response(Get=kvrpcpb.GetResponse(value=key))


class OldStore(tikvpb_pb2_grpc.TikvServicer):
    """Knows no BatchCommands."""

    async def KvGet(self, request: kvrpcpb.GetRequest, context: Any) -> kvrpcpb.GetResponse:
        await asyncio.sleep(0)
        return kvrpcpb.GetResponse(value=request.key)


@asynccontextmanager
async def talking(store: Any) -> AsyncIterator[CommandStub]:
    server, address = await start_server(
        "127.0.0.1:0", [lambda s: tikvpb_pb2_grpc.add_TikvServicer_to_server(store, s)]
    )
    try:
        async with channel(address) as link:
            stub = CommandStub(tikvpb_pb2_grpc.TikvStub(link))
            yield stub
            await stub.close()
    finally:
        await server.stop(None)


def run(scenario: Callable[[], Awaitable[None]]) -> None:
    async def main() -> None:
        async with asyncio.timeout(20):
            await scenario()

    asyncio.run(main())


def get(stub: CommandStub, key: bytes, timeout: float | None = None) -> asyncio.Future[kvrpcpb.GetResponse]:
    return asyncio.ensure_future(stub.KvGet(kvrpcpb.GetRequest(key=key), timeout=timeout))


async def until(condition: Callable[[], bool]) -> None:
    while not condition():
        await asyncio.sleep(0.005)


async def failure(call: Awaitable[Any]) -> tuple[Code, str]:
    with pytest.raises(grpc.RpcError) as caught:
        await call
    return caught.value.code(), caught.value.details()


def test_the_names_are_those_of_the_stream() -> None:
    assert all(METHODS[command] == name for name, command in COMMANDS.items())


def test_requests_of_one_moment_share_messages_and_a_lone_one_has_its_own() -> None:
    async def scenario() -> None:
        store = ToyStore()
        async with talking(store) as stub:
            keys = [b"%d" % number for number in range(300)]
            calls = [get(stub, key) for key in keys]
            await until(lambda: bool(store.messages))
            store.gate.set()
            assert [answer.value for answer in await asyncio.gather(*calls)] == keys
            assert [key for message in store.messages for key in message] == keys
            assert len(store.messages) == 3, f"at most {MAX_COMMANDS} go in one"
            assert (await get(stub, b"alone")).value == b"alone"
            assert store.messages[3:] == [[b"alone"]]
            assert (store.alone, store.streams) == ([], 1)

    run(scenario)


def test_large_requests_and_other_methods_go_alone() -> None:
    async def scenario() -> None:
        store = ToyStore()
        store.gate.set()
        async with talking(store) as stub:
            large = [b"k" * 40_000, b"l" * 40_000]
            answers = await asyncio.gather(*(get(stub, key) for key in large))
            assert [answer.value for answer in answers] == large
            assert sorted(store.alone) == large
            assert (await failure(stub.KvScan(kvrpcpb.ScanRequest())))[0] is Code.UNIMPLEMENTED

    run(scenario)


def test_a_status_inside_an_answer_is_raised_as_the_status_it_was() -> None:
    async def scenario() -> None:
        store = ToyStore()
        store.gate.set()
        refusals = {b"bad": ("INVALID_ARGUMENT", "key: too long"), b"later": ("UNAVAILABLE", "stopping")}
        for key, (code, text) in refusals.items():
            store.answer_to[key] = Response(Get=response_of_status(kvrpcpb.GetResponse, code, text))
        locked = kvrpcpb.GetResponse(error=kvrpcpb.KeyError(locked=kvrpcpb.LockInfo(key=b"locked")))
        store.answer_to[b"locked"] = Response(Get=locked)
        async with talking(store) as stub:
            calls = [get(stub, key) for key in (b"first", b"bad", b"later", b"locked", b"good")]
            await asyncio.wait(calls)
            assert await failure(calls[1]) == (Code.INVALID_ARGUMENT, "key: too long")
            assert await failure(calls[2]) == (Code.UNAVAILABLE, "stopping")
            assert (await calls[3]).error.locked.key == b"locked"
            assert (await calls[4]).value == b"good"

    run(scenario)


def test_a_broken_stream_fails_what_is_on_it_and_the_next_request_opens_another() -> None:
    async def scenario() -> None:
        store = ToyStore()
        store.breaks = True
        async with talking(store) as stub:
            calls = [get(stub, b"%d" % number) for number in range(4)]
            assert [await failure(call) for call in calls] == [(Code.UNAVAILABLE, "the store goes")] * 4
            store.breaks = False
            again = get(stub, b"again")
            store.gate.set()
            assert (await again).value == b"again"
            assert store.streams == 2

    run(scenario)


def test_a_deadline_ends_one_request_and_not_the_stream() -> None:
    async def scenario() -> None:
        store = ToyStore()
        async with talking(store) as stub:
            calls = [get(stub, b"first"), get(stub, b"late", timeout=0.05), get(stub, b"patient")]
            assert (await failure(calls[1]))[0] is Code.DEADLINE_EXCEEDED
            store.gate.set()
            assert (await calls[2]).value == b"patient"

    run(scenario)


def test_a_cancelled_request_leaves_the_others_alone() -> None:
    async def scenario() -> None:
        store = ToyStore()
        async with talking(store) as stub:
            calls = [get(stub, key) for key in (b"first", b"given up", b"patient")]
            await until(lambda: bool(store.messages))
            calls[1].cancel()
            store.gate.set()
            assert (await calls[2]).value == b"patient"
            assert calls[1].cancelled()

    run(scenario)


def test_closing_fails_what_is_on_the_stream() -> None:
    async def scenario() -> None:
        store = ToyStore()
        async with talking(store) as stub:
            calls = [get(stub, key) for key in (b"first", b"second")]
            await until(lambda: bool(store.messages))
            await stub.close()
            for call in calls:
                with pytest.raises(CallDropped):
                    await call

    run(scenario)


def test_a_store_without_the_stream_is_asked_one_by_one() -> None:
    async def scenario() -> None:
        async with talking(OldStore()) as stub:
            keys = [b"%d" % number for number in range(20)]
            for _ in range(2):
                answers = await asyncio.gather(*(get(stub, key) for key in keys))
                assert [answer.value for answer in answers] == keys

    run(scenario)


@pytest.mark.parametrize("code", [*FINAL_CODES, "UNAVAILABLE", "RESOURCE_EXHAUSTED", "INTERNAL", "DEADLINE_EXCEEDED"])
def test_every_type_of_answer_has_a_place_for_a_status(code: str) -> None:
    for field in Response.DESCRIPTOR.oneofs_by_name["cmd"].fields:
        if field.name != "Empty":
            answer = response_of_status(type(getattr(Response(), field.name)), code, "a: b")
            assert status_in(answer) == (code, "a: b")
            assert status_in(type(answer)()) is None
