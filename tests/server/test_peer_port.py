"""Commands on a store's peer port: hostile clients, and clients that do not read."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from direct_kv import STORE_ID
from server_tools import CLUSTER_ID, Served, serving, until

from rutile_kv.env.frames import GREETING_BYTES, LENGTH_BYTES, Purpose, frame, greeting
from rutile_kv.server.batch_commands import MAX_OPEN
from rutile_kv.server.peer_port import PeerPort
from rutile_proto import tikvpb_pb2 as tikvpb

HELLO = greeting(Purpose.COMMANDS, CLUSTER_ID, STORE_ID)
Scenario = Callable[[str, int, PeerPort], Awaitable[None]]


def run(scenario: Scenario) -> None:
    async def main() -> None:
        async with asyncio.timeout(20), serving("local") as served:
            await with_port(served, scenario)

    asyncio.run(main())


async def with_port(served: Served, scenario: Scenario) -> None:
    port = PeerPort(served.inbox, CLUSTER_ID, STORE_ID, served.service)
    number = await port.listen("127.0.0.1")
    try:
        await scenario("127.0.0.1", number, port)
    finally:
        await port.close()


def echoes(ids: range, delay_ms: int = 0) -> bytes:
    """A frame that asks for as many echoes."""
    echo = tikvpb.BatchCommandsEmptyRequest(test_id=1, delay_time=delay_ms)
    requests = [tikvpb.BatchCommandsRequest.Request(Empty=echo) for _ in ids]
    return frame(tikvpb.BatchCommandsRequest(requests=requests, request_ids=ids).SerializeToString())


async def answers(reader: asyncio.StreamReader, count: int) -> list[int]:
    """The ids of the next `count` answers."""
    ids: list[int] = []
    while len(ids) < count:
        length = int.from_bytes(await reader.readexactly(LENGTH_BYTES), "big")
        ids += tikvpb.BatchCommandsResponse.FromString(await reader.readexactly(length)).request_ids
    return ids


@pytest.mark.parametrize("cut", [1, 5, 40])
def test_commands_arrive_however_they_are_cut(cut: int) -> None:
    async def scenario(host: str, port: int, _: PeerPort) -> None:
        reader, writer = await asyncio.open_connection(host, port)
        data = HELLO + echoes(range(1, 4)) + echoes(range(4, 6))
        for at in range(0, len(data), cut):
            writer.write(data[at : at + cut])
            await asyncio.sleep(0)
        assert await reader.readexactly(GREETING_BYTES) == HELLO
        assert sorted(await answers(reader, 5)) == [1, 2, 3, 4, 5]
        writer.close()

    run(scenario)


UNEVEN = tikvpb.BatchCommandsRequest(request_ids=[1, 2]).SerializeToString()


@pytest.mark.parametrize(
    "data",
    [
        greeting(Purpose.COMMANDS, CLUSTER_ID + 1, STORE_ID),
        greeting(Purpose.COMMANDS, CLUSTER_ID, STORE_ID + 1),
        b"GET / HTTP/1.1\r\n\r\n",
        HELLO + b"\xff" * 8,
        HELLO + frame(b"\xff\xff\xff"),
        HELLO + frame(UNEVEN),
    ],
    ids=["another cluster", "another store", "another protocol", "too long", "no message", "ids without requests"],
)
def test_nonsense_ends_its_connection_only(data: bytes) -> None:
    async def scenario(host: str, port: int, _: PeerPort) -> None:
        good_reader, good_writer = await asyncio.open_connection(host, port)
        good_writer.write(HELLO)
        reader, writer = await asyncio.open_connection(host, port)
        writer.write(data)
        assert await reader.read() in (b"", HELLO)
        good_writer.write(echoes(range(1, 2)))
        assert await good_reader.readexactly(GREETING_BYTES) == HELLO
        assert await answers(good_reader, 1) == [1]
        for each in (writer, good_writer):
            each.close()

    run(scenario)


def test_a_client_with_too_much_under_way_is_not_read_from() -> None:
    async def scenario(host: str, port: int, _: PeerPort) -> None:
        reader, writer = await asyncio.open_connection(host, port)
        writer.write(HELLO + echoes(range(MAX_OPEN), delay_ms=300))
        writer.write(echoes(range(MAX_OPEN, MAX_OPEN + 5)))
        assert await reader.readexactly(GREETING_BYTES) == HELLO
        ids = await answers(reader, MAX_OPEN + 5)
        assert sorted(ids) == list(range(MAX_OPEN + 5))
        writer.close()

    run(scenario)


def test_a_client_that_never_reads_stops_being_read_from() -> None:
    """The port takes no more from it than its buffers and MAX_OPEN commands hold."""

    async def scenario(host: str, port: int, served: PeerPort) -> None:
        _, writer = await asyncio.open_connection(host, port)
        writer.write(HELLO)
        stuck = asyncio.ensure_future(send_for_ever(writer))
        await until(lambda: any(not one._transport.is_reading() for one in served._open))
        assert not stuck.done()
        stuck.cancel()
        writer.transport.abort()
        await until(lambda: not served._open)

    run(scenario)


async def send_for_ever(writer: asyncio.StreamWriter) -> None:
    batch = echoes(range(1000))
    while True:
        writer.write(batch)
        await writer.drain()


def test_closing_answers_what_is_under_way() -> None:
    async def scenario(host: str, port: int, served: PeerPort) -> None:
        reader, writer = await asyncio.open_connection(host, port)
        writer.write(HELLO + echoes(range(1, 3), delay_ms=100) + echoes(range(3, 4), delay_ms=30_000))
        assert await reader.readexactly(GREETING_BYTES) == HELLO
        await until(lambda: any(one._taker is not None for one in served._open))
        await served.close()
        assert sorted(await answers(reader, 2)) == [1, 2]
        assert await reader.read() == b""
        writer.close()

    run(scenario)
