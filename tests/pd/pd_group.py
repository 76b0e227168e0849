"""A placement driver of several members in one loop with virtual time, and all that can go wrong with them.

    clients ──delay──► Door of some member ── Replication ── ForgetfulDisk
                              ▲   │
                              └───┴── messages: late, lost, twice, cut one way or both

Members crash (their disk forgets what was not synced), stand still, and live by wrong clocks. Clients ask any member;
what they were answered, and when, is written down for the checks.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextvars import Context, copy_context
from dataclasses import dataclass, field
from typing import Any

import grpc

from rutile.testing.clocks import LoopClock, SkewedClock
from rutile.testing.disk import ForgetfulDisk
from rutile.testing.loops import MACHINE, Machine, VirtualLoop
from rutile_kv.engine.api import Snapshot
from rutile_kv.env.rpc import LocalStub
from rutile_kv.raft import Message
from rutile_pd.config import PdConfig
from rutile_pd.consensus.founding import open_member
from rutile_pd.consensus.members import Founder
from rutile_pd.consensus.replica import state_pairs
from rutile_pd.member import PdMember
from rutile_proto import pdpb_pb2 as pdpb
from rutile_proto.timestamps import compose

CONFIG = PdConfig(tick_s=0.2)
CALL_TIMEOUT_S = 1.5


@dataclass
class Life:
    """One member from a start to a crash."""

    machine: Machine
    context: Context
    member: PdMember

    def stub(self) -> LocalStub:
        return LocalStub(self.member.door)


@dataclass
class Host:
    """What stays of a member over its crashes: its disk and its wrong clock."""

    name: str
    clock: SkewedClock
    disk: ForgetfulDisk = field(default_factory=ForgetfulDisk)
    life: Life | None = None


class Group:
    """`size` members, founded together."""

    def __init__(self, seed: int, size: int = 3) -> None:
        self.dice = random.Random(seed)
        self.hosts = [Host(f"pd{n}", SkewedClock(LoopClock(asyncio.get_running_loop()))) for n in range(1, size + 1)]
        self.founders = [Founder(host.name, f"{host.name}:1") for host in self.hosts]
        self.cuts: set[tuple[str, str]] = set()
        self.loss = 0.0
        self._by_id: dict[int, Host] = {}

    # --- members ------------------------------------------------------------------------------------------------------

    def start(self, host: Host) -> None:
        """Begin a life on what the disk holds."""
        own = open_member(host.disk, host.name, self.founders, new_id=1)
        self._by_id[own.member_id] = host
        disk = host.disk

        async def sync() -> None:
            if self.dice.random() < 0.5:
                disk.sync()
                await asyncio.sleep(self.dice.uniform(0, 0.02))
            else:
                await asyncio.sleep(self.dice.uniform(0, 0.02))
                disk.sync()

        machine, context = Machine(host.name), copy_context()
        context.run(MACHINE.set, machine)
        member = context.run(PdMember, host.disk, own, CONFIG, host.clock, sync, self.dice)
        host.life = Life(machine, context, member)
        context.run(member.start, SimulatedPeers(self, host, host.life))

    def crash(self, host: Host) -> None:
        """The power goes: nothing of this life has any effect any more."""
        life, host.life = host.life, None
        if life is None:
            return
        life.machine.is_dead = True
        self.thaw(life)
        for task in (*life.member.replication._tasks, life.member._leading):
            if task is not None:
                task.cancel()
        host.disk = host.disk.reboot(self.dice.randint(0, host.disk.unsynced_batches))

    def freeze(self, life: Life) -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        loop.freeze(life.machine)

    def thaw(self, life: Life) -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        loop.thaw(life.machine)

    def lives(self) -> list[Life]:
        return [host.life for host in self.hosts if host.life is not None]

    def leader(self) -> Life | None:
        """Who leads and serves, as far as it knows itself."""
        return next((life for life in self.lives() if life.member.door.leading is not None), None)

    def host_of(self, member_id: int) -> Host:
        return self._by_id[member_id]

    # --- the network --------------------------------------------------------------------------------------------------

    def reaches(self, sender: str, target: str) -> bool:
        return (sender, target) not in self.cuts

    def delay_s(self) -> float:
        return self.dice.uniform(0.2, 1.0) if self.dice.random() < 0.02 else self.dice.uniform(0.0005, 0.01)

    async def call(self, host: Host, work: Callable[[LocalStub], Awaitable[Any]]) -> Any:
        """A client's call to a member: there, served as a part of its machine, and back.

        Raises grpc.RpcError, TimeoutError."""
        async with asyncio.timeout(CALL_TIMEOUT_S):
            await asyncio.sleep(self.delay_s())
            life = host.life
            if life is None:
                raise Refused
            task = asyncio.create_task(work(life.stub()), context=life.context.copy())
            try:
                answer = await asyncio.shield(task)
            except asyncio.CancelledError:
                task.cancel()
                raise
            if life.machine.is_dead:
                raise Refused
            await asyncio.sleep(self.delay_s())
            return answer


class Refused(grpc.RpcError):
    """Nobody listens."""


class SimulatedPeers:
    """The PeerTransport of one life."""

    def __init__(self, group: Group, host: Host, life: Life) -> None:
        self._group, self._host, self._life = group, host, life

    def send(self, message: Message) -> None:
        target = self._way_to(message.to)
        if target is None:
            return
        for _ in range(2 if self._group.dice.random() < 0.02 else 1):
            self._deliver(target, lambda life: life.member.replication.receive(message))

    def send_snapshot(self, message: Message, state: Snapshot) -> None:
        target, pairs = self._way_to(message.to), list(state_pairs(state))
        state.close()
        if target is None:
            self._report(message.to, False)
            return

        def arrive(life: Life) -> None:
            life.member.replication.receive_snapshot(message, pairs)
            self._report(message.to, True)

        self._deliver(target, arrive)

    async def close(self) -> None:
        """There is nothing to close."""

    def _way_to(self, member_id: int) -> Host | None:
        target = self._group.host_of(member_id)
        lost = self._group.dice.random() < self._group.loss
        reached = self._group.reaches(self._host.name, target.name)
        return target if reached and not lost and not self._life.machine.is_dead else None

    def _deliver(self, target: Host, arrive: Callable[[Life], None]) -> None:
        life = target.life
        if life is not None:
            loop = asyncio.get_running_loop()
            loop.call_later(self._group.delay_s(), lambda: self._arrive(life, arrive), context=life.context)

    def _arrive(self, life: Life, arrive: Callable[[Life], None]) -> None:
        if not life.machine.is_dead:
            arrive(life)

    def _report(self, member_id: int, ok: bool) -> None:
        loop = asyncio.get_running_loop()
        report = self._life.member.replication.snapshot_sent
        loop.call_later(self._group.delay_s(), report, member_id, ok, context=self._life.context)


async def take_timestamps(stub: LocalStub, count: int) -> tuple[int, int]:
    """(first, last) of `count` timestamps."""

    async def requests() -> Any:
        yield pdpb.TsoRequest(count=count)

    stream = stub.Tso(requests())
    try:
        answer = await anext(aiter(stream))
    finally:
        await stream.aclose()
    last = compose(answer.timestamp.physical, answer.timestamp.logical)
    return last - count + 1, last
