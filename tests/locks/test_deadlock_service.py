"""The detector: over the wire, out of office, and when the office moves."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest
from lock_cluster import stores, until

from rutile_kv.client.calls import RequestStream
from rutile_kv.env.rpc import LocalStub, channel, start_server
from rutile_kv.server.deadlock_service import DeadlockDetector, DeadlockService, wait_to_pb
from rutile_kv.txn.deadlock import WaitFor
from rutile_proto import deadlock_pb2 as deadlock
from rutile_proto import deadlock_pb2_grpc
from rutile_proto import kvrpcpb_pb2 as kvrpcpb
from rutile_proto.errors import Deadlock


class Detecting(DeadlockService):
    def __init__(self) -> None:
        self.term = 3
        self.detector = DeadlockDetector(lambda: self.term)


@asynccontextmanager
async def detecting(wire: str) -> AsyncIterator[tuple[Detecting, Any]]:
    service = Detecting()
    if wire == "local":
        yield service, LocalStub(service)
        return
    register = lambda server: deadlock_pb2_grpc.add_DeadlockServicer_to_server(service, server)  # noqa: E731
    server, address = await start_server("127.0.0.1:0", [register])
    try:
        async with channel(address) as link:
            yield service, deadlock_pb2_grpc.DeadlockStub(link)
    finally:
        await server.stop(None)


def detect(wait: WaitFor) -> deadlock.DeadlockRequest:
    return deadlock.DeadlockRequest(tp=deadlock.Detect, entry=wait_to_pb(wait))


@pytest.mark.parametrize("wire", ["local", "grpc"])
def test_two_stores_close_a_circle_and_the_waits_of_one_that_hangs_up_are_forgotten(wire: str) -> None:
    async def body() -> None:
        async with detecting(wire) as (service, stub):
            one: RequestStream[deadlock.DeadlockRequest] = RequestStream()
            two: RequestStream[deadlock.DeadlockRequest] = RequestStream()

            async def listen(requests: Any) -> deadlock.DeadlockResponse | None:
                async for response in stub.Detect(requests):
                    requests.end()
                    return response
                return None

            first, second = asyncio.ensure_future(listen(one)), asyncio.ensure_future(listen(two))
            one.put(detect(WaitFor(1, 2, b"b")))
            await until(lambda: len(service.detector.waits()) == 1)
            found = await stub.GetWaitForEntries(deadlock.WaitForEntriesRequest())
            assert [(entry.txn, entry.wait_for_txn, entry.key) for entry in found.entries] == [(1, 2, b"b")]
            two.put(detect(WaitFor(2, 1, b"a")))
            response = await second
            assert response is not None and (response.entry.txn, response.entry.key) == (2, b"a")
            assert [entry.txn for entry in response.wait_chain] == [2, 1]
            assert response.deadlock_key_hash == response.wait_chain[1].key_hash != 0
            one.end()
            assert await first is None
            await until(lambda: service.detector.waits() == [])

    asyncio.run(body())


@pytest.mark.parametrize("wire", ["local", "grpc"])
def test_out_of_office_it_refuses_and_back_in_office_it_begins_anew(wire: str) -> None:
    async def body() -> None:
        async with detecting(wire) as (service, stub):
            requests: RequestStream[deadlock.DeadlockRequest] = RequestStream()
            requests.put(detect(WaitFor(1, 2, b"b")))
            service.term = 0
            with pytest.raises(grpc.RpcError) as refused:
                async for _ in stub.Detect(requests):
                    pass
            requests.end()
            assert refused.value.code() is grpc.StatusCode.FAILED_PRECONDITION
            service.term = 4
            assert service.detector.in_office() == 4
            service.detector.detect(WaitFor(1, 2, b"b"))
            service.term = 6
            assert service.detector.waits() == []

    asyncio.run(body())


def test_a_deadlock_is_found_by_the_detector_that_came_into_office_in_the_middle() -> None:
    async def body() -> None:
        async with stores(3, 3) as cluster, cluster.client() as client:
            await client.split_regions([b"m"])
            await cluster.lead(b"z", cluster.nodes[1])
            await cluster.lead(b"", cluster.nodes[0])
            first, second = await client.begin(pessimistic=True), await client.begin(pessimistic=True)
            await first.lock_keys([b"y"])
            await second.lock_keys([b"z"])
            waiting = asyncio.ensure_future(first.lock_keys([b"z"], wait_s=20))
            expected = (first.start_ts, second.start_ts, b"z")

            async def is_told() -> bool:
                told = [await stub.GetLockWaitInfo(kvrpcpb.GetLockWaitInfoRequest()) for stub in cluster.stubs.values()]
                waits = [(entry.txn, entry.wait_for_txn, entry.key) for each in told for entry in each.entries]
                known = [wait for node in cluster.nodes for wait in node.servicer.detector.waits()]
                return waits == [expected] and known == [WaitFor(*expected)]

            await until(is_told)  # wherever: the placement driver balances leaders meanwhile
            office = cluster.leader(b"")
            await cluster.lead(b"", next(node for node in cluster.nodes if node is not office))
            closing = asyncio.ensure_future(second.lock_keys([b"y"], wait_s=20))
            done, _ = await asyncio.wait([waiting, closing], return_when=asyncio.FIRST_COMPLETED, timeout=5)
            (victim,) = done
            with pytest.raises(Deadlock):
                victim.result()
            await (first if victim is waiting else second).rollback()
            await (closing if victim is waiting else waiting)
            await (second if victim is waiting else first).rollback()

    asyncio.run(body())
