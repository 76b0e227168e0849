"""A network in one process: who is there, who reaches whom, and how badly.

Calls between machines are in `stubs`, Raft messages in `transport`.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from contextvars import Context, copy_context
from dataclasses import dataclass
from typing import Any

from rutile.testing.calls import Host, break_off, unavailable
from rutile.testing.loops import MACHINE, Machine
from rutile.testing.stubs import SimulatedStub
from rutile.testing.transport import SimulatedTransport
from rutile_kv.client.calls import Stub
from rutile_kv.server.local_network import LocalNetwork, LocalTransport, RaftReceiver

KEEPALIVE_S = 3.0
"""After so long in a cut a call without an earlier deadline fails."""


@dataclass
class Conditions:
    """How bad the network is. Chances are per message."""

    delay_s: tuple[float, float] = (0.0, 0.0)
    late: float = 0.0
    late_s: float = 2.0
    """Some messages take up to this long."""
    loss: float = 0.0
    """Of a Raft message being lost; of a call's connection breaking, on the way there or back."""
    duplicate: float = 0.0
    """Of a Raft message arriving twice."""


class SimulatedNetwork(LocalNetwork):
    """Who is there, who reaches whom, and how badly. Machines are known by their names."""

    def __init__(self, rng: random.Random, conditions: Conditions | None = None) -> None:
        super().__init__()
        self.conditions = conditions or Conditions()
        self.note: Callable[[str], None] = lambda line: None
        """Hears of every message."""
        self._random = rng
        self._hosts: dict[str, Host] = {}
        self._names: dict[int, str] = {}
        self._receivers_by_name: dict[str, RaftReceiver] = {}
        self._cuts: dict[tuple[str, str], None] = {}
        self._under_way: dict[asyncio.Future[Any], Machine] = {}
        self._tasks: dict[asyncio.Task[None], None] = {}

    # --- who is there -------------------------------------------------------------------------------------------------

    def serve(self, name: str, servicer: object) -> None:
        """The running machine serves under `name`."""
        machine = MACHINE.get()
        assert machine is not None, "only machines serve"
        self._hosts[name] = Host(machine, servicer, copy_context())

    def join(self, store_id: int, receiver: RaftReceiver, stub: Stub = None) -> None:
        machine = MACHINE.get()
        assert machine is not None, "stores are started as machines"
        self._names[store_id] = machine.name
        self._receivers_by_name[machine.name] = receiver
        self.serve(machine.name, stub._servicer)

    def leave(self, store_id: int) -> None:
        machine = MACHINE.get()
        name = self._names.get(store_id)
        if name is not None and machine is not None and not machine.is_dead:
            self._hosts.pop(name, None)
            self._receivers_by_name.pop(name, None)

    def crash(self, machine: Machine) -> None:
        """The machine is gone: nothing it does arrives anywhere, calls to it break."""
        machine.is_dead = True
        self._hosts.pop(machine.name, None)
        self._receivers_by_name.pop(machine.name, None)
        for outcome in [outcome for outcome, target in self._under_way.items() if target is machine]:
            break_off(outcome, f"{machine.name} went away")

    def spawn(self, work: Coroutine[Any, Any, None], name: str, context: Context | None = None) -> asyncio.Task[None]:
        """Run `work` until it ends or the network is closed."""
        task = asyncio.get_running_loop().create_task(work, name=name, context=context)
        self._tasks[task] = None
        task.add_done_callback(self._tasks.pop)
        return task

    async def close(self) -> None:
        """End what is under way."""
        while tasks := list(self._tasks):
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    # --- who reaches whom ---------------------------------------------------------------------------------------------

    def cut(self, sender: str, target: str) -> None:
        """Lose everything from `sender` to `target`; the other way stays open."""
        self._cuts[sender, target] = None

    def heal_all(self) -> None:
        """Everybody reaches everybody."""
        self._cuts.clear()

    def reaches(self, sender: str, target: str) -> bool:
        """Whether the way is open."""
        return (sender, target) not in self._cuts

    def delay_s(self) -> float:
        """How long the next message takes."""
        low, high = self.conditions.delay_s
        if self._random.random() < self.conditions.late:
            high = self.conditions.late_s
        return self._random.uniform(low, high) if high > low else low

    def is_lost(self) -> bool:
        return self.conditions.loss > 0 and self._random.random() < self.conditions.loss

    def copies(self) -> int:
        return 2 if self.conditions.duplicate > 0 and self._random.random() < self.conditions.duplicate else 1

    # --- ways ---------------------------------------------------------------------------------------------------------

    def transport(self, store_id: int, on_unreachable: Callable[[int], None]) -> LocalTransport:
        machine = MACHINE.get()
        assert machine is not None, "stores are started as machines"
        return SimulatedTransport(self, machine, store_id, on_unreachable)

    def stub(self, sender: int, target: int) -> Stub | None:
        machine = MACHINE.get()
        assert machine is not None, "stores are started as machines"
        return self.store_stub(machine, target)

    def store_stub(self, sender: Machine, store_id: int) -> Stub | None:
        """The services of a store that was there once; None for one nobody has heard of."""
        name = self._names.get(store_id)
        return None if name is None else SimulatedStub(self, sender, name)

    def store_stubs(self, sender: Machine) -> Mapping[int, Stub]:
        """What `Client.local` looks stores up in."""
        return StoreStubs(self, sender)

    def host(self, name: str) -> Host | None:
        return self._hosts.get(name)

    def receiver(self, store_id: int) -> tuple[Host, RaftReceiver] | None:
        """Where Raft messages for a store arrive."""
        name = self._names.get(store_id, "")
        host, receiver = self._hosts.get(name), self._receivers_by_name.get(name)
        return None if host is None or receiver is None else (host, receiver)

    def name_of(self, store_id: int) -> str:
        return self._names.get(store_id, "")

    async def travel(self, sender: Machine, target: str) -> None:
        """Be on the way from one machine to another. LocalRpcError if it does not arrive."""
        if sender.is_dead:
            raise unavailable("this machine crashed")
        if not self.reaches(sender.name, target):
            await asyncio.sleep(KEEPALIVE_S)
            raise unavailable(f"{target} does not answer")
        delay_s = self.delay_s()
        if delay_s > 0:
            await asyncio.sleep(delay_s)
        if self.is_lost() or sender.is_dead:
            raise unavailable("the connection broke")

    @contextmanager
    def call_to(self, machine: Machine) -> Iterator[asyncio.Future[Any]]:
        """A future for what comes from `machine`; it fails when the machine does."""
        outcome: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._under_way[outcome] = machine
        try:
            yield outcome
        finally:
            self._under_way.pop(outcome, None)
            outcome.cancel()


class StoreStubs(Mapping[int, Stub]):
    def __init__(self, network: SimulatedNetwork, sender: Machine) -> None:
        self._network, self._sender = network, sender

    def __getitem__(self, store_id: int) -> Stub:
        stub = self._network.store_stub(self._sender, store_id)
        if stub is None:
            raise KeyError(store_id)
        return stub

    def __iter__(self) -> Iterator[int]:
        return iter(self._network._names)

    def __len__(self) -> int:
        return len(self._network._names)
