"""A network on which nothing arrives until the test lets it, and clients that can die at any moment.

Every request to a store waits in `Network.waiting`. The test delivers one, loses it, or loses its answer; in between,
`settle` lets everybody go on until all wait again. So a schedule of these decisions is a whole run, step by step, and
the same schedule gives the same run. A client that dies leaves its requests on the network: they may still arrive.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
from client_fakes import FakeCluster, FakePd, until
from client_real_store import SharedKv, service_of

from rutile_kv.client.client import Client
from rutile_kv.client.cluster import ClientOptions
from rutile_kv.env.rpc import LocalRpcError, LocalStub


@dataclass(eq=False)
class Parcel:
    """A request on its way."""

    sender: "Lively"
    method: str
    request: Any
    stub: LocalStub
    answer: "asyncio.Future[Any]"

    def __str__(self) -> str:
        return f"{self.method} of client {self.sender.id}"


@dataclass(eq=False)
class Lively:
    """A client, as long as it lives. `network` None: its requests arrive at once."""

    id: int
    network: "Network | None" = None
    client: Client = field(init=False)
    alive: bool = True

    async def die(self) -> None:
        """From now on nothing is sent; what was sent is on its way."""
        self.alive = False
        await self.client.close()


@dataclass
class Network:
    """What is on its way, oldest first."""

    waiting: list[Parcel] = field(default_factory=list)
    _arrived: dict["asyncio.Task[None]", None] = field(default_factory=dict)

    def arrive(self, parcel: Parcel, *, lose_answer: bool = False) -> None:
        """The store executes the request; its answer reaches the client if both are still there."""
        self.waiting.remove(parcel)
        task = asyncio.ensure_future(self._execute(parcel, lose_answer))
        self._arrived[task] = None
        task.add_done_callback(self._arrived.pop)

    def lose(self, parcel: Parcel) -> None:
        """The request never arrives, and its client is told that the connection broke."""
        self.waiting.remove(parcel)
        _fail(parcel)

    async def _execute(self, parcel: Parcel, lose_answer: bool) -> None:
        answer = await getattr(parcel.stub, parcel.method)(parcel.request)
        if lose_answer:
            _fail(parcel)
        elif not parcel.answer.done():
            parcel.answer.set_result(answer)


def _fail(parcel: Parcel) -> None:
    if not parcel.answer.done():
        parcel.answer.set_exception(LocalRpcError(grpc.StatusCode.UNAVAILABLE, "the connection broke"))


class Wire:
    """A client's stub of one store."""

    def __init__(self, owner: Lively, stub: LocalStub) -> None:
        self._owner, self._stub = owner, stub

    def __getattr__(self, method: str) -> Callable[..., Any]:
        async def call(request: Any, **_: Any) -> Any:
            owner = self._owner
            if owner.network is None:
                return await getattr(self._stub, method)(request)
            answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
            if owner.alive:
                copy = type(request)()
                copy.CopyFrom(request)
                owner.network.waiting.append(Parcel(owner, method, copy, self._stub, answer))
            return await answer  # a dead client waits until it is cancelled

        return call


@dataclass
class SlowWorld:
    """Three regions on three stores, all in one engine; see `client_real_store`."""

    cluster: FakeCluster
    pd: FakePd
    kv: SharedKv
    stubs: dict[int, LocalStub]
    network: Network = field(default_factory=Network)
    clients: list[Lively] = field(default_factory=list)

    def new_client(self, *, quick: bool = False, async_commit: bool = True) -> Lively:
        """One more client; a `quick` one has a network of its own, on which everything arrives at once."""
        made = Lively(len(self.clients), None if quick else self.network)
        options = ClientOptions(
            write_budget_s=3.0,
            read_budget_s=30.0,
            find_out_budget_s=2.0,
            close_timeout_s=0.0,
            async_commit=async_commit,
        )
        wires = {store_id: Wire(made, stub) for store_id, stub in self.stubs.items()}
        made.client = Client.local(LocalStub(self.pd), wires, options=options, pace=self.cluster.time.pace)
        self.clients.append(made)
        return made


async def settle() -> None:
    """Let every task run until all of them wait for a parcel, or for time to pass."""
    loop: Any = asyncio.get_running_loop()
    await asyncio.sleep(0)
    while loop._ready:  # what is to be run in this turn or the next; there is no public name for it
        await asyncio.sleep(0)


@asynccontextmanager
async def slow_world(*splits: bytes) -> AsyncIterator[SlowWorld]:
    """Such a world, with regions that begin at `splits` and are led from different stores."""
    cluster = FakeCluster()
    cluster.split(*splits)
    for at, region in enumerate(cluster.ordered()):
        region.leader_store = cluster.store_ids[at % len(cluster.store_ids)]
    kv = SharedKv(cluster)
    world = SlowWorld(cluster, FakePd(cluster), kv, {id: LocalStub(service_of(kv, id)) for id in cluster.store_ids})
    try:
        yield world
    finally:
        for each in world.clients:
            await each.die()
        await kv.scheduler.close()
        await until(lambda: asyncio.all_tasks() == {asyncio.current_task()})
        kv.engine.close()
