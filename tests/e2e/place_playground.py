"""A playground whose processes die where they are told to, in the middle of a write, while a client keeps a ledger."""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import grpc
import pytest

from rutile.ctl.console import connect
from rutile.nodes.child_process import Child
from rutile.nodes.playground import Playground
from rutile_kv.client.backoff import Backoff
from rutile_kv.client.client import Client
from rutile_kv.client.cluster import ClientOptions
from rutile_kv.client.pd import PdClient
from rutile_kv.env.failpoints import VARIABLE
from rutile_proto import kvrpcpb_pb2 as kvrpcpb
from rutile_proto import metapb_pb2 as metapb
from rutile_proto import pdadminpb_pb2 as pdadminpb
from rutile_proto import pdpb_pb2 as pdpb
from rutile_proto import rutilepb_pb2 as rutilepb
from rutile_proto.errors import RutileError, UndeterminedResult

FILE = "failpoints"
SETTINGS = {
    "kv": ("gc_life_time_seconds=6", "gc_interval_seconds=2", "gc_poll_seconds=1", "load_split_requests=0"),
    "pd": ("tick_s=0.2", "store_disconnected_s=3600"),
}
HASTY = ClientOptions(read_budget_s=3.0, write_budget_s=3.0, find_out_budget_s=1.0, pd_budget_s=3.0)
PATIENCE_S = 60.0
HELD_S = 120
"""How long a look at everything may take."""


class PlacePlayground(Playground):
    """See the module. Garbage is collected after seconds, and the placement driver looks often."""

    def _spawn(self, name: str, arguments: list[str]) -> Child:
        settings = [part for each in SETTINGS.get(name.rstrip("0123456789"), ()) for part in ("--set", each)]
        with pytest.MonkeyPatch.context() as environment:
            environment.setenv(VARIABLE, f"@{FILE}")
            return super()._spawn(name, [*arguments, *settings])

    def arm(self, child: Child, points: str) -> None:
        """Let a process die at `points`, counted from now; it may be yet to start. Empty: nowhere."""
        folder = self.data_dir / child.name
        folder.mkdir(exist_ok=True)
        written = folder / f"{FILE}.new"
        written.write_text(points)
        os.replace(written, folder / FILE)

    def damage(self) -> list[str]:
        """What the stores have said about replicas that differ, and about what ended them."""
        said = ("is damaged", "stops serving")
        logs = [child.log_path.read_text(errors="replace") for child in (*self.stores, *self.pds)]
        return [line for log in logs for line in log.splitlines() if any(each in line for each in said)]


class Ledger:
    """A client that writes pairs, one after the other, and knows which were acknowledged."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._number = 0
        self.acknowledged: list[int] = []
        self._task = asyncio.ensure_future(self._run())

    async def _run(self) -> None:
        while True:
            self._number += 1
            try:
                await self._write(self._number)
                self.acknowledged.append(self._number)
            except RutileError:
                await asyncio.sleep(0.05)
            await asyncio.sleep(0.003)

    async def _write(self, number: int) -> None:
        async with await self._client.begin() as transaction:
            for half in (b"a", b"z"):
                transaction.put(pair_key(half, number), b"%d" % number)
            transaction.put(b"newest", b"%d" % number)

    async def goes_on(self) -> bool:
        """Whether something new is acknowledged soon."""
        before = len(self.acknowledged)
        await asyncio.sleep(0.05)
        return len(self.acknowledged) > before

    async def check(self) -> None:
        """All that was acknowledged is there, and nothing in half."""
        acknowledged = set(self.acknowledged)
        ts = await self._client.timestamp()
        assert await self._client.claim_versions("ledger", ts, HELD_S)  # these clusters forget within seconds
        snapshot = self._client.snapshot(ts)
        halves = [
            {int(value) for _, value in await snapshot.scan(pair_key(half, 0), pair_key(half, 1 << 60))}
            for half in (b"a", b"z")
        ]
        await self._client.claim_versions("ledger", ts, 0)
        assert halves[0] == halves[1]
        assert acknowledged <= halves[0], sorted(acknowledged - halves[0])[:10]

    async def close(self) -> None:
        """Stop writing."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)


def pair_key(half: bytes, number: int) -> bytes:
    return b"%s/%020d" % (half, number)


class PlaceWorld:
    """The cluster, a client, a ledger, and what a provocation needs."""

    def __init__(self, cluster: PlacePlayground, client: Client, admin: PdClient, ledger: Ledger, seed: int) -> None:
        self.cluster = cluster
        self.client = client
        self.admin = admin
        """The placement driver, with what `rutile ctl` calls."""
        self.ledger = ledger
        self.dice = random.Random(seed)
        self.store_ids: list[int] = []
        """In the order of `cluster.stores`."""
        self._asked: dict[asyncio.Task[None], None] = {}

    def ask(self, question: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Have something done, as well as may be while somebody dies."""

        async def run() -> None:
            try:
                await question
            except (RutileError, UndeterminedResult):
                await asyncio.sleep(0.05)

        task = asyncio.ensure_future(run())
        self._asked[task] = None
        return task

    async def is_answered(self) -> bool:
        """Whether nothing that was asked is still waiting for something."""
        for task in [task for task in self._asked if task.done()]:
            del self._asked[task]
            task.result()
        return not self._asked

    async def learn_stores(self) -> None:
        answer = await self.client.pd.call("GetAllStores", pdpb.GetAllStoresRequest())
        ids = {store.address: store.id for store in answer.stores}
        self.store_ids = [ids[address] for address in self.cluster.store_addresses]

    async def regions(self) -> list[pdpb.Region]:
        """What the placement driver knows, in key order."""
        return list((await self.client.pd.call("ScanRegions", pdpb.ScanRegionsRequest(limit=1000))).regions)

    async def operator(self, region: metapb.Region, **what: Any) -> None:
        """Have the placement driver do something to a region."""
        await self.admin.call("AddOperator", pdadminpb.AddOperatorRequest(region_id=region.id, **what))

    async def is_whole(self) -> bool:
        """Whether regions tile the key space, each led and on three stores that are up to date."""
        regions = await self.regions()
        borders = [(each.region.start_key, each.region.end_key) for each in regions]
        tiled = all(left[1] == right[0] for left, right in pairwise(borders))
        return (
            tiled
            and bool(borders)
            and (borders[0][0], borders[-1][1]) == (b"", b"")
            and all(len(each.region.peers) == 3 and not each.pending_peers and each.leader.id for each in regions)
            and all(peer.role == metapb.Voter for each in regions for peer in each.region.peers)
        )

    async def compare_replicas(self) -> bool:
        """Have all replicas compare their data; whether all leaders have begun."""
        for found in await self.regions():
            backoff = Backoff("compare replicas", 3.0, self.client.cluster.pace)
            stubs = await self.client.cluster.stores.stubs(found.leader.store_id, backoff)
            region = found.region
            context = kvrpcpb.Context(region_id=region.id, region_epoch=region.region_epoch, peer=found.leader)
            request = rutilepb.CheckConsistencyRequest(context=context)
            try:
                answer = await stubs.rutile.CheckConsistency(request, timeout=5)
            except grpc.RpcError:
                return False
            if answer.HasField("region_error") or answer.error:
                return False
        return True


@asynccontextmanager
async def place_world(directory: Path, seed: int = 0) -> AsyncIterator[PlaceWorld]:
    """Three stores, a placement driver, and a ledger that is being written; everything is right at the end, too."""
    with PlacePlayground(3, directory) as cluster:
        async with await Client.connect([cluster.pd_address], options=HASTY) as client:
            admin, ledger = connect([cluster.pd_address]), Ledger(client)
            try:
                world = PlaceWorld(cluster, client, admin, ledger, seed)
                await world.learn_stores()
                await until("three replicas of everything", world.is_whole)
                yield world
                await until("three replicas of everything in the end", world.is_whole)
                await until("a last comparison of replicas", world.compare_replicas)
                await until("something new after it", ledger.goes_on)
            finally:
                await ledger.close()
                await admin.close()
            await ledger.check()
        assert cluster.damage() == []


async def until(what: str, condition: Callable[[], Awaitable[bool]], timeout_s: float = PATIENCE_S) -> None:
    """Ask again and again until `condition` holds; a RutileError is a no."""
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            if await condition():
                return
            problem = "no"
        except (RutileError, UndeterminedResult) as error:
            problem = repr(error)
        if time.monotonic() > deadline:
            pytest.fail(f"waited {timeout_s} s for: {what} ({problem})")
        await asyncio.sleep(0.05)
