"""The facade for plain threads, over gRPC: its loop is not the servers'."""

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from client_fakes import FakeCluster, world

from rutile_kv.client.cluster import ClientOptions
from rutile_kv.client.sync import SyncClient
from rutile_proto.errors import InvalidRequest, RetriesExhausted, WriteConflict


@pytest.fixture
def pd_address() -> Iterator[str]:
    """A cluster served in a thread of its own."""
    ready, stop = threading.Event(), asyncio.Event()
    address: list[str] = []
    loop: list[asyncio.AbstractEventLoop] = []

    async def serve() -> None:
        loop.append(asyncio.get_running_loop())
        async with world("grpc", cluster=FakeCluster()) as made:
            address.append(made.pd.urls[0])
            ready.set()
            await stop.wait()

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    assert ready.wait(10)
    yield address[0]
    loop[0].call_soon_threadsafe(stop.set)
    thread.join()


def test_transactions_snapshots_and_iteration(pd_address: str) -> None:
    with SyncClient.connect([pd_address]) as client:
        with client.begin() as txn:
            for n in range(600):
                txn.put(b"k%03d" % n, b"v")
            mark = txn.savepoint()
            txn.delete(b"k000")
            txn.rollback_to(mark)
            txn.release(txn.savepoint())
            txn.insert(b"new", b"1")
            txn.lock(b"held")
            assert txn.get(b"k001") == b"v"
            assert txn.is_dirty
            assert len(txn.scan(b"k", b"l", 10, reverse=True)) == 10
        assert txn.commit_ts is not None
        client.split_regions([b"k300"])
        snapshot = client.snapshot()
        assert snapshot.ts >= txn.commit_ts > txn.start_ts
        assert snapshot.get(b"new") == b"1"
        assert snapshot.batch_get([b"k001", b"x"]) == {b"k001": b"v"}
        assert [key for key, _ in snapshot.iterate(b"k", b"l")] == [b"k%03d" % n for n in range(600)]
        assert snapshot.scan(b"k", b"l", 2, reverse=True) == [(b"k599", b"v"), (b"k598", b"v")]
        assert client.snapshot(txn.start_ts).scan() == []
    with pytest.raises(InvalidRequest, match="closed"):
        client.timestamp()


def test_errors_and_exceptions_end_transactions(pd_address: str) -> None:
    with SyncClient.connect([pd_address]) as client:
        with pytest.raises(ZeroDivisionError), client.begin() as txn:
            txn.put(b"a", b"1")
            raise ZeroDivisionError
        first, second = client.begin(), client.begin()
        first.put(b"a", b"1")
        second.put(b"a", b"2")
        first.commit()
        with pytest.raises(WriteConflict):
            second.commit()
        assert second.commit_ts is None
        assert client.snapshot().get(b"a") == b"1"


def test_threads_share_a_client(pd_address: str) -> None:
    with SyncClient.connect([pd_address]) as client:

        def work(n: int) -> int:
            with client.begin() as txn:
                txn.put(b"t%d" % n, b"%d" % n)
            return len(client.snapshot().scan(b"t", b"u"))

        with ThreadPoolExecutor(8) as pool:
            seen = list(pool.map(work, range(32)))
        assert max(seen) == 32


def test_connecting_to_nobody_ends() -> None:
    with pytest.raises(RetriesExhausted, match="find the placement driver"):
        SyncClient.connect(["127.0.0.1:1"], options=ClientOptions(pd_budget_s=0.3))
