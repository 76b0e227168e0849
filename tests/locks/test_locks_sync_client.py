"""Pessimistic transactions of plain threads."""

import threading
from collections.abc import Iterator

import pytest
from lock_cluster import stores

from rutile_kv.client.loop_thread import LoopThread
from rutile_kv.client.sync import SyncClient, SyncPessimisticTransaction
from rutile_proto.errors import LockWaitTimeout


@pytest.fixture
def client() -> Iterator[SyncClient]:
    """Of a store that lives in the client's own loop."""
    loop, opened = LoopThread(), stores(1, 1)
    cluster = loop.run(opened.__aenter__())
    inner = cluster.client()
    try:
        yield SyncClient(loop, inner)
    finally:
        loop.run(inner.close())
        loop.run(opened.__aexit__(None, None, None))
        loop.stop()


def test_locks_are_taken_held_and_given_back(client: SyncClient) -> None:
    with client.begin() as txn:
        txn.put(b"a", b"1")
    with client.begin(pessimistic=True) as txn:
        assert isinstance(txn, SyncPessimisticTransaction)
        assert txn.get_for_update(b"a") == b"1"
        assert txn.lock_keys([b"b"]) == {b"b": False}
        with client.begin(pessimistic=True) as other, pytest.raises(LockWaitTimeout):
            other.get_for_update(b"a", wait_s=0)
        txn.put(b"a", b"2")
        txn.put(b"b", b"3")
    with client.begin(pessimistic=True) as txn:
        assert txn.batch_get_for_update([b"b", b"a", b"c"], wait_s=0) == {b"a": b"2", b"b": b"3"}


def test_threads_that_add_to_one_key_wait_for_each_other(client: SyncClient) -> None:
    def add() -> None:
        for _ in range(5):
            with client.begin(pessimistic=True) as txn:
                txn.put(b"n", str(int(txn.get_for_update(b"n") or b"0") + 1).encode())

    threads = [threading.Thread(target=add) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert client.snapshot().get(b"n") == b"20"
