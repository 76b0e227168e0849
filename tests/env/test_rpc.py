"""One conformance suite for both ways to call a servicer: over a gRPC connection, and through a LocalStub."""

import asyncio
from contextlib import asynccontextmanager

import grpc
import pytest

from rutile_kv.env.health import HealthService
from rutile_kv.env.rpc import LocalStub, channel, start_server
from rutile_proto import coprocessor_pb2 as coprocessor
from rutile_proto import kvrpcpb_pb2 as kvrpcpb
from rutile_proto import raft_serverpb_pb2 as raft_serverpb
from rutile_proto import rutilepb_pb2 as rutilepb
from rutile_proto import tikvpb_pb2 as tikvpb
from rutile_proto import tikvpb_pb2_grpc
from rutile_proto.errors import PortInUse

Code = grpc.StatusCode


class Servicer(tikvpb_pb2_grpc.TikvServicer):
    """A method of each shape, and each way to fail."""

    def __init__(self):
        self.closed = asyncio.Event()
        self.chunks = []

    async def KvGet(self, request, context):
        match request.key:
            case b"abort":
                await context.abort(Code.RESOURCE_EXHAUSTED, "too much")
            case b"swallow":
                try:
                    await context.abort(Code.ABORTED, "swallowed")
                except Exception:
                    return kvrpcpb.GetResponse(value=b"not this")
            case b"bug":
                raise KeyError("oops")
            case b"inner timeout":
                raise TimeoutError("somebody else's")
            case b"hang":
                await asyncio.Event().wait()
            case b"deadline":
                return kvrpcpb.GetResponse(not_found=context.time_remaining() > 0)
        return kvrpcpb.GetResponse(value=request.key)

    async def BatchCoprocessor(self, request, context):
        try:
            for number in range(request.tp):
                yield coprocessor.BatchResponse(data=b"%d" % number)
            if request.data == b"abort":
                await context.abort(Code.DATA_LOSS, "page lost")
            if request.data == b"bug":
                raise KeyError("oops")
            if request.data == b"hang":
                await asyncio.Event().wait()
        finally:
            self.closed.set()

    async def BatchCommands(self, request_iterator, context):
        async for batch in request_iterator:
            yield tikvpb.BatchCommandsResponse(request_ids=batch.request_ids)

    async def Snapshot(self, request_iterator, context):
        self.chunks = [chunk.data async for chunk in request_iterator]
        return raft_serverpb.Done()


@asynccontextmanager
async def connected(kind, servicer):
    if kind == "local":
        yield LocalStub(servicer)
        return
    register = [lambda server: tikvpb_pb2_grpc.add_TikvServicer_to_server(servicer, server)]
    server, address = await start_server("127.0.0.1:0", register)
    try:
        async with channel(address) as connection:
            yield tikvpb_pb2_grpc.TikvStub(connection)
    finally:
        await server.stop(None)


@pytest.fixture(params=["local", "grpc"])
def run(request):
    """Runs `scenario(stub, servicer)` against one of the two."""

    def run_scenario(scenario):
        async def main():
            servicer = Servicer()
            async with asyncio.timeout(20), connected(request.param, servicer) as stub:
                await scenario(stub, servicer)

        asyncio.run(main())

    return run_scenario


async def failure(call):
    with pytest.raises(grpc.RpcError) as caught:
        await call
    return caught.value.code(), caught.value.details()


async def collect(call):
    """What a stream yields, then how it failed, if it did."""
    items = []
    try:
        async for answer in call:
            items.append(answer.data)
    except grpc.RpcError as error:
        items.append(error.code())
    return items


def get(key):
    return kvrpcpb.GetRequest(key=key)


def test_one_answer(run):
    async def scenario(stub, servicer):
        assert (await stub.KvGet(get(b"k"), timeout=5.0)).value == b"k"

    run(scenario)


@pytest.mark.parametrize(
    ("key", "code", "text"),
    [
        (b"abort", Code.RESOURCE_EXHAUSTED, "too much"),
        (b"swallow", Code.ABORTED, "swallowed"),
        (b"bug", Code.UNKNOWN, "oops"),
        (b"inner timeout", Code.UNKNOWN, "somebody else's"),
    ],
)
def test_failures_of_one_answer(run, key, code, text):
    async def scenario(stub, servicer):
        got, details = await failure(stub.KvGet(get(key), timeout=10.0))
        assert got is code
        assert text in details

    run(scenario)


def test_deadlines(run):
    async def scenario(stub, servicer):
        assert (await failure(stub.KvGet(get(b"hang"), timeout=0.05)))[0] is Code.DEADLINE_EXCEEDED
        assert (await stub.KvGet(get(b"deadline"), timeout=5.0)).not_found
        stream = stub.BatchCoprocessor(coprocessor.BatchRequest(tp=1, data=b"hang"), timeout=0.1)
        assert await collect(stream) == [b"0", Code.DEADLINE_EXCEEDED]

    run(scenario)


def test_a_method_that_is_not_served(run):
    async def scenario(stub, servicer):
        assert (await failure(stub.KvScan(kvrpcpb.ScanRequest())))[0] is Code.UNIMPLEMENTED

    run(scenario)


@pytest.mark.parametrize(
    ("data", "end"), [(b"", []), (b"abort", [Code.DATA_LOSS]), (b"bug", [Code.UNKNOWN])], ids=["end", "abort", "bug"]
)
def test_a_stream_of_answers(run, data, end):
    async def scenario(stub, servicer):
        stream = stub.BatchCoprocessor(coprocessor.BatchRequest(tp=3, data=data))
        assert await collect(stream) == [b"0", b"1", b"2", *end]

    run(scenario)


def test_letting_go_of_a_stream_ends_the_servicer(run):
    async def scenario(stub, servicer):
        stream = stub.BatchCoprocessor(coprocessor.BatchRequest(tp=1, data=b"hang"))
        async for _ in stream:
            break
        await (stream.aclose() if hasattr(stream, "aclose") else asyncio.to_thread(stream.cancel))
        await servicer.closed.wait()

    run(scenario)


def test_both_sides_stream(run):
    async def scenario(stub, servicer):
        queue = asyncio.Queue()

        async def requests():
            while (number := await queue.get()) is not None:
                yield tikvpb.BatchCommandsRequest(request_ids=[number])

        call = stub.BatchCommands(requests())
        answers = aiter(call)
        for number in range(3):
            queue.put_nowait(number)
            assert list((await anext(answers)).request_ids) == [number]
        queue.put_nowait(None)
        assert [answer async for answer in answers] == []

    run(scenario)


def test_the_client_streams(run):
    async def scenario(stub, servicer):
        async def chunks():
            for data in (b"a", b"b"):
                yield raft_serverpb.SnapshotChunk(data=data)

        await stub.Snapshot(chunks())
        assert servicer.chunks == [b"a", b"b"]

    run(scenario)


def test_cancelling_the_caller_cancels_the_servicer(run):
    async def scenario(stub, servicer):
        async def read():
            async for _ in stub.BatchCoprocessor(coprocessor.BatchRequest(tp=0, data=b"hang")):
                pass

        task = asyncio.ensure_future(read())
        await asyncio.wait([task], timeout=0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await servicer.closed.wait()

    run(scenario)


def test_messages_may_be_larger_than_grpcs_default():
    async def main():
        servicer = Servicer()
        async with connected("grpc", servicer) as stub:
            big = bytes(6 << 20)
            assert (await stub.KvGet(get(big))).value == big

    asyncio.run(main())


def test_a_port_in_use_is_named():
    async def main():
        server, address = await start_server("127.0.0.1:0", [])
        try:
            with pytest.raises(PortInUse, match=address):
                await start_server(address, [])
        finally:
            await server.stop(None)

    asyncio.run(main())


def test_health_over_grpc():
    async def main():
        health = HealthService()
        server, address = await start_server("127.0.0.1:0", [health.register])
        try:
            async with channel("http://" + address) as connection:
                check = connection.unary_unary(
                    "/grpc.health.v1.Health/Check",
                    request_serializer=rutilepb.HealthCheckRequest.SerializeToString,
                    response_deserializer=rutilepb.HealthCheckResponse.FromString,
                )
                assert (await check(rutilepb.HealthCheckRequest())).status == rutilepb.HealthCheckResponse.NOT_SERVING
                health.serving = True
                assert (await check(rutilepb.HealthCheckRequest())).status == rutilepb.HealthCheckResponse.SERVING
        finally:
            await server.stop(None)

    asyncio.run(main())


def test_a_stub_has_no_private_attributes():
    with pytest.raises(AttributeError):
        LocalStub(object())._anything  # noqa: B018
