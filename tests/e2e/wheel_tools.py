"""The PyPI wheel tikv_client, sync and async, under one calling convention and with a bound on every call."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import tikv_client
from tikv_client import asynchronous

from rutile.nodes.playground import Playground
from rutile_proto import kvrpcpb_pb2 as kvrpcpb
from rutile_proto import metapb_pb2 as metapb
from rutile_proto import pdpb_pb2 as pdpb
from rutile_proto import pdpb_pb2_grpc, tikvpb_pb2_grpc
from rutile_proto.keys import storage_key

CALL_SECONDS = 25.0
"""No call of the wheel may take longer. Its own retries end after about 13 s where a lock is waited for."""
FACES = ("sync", "async")


class Wheel:
    """The wheel's functions of one face, run to their end on this thread's loop."""

    def __init__(self, face: str, loop: asyncio.AbstractEventLoop) -> None:
        self.module = tikv_client if face == "sync" else asynchronous
        self.called: set[str] = set()
        """Class.method of everything that was called."""
        self._loop = loop

    def transactions(self, cluster: Playground) -> Any:
        """A TransactionClient."""
        self.called.add("TransactionClient.connect")
        return self._bounded(self._run(lambda: self.module.TransactionClient.connect([cluster.pd_address])))

    def _bounded(self, result: Any) -> Any:
        return Bounded(self, result) if type(result).__module__.startswith("tikv_client") else result

    def call(self, target: Any, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        self.called.add(f"{type(target).__name__}.{name}")
        return self._bounded(self._run(lambda: getattr(target, name)(*args, **kwargs)))

    def _run(self, function: Callable[[], Any]) -> Any:
        """What the function returns: the sync face turns the loop itself; the async one needs a task to start in."""
        if self.module is tikv_client:
            with self._stop_loop_when_late():
                return function()
        return self._loop.run_until_complete(asyncio.wait_for(_awaited(function), CALL_SECONDS))

    @contextlib.contextmanager
    def _stop_loop_when_late(self) -> Iterator[None]:
        """`run_until_complete` inside the wheel then raises RuntimeError."""
        timer = self._loop.call_later(CALL_SECONDS, self._loop.stop)
        try:
            yield
        finally:
            timer.cancel()


async def _awaited(function: Callable[[], Any]) -> Any:
    result = function()
    return await result if inspect.isawaitable(result) else result


class Bounded:
    """An object of the wheel whose methods are called through its Wheel."""

    def __init__(self, wheel: Wheel, target: Any) -> None:
        self._wheel = wheel
        self.target = target

    def __getattr__(self, name: str) -> Any:
        return lambda *args, **kwargs: self._wheel.call(self.target, name, args, kwargs)


def methods_of_the_wheel() -> set[str]:
    """Class.method of everything the wheel offers about transactions."""
    kinds = (tikv_client.TransactionClient, tikv_client.Transaction, tikv_client.Snapshot)
    return {
        f"{kind.__name__}.{name}"
        for kind in kinds
        for name in dir(kind)
        if not name.startswith("_") and name != "inner"
    }


@contextlib.contextmanager
def transaction(client: Any, *, pessimistic: bool = False) -> Iterator[Any]:
    """Commits at the end, or rolls back what failed: the wheel panics when an unfinished transaction is dropped."""
    txn = client.begin(pessimistic=pessimistic)
    try:
        yield txn
        txn.commit()
    except BaseException:
        with contextlib.suppress(Exception):
            txn.rollback()
        raise


def snapshot(client: Any) -> Any:
    """Everything committed by now."""
    return client.snapshot(client.current_timestamp(), pessimistic=False)


class Direct:
    """The cluster's stubs, to do by hand what a client that dies half way leaves behind."""

    def __init__(self, cluster: Playground) -> None:
        self._channels = {address: grpc.insecure_channel(address) for address in (cluster.pd_address,)}
        self.pd = pdpb_pb2_grpc.PDStub(self._channels[cluster.pd_address])
        cluster_id = self.pd.GetMembers(pdpb.GetMembersRequest(), timeout=5).header.cluster_id
        self.header = pdpb.RequestHeader(cluster_id=cluster_id)

    def __enter__(self) -> Direct:
        return self

    def __exit__(self, *_exc: object) -> None:
        for channel in self._channels.values():
            channel.close()

    def region(self, key: bytes) -> tuple[metapb.Region, metapb.Peer]:
        """The region of a user key, and its leader."""
        request = pdpb.GetRegionRequest(header=self.header, region_key=storage_key(key))
        answer = self.pd.GetRegion(request, timeout=5)
        return answer.region, answer.leader

    def send(self, method: str, request: Any, key: bytes) -> Any:
        """Send to the leader of the key's region, with the right context."""
        region, leader = self.region(key)
        store = self.pd.GetStore(pdpb.GetStoreRequest(header=self.header, store_id=leader.store_id), timeout=5).store
        if store.address not in self._channels:
            self._channels[store.address] = grpc.insecure_channel(store.address)
        request.context.CopyFrom(kvrpcpb.Context(region_id=region.id, region_epoch=region.region_epoch, peer=leader))
        answer = getattr(tikvpb_pb2_grpc.TikvStub(self._channels[store.address]), method)(request, timeout=5)
        assert not answer.HasField("region_error"), answer
        return answer

    def prewrite(self, start_ts: int, values: dict[bytes, bytes], *, ttl_ms: int, primary: bytes) -> None:
        """One prewrite a key."""
        for key, value in values.items():
            request = kvrpcpb.PrewriteRequest(
                mutations=[kvrpcpb.Mutation(op=kvrpcpb.Put, key=key, value=value)],
                primary_lock=primary,
                start_version=start_ts,
                lock_ttl=ttl_ms,
            )
            assert not self.send("KvPrewrite", request, key).errors

    def commit(self, start_ts: int, commit_ts: int, key: bytes) -> None:
        request = kvrpcpb.CommitRequest(start_version=start_ts, keys=[key], commit_version=commit_ts)
        assert not self.send("KvCommit", request, key).HasField("error")

    def locks(self, key: bytes) -> list[bytes]:
        """All locks in the key's region."""
        answer = self.send("KvScanLock", kvrpcpb.ScanLockRequest(max_version=(1 << 63)), key)
        return [lock.key for lock in answer.locks]

    def split(self, keys: list[bytes]) -> None:
        """Let regions begin at these user keys."""
        request = pdpb.SplitRegionsRequest(header=self.header, split_keys=[storage_key(key) for key in keys])
        answer = self.pd.SplitRegions(request, timeout=20)
        assert answer.finished_percentage == 100, answer
