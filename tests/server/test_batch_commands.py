"""BatchCommands over both wires: every id answered once, in the order in which the answers come about."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc
import pytest
from direct_kv import make_region
from server_tools import CLUSTER_ID, WIRES, Served, serving, until

from rutile_kv.client.calls import RequestStream, close_stream
from rutile_kv.server import batch_commands
from rutile_kv.server.command_answers import METHODS
from rutile_proto import kvrpcpb_pb2 as kvrpcpb
from rutile_proto import metapb_pb2 as metapb
from rutile_proto import tikvpb_pb2 as tikvpb
from rutile_proto.keys import storage_key

Scenario = Callable[[Served], Awaitable[None]]
Command = tikvpb.BatchCommandsRequest.Request


@pytest.fixture(params=WIRES)
def run(request: pytest.FixtureRequest) -> Callable[..., None]:
    """Runs a scenario against a service over one of the wires."""

    def run_it(scenario: Scenario, *regions: metapb.Region) -> None:
        async def main() -> None:
            async with asyncio.timeout(20), serving(request.param, *regions) as served:
                await scenario(served)

        asyncio.run(main())

    return run_it


class Talk:
    """One stream of commands, from the client's side."""

    def __init__(self, served: Served) -> None:
        self.requests: RequestStream[tikvpb.BatchCommandsRequest] = RequestStream()
        self.call = served.tikv.BatchCommands(self.requests)
        self._answers = aiter(self.call)
        self.messages: list[tikvpb.BatchCommandsResponse] = []
        self.answers: dict[int, tikvpb.BatchCommandsResponse.Response] = {}

    def send(self, commands: dict[int, Command]) -> None:
        self.requests.put(tikvpb.BatchCommandsRequest(requests=commands.values(), request_ids=commands.keys()))

    async def read(self, count: int) -> dict[int, Any]:
        """Wait for `count` answers more; all that are known so far."""
        wanted = len(self.answers) + count
        while len(self.answers) < wanted:
            message = await anext(self._answers)
            assert message.responses, "an empty message is no answer"
            assert message.transport_layer_load == 0
            self.messages.append(message)
            for request_id, response in zip(message.request_ids, message.responses, strict=True):
                assert request_id not in self.answers, "every id is answered once"
                self.answers[request_id] = response
        return self.answers

    async def rest(self) -> None:
        """The client ends the stream; the server must end it too, with nothing left to say."""
        self.requests.end()
        with pytest.raises(StopAsyncIteration):
            await anext(self._answers)


@contextlib.asynccontextmanager
async def talking(served: Served) -> AsyncIterator[Talk]:
    talk = Talk(served)
    try:
        yield talk
    finally:
        talk.requests.end()
        await close_stream(talk.call)


def get(served: Served, key: bytes, version: int = 100, region_id: int = 1) -> Command:
    return Command(Get=kvrpcpb.GetRequest(context=served.context(region_id), key=key, version=version))


def echo(test_id: int, delay_ms: int = 0) -> Command:
    return Command(Empty=tikvpb.BatchCommandsEmptyRequest(test_id=test_id, delay_time=delay_ms))


# --- the ordinary -----------------------------------------------------------------------------------------------------


def test_every_command_of_the_oneof_is_served_by_a_method_of_its_own() -> None:
    numbers = [field.name for field in Command.DESCRIPTOR.oneofs_by_name["cmd"].fields]
    assert [*METHODS, "Empty"] == numbers
    service = tikvpb.DESCRIPTOR.services_by_name["Tikv"].methods_by_name
    for name, method in METHODS.items():
        answer = tikvpb.BatchCommandsResponse.Response.DESCRIPTOR.fields_by_name[name]
        assert answer.message_type is service[method].output_type
        assert answer.number == Command.DESCRIPTOR.fields_by_name[name].number


def test_answers_come_when_they_are_ready_and_not_in_the_order_of_the_requests(run: Callable[..., None]) -> None:
    async def scenario(served: Served) -> None:
        await served.put(10, 20, {b"a": b"1"})
        async with talking(served) as talk:
            talk.send({1: echo(11, delay_ms=300), 2: get(served, b"a"), 3: echo(33)})
            await talk.read(3)
            assert list(talk.answers)[-1] == 1
            assert talk.answers[1].Empty.test_id == 11
            assert talk.answers[2].Get.value == b"1"
            assert talk.answers[3].Empty.test_id == 33
            await talk.rest()

    run(scenario)


def test_a_full_message_of_gets_is_answered_in_one(run: Callable[..., None]) -> None:
    async def scenario(served: Served) -> None:
        await served.put(10, 20, {b"k%03d" % n: b"v%d" % n for n in range(0, 128, 2)})
        async with talking(served) as talk:
            talk.send({n: get(served, b"k%03d" % n) for n in range(128)})
            answers = await talk.read(128)
            for n in range(128):
                assert answers[n].Get.not_found == bool(n % 2)
                assert answers[n].Get.value == (b"" if n % 2 else b"v%d" % n)
            assert len(talk.messages) == 1

    run(scenario)


def test_a_transaction_and_raw_data_on_one_stream(run: Callable[..., None]) -> None:
    async def scenario(served: Served) -> None:
        context = served.context()
        mutation = kvrpcpb.Mutation(op=kvrpcpb.Put, key=b"t", value=b"row")
        prewrite = kvrpcpb.PrewriteRequest(
            context=context, mutations=[mutation], primary_lock=b"t", start_version=5, lock_ttl=3000
        )
        commit = kvrpcpb.CommitRequest(context=context, start_version=5, keys=[b"t"], commit_version=6)
        async with talking(served) as talk:
            talk.send(
                {
                    1: Command(Prewrite=prewrite),
                    2: Command(RawPut=kvrpcpb.RawPutRequest(context=context, key=b"r", value=b"raw")),
                }
            )
            await talk.read(2)
            talk.send({3: Command(Commit=commit)})
            assert (await talk.read(1))[3].Commit.commit_version == 6
            raw_get = kvrpcpb.RawGetRequest(context=context, key=b"r")
            talk.send({4: get(served, b"t"), 5: Command(RawGet=raw_get), 6: Command(RawGet=raw_get)})
            answers = await talk.read(3)
            assert answers[4].Get.value == b"row"
            assert answers[5].RawGet.value == answers[6].RawGet.value == b"raw"

    run(scenario)


def test_gets_of_several_regions_in_one_message(run: Callable[..., None]) -> None:
    border = storage_key(b"m")

    async def scenario(served: Served) -> None:
        await served.put(10, 20, {b"a": b"left"}, 1)
        await served.put(10, 20, {b"z": b"right"}, 2)
        async with talking(served) as talk:
            talk.send({1: get(served, b"a", region_id=1), 2: get(served, b"z", region_id=2)})
            talk.send({3: get(served, b"b", region_id=1), 4: get(served, b"z", region_id=1)})
            answers = await talk.read(4)
            assert (answers[1].Get.value, answers[2].Get.value) == (b"left", b"right")
            assert answers[3].Get.not_found
            assert answers[4].Get.region_error.key_not_in_region.key == b"z"

    run(scenario, make_region(1, b"", border), make_region(2, border, b""))


# --- what goes wrong --------------------------------------------------------------------------------------------------


def test_a_failing_command_takes_only_its_own_answer_with_it(run: Callable[..., None]) -> None:
    async def scenario(served: Served) -> None:
        await served.lock(10, {b"held": b"1"})
        lost = get(served, b"a")
        lost.Get.context.region_id = 99
        stranger = get(served, b"a")
        stranger.Get.context.cluster_id = CLUSTER_ID + 1
        raw_get = kvrpcpb.RawGetRequest(context=served.context(), key=b"x" * 9000)
        async with talking(served) as talk:
            commands = [
                get(served, b"a"),
                get(served, b""),
                get(served, b"held"),
                lost,
                stranger,
                Command(RawGet=raw_get),
                Command(Prewrite=kvrpcpb.PrewriteRequest(context=served.context())),
                get(served, b"a", version=0),
            ]
            talk.send(dict(enumerate(commands)))
            answers = await talk.read(len(commands))
            assert answers[0].Get.not_found
            assert "at least one byte" in answers[1].Get.error.abort
            assert answers[2].Get.error.locked.key == b"held"
            assert answers[3].Get.region_error.region_not_found.region_id == 99
            assert f"cluster {CLUSTER_ID}" in answers[4].Get.error.abort
            assert "max key size" in answers[5].RawGet.error
            assert "INVALID_ARGUMENT" in answers[6].Prewrite.errors[0].abort
            assert "version is 0" in answers[7].Get.error.abort
            talk.send({100: echo(1)})
            assert (await talk.read(1))[100].Empty.test_id == 1

    run(scenario)


def test_an_unexpected_error_asks_the_client_to_look_again(run: Callable[..., None]) -> None:
    async def scenario(served: Served) -> None:
        served.kv.broken = OSError("the disk is on fire")
        async with talking(served) as talk:
            copr = Command()
            copr.Coprocessor.context.CopyFrom(served.context())
            talk.send({1: get(served, b"a"), 2: get(served, b"b"), 3: copr})
            answers = await talk.read(3)
            assert "the disk is on fire" in answers[1].Get.region_error.message
            assert "the disk is on fire" in answers[2].Get.region_error.message
            assert answers[3].Coprocessor.other_error
            served.kv.broken = None
            talk.send({4: get(served, b"a"), 5: get(served, b"b")})
            assert (await talk.read(2))[5].Get.not_found

    run(scenario)


def test_commands_of_the_future_are_answered_too(run: Callable[..., None]) -> None:
    """A number of the oneof that is not known here arrives as a request without a command."""

    async def scenario(served: Served) -> None:
        async with talking(served) as talk:
            talk.send({1: Command(), 2: echo(2)})
            answers = await talk.read(2)
            assert answers[1].WhichOneof("cmd") is None
            assert answers[2].Empty.test_id == 2

    run(scenario)


def test_what_is_not_built_is_refused_in_its_answer(run: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario(served: Served) -> None:
        async def refuse(_request: Any, context: Any) -> None:
            await context.abort(grpc.StatusCode.UNIMPLEMENTED, "not built")

        monkeypatch.setattr(served.service, "KvGC", refuse, raising=False)
        async with talking(served) as talk:
            talk.send({1: Command(GC=kvrpcpb.GCRequest(context=served.context(), safe_point=1))})
            assert (await talk.read(1))[1].GC.error.abort == "UNIMPLEMENTED: not built"

    run(scenario)


def test_a_message_that_does_not_add_up_ends_its_stream_and_no_other(run: Callable[..., None]) -> None:
    async def scenario(served: Served) -> None:
        async with talking(served) as other, talking(served) as talk:
            talk.requests.put(tikvpb.BatchCommandsRequest(requests=[echo(1)], request_ids=[1, 2]))
            with pytest.raises(grpc.RpcError) as caught:
                await talk.read(1)
            assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
            assert "1 requests and 2 ids" in caught.value.details()
            other.send({1: echo(7)})
            assert (await other.read(1))[1].Empty.test_id == 7

    run(scenario)


def test_bytes_that_are_no_message_end_the_stream() -> None:
    async def main() -> None:
        async with asyncio.timeout(20), serving("grpc") as served:
            method = served.channel.stream_stream("/tikvpb.Tikv/BatchCommands")
            whole = tikvpb.BatchCommandsRequest(requests=[get(served, b"a")], request_ids=[1]).SerializeToString()
            requests: RequestStream[bytes] = RequestStream()
            requests.put(whole[: len(whole) // 2])
            call = method(requests)
            with pytest.raises(grpc.RpcError) as caught:
                await anext(aiter(call))
            requests.end()
            assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
            assert "cannot be read" in caught.value.details()
            assert (await served.get(b"a", 5)).not_found

    asyncio.run(main())


# --- bounds and endings -----------------------------------------------------------------------------------------------


def test_a_client_that_leaves_stops_its_commands(run: Callable[..., None]) -> None:
    async def scenario(served: Served) -> None:
        before = len(asyncio.all_tasks())
        served.kv.stuck = True
        async with talking(served) as talk:
            talk.send({1: echo(1), 2: get(served, b"a"), 3: get(served, b"b")})
            await talk.read(1)
        served.kv.stuck = False
        await until(lambda: len(asyncio.all_tasks()) <= before)
        assert (await served.get(b"a", 5)).not_found

    run(scenario)


def test_no_more_is_taken_in_than_has_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_commands, "MAX_OPEN", 8)

    async def main() -> None:
        async with asyncio.timeout(20), serving("local") as served, talking(served) as talk:
            served.kv.stuck = True
            for first in range(0, 40, 4):
                talk.send({n: get(served, b"a", version=n + 1) for n in range(first, first + 4)})
            talk.send({1000: echo(1)})
            reading = asyncio.ensure_future(talk.read(41))
            await until(lambda: talk.requests._queue.qsize() <= 9)
            await asyncio.sleep(0)
            assert talk.requests._queue.qsize() == 9, "two messages fill the room, and nine wait outside"
            served.kv.free()
            assert len(await reading) == 41

    asyncio.run(main())


def test_a_store_that_stops_says_so_in_every_answer(run: Callable[..., None]) -> None:
    async def scenario(served: Served) -> None:
        async with talking(served) as talk:
            served.service.close()
            talk.send({1: get(served, b"a"), 2: get(served, b"b")})
            answers = await talk.read(2)
            assert "UNAVAILABLE" in answers[1].Get.region_error.message
            served.service.closed = False

    run(scenario)
