"""Members of the placement driver on a simulated network: how they reach each other, and how others find the leader."""

from __future__ import annotations

import asyncio

from rutile.testing.loops import Machine
from rutile.testing.network import SimulatedNetwork
from rutile.testing.stubs import SimulatedStub
from rutile_kv.client.backoff import Pace
from rutile_kv.client.pd import PdClient
from rutile_kv.client.pd_leader import PdConnection, PdLeader
from rutile_kv.engine.api import Snapshot
from rutile_kv.raft import Message
from rutile_pd.consensus.members import address_of
from rutile_pd.consensus.replica import state_pairs
from rutile_pd.consensus.replication import Replication
from rutile_pd.consensus.storage import PdStorage

PORT = ":2379"


class SimulatedPeers:
    """PeerTransport of one member."""

    def __init__(
        self, network: SimulatedNetwork, machine: Machine, replication: Replication, applied: PdStorage
    ) -> None:
        self._network = network
        self._machine = machine
        self._replication = replication
        self._applied = applied

    def send(self, message: Message) -> None:
        name = self._name_of(message.to)
        host = self._network.host(name)
        if self._machine.is_dead:
            return
        if host is None:
            asyncio.get_running_loop().call_soon(self._replication.unreachable, message.to)
        elif self._network.reaches(self._machine.name, name) and not self._network.is_lost():
            for _ in range(self._network.copies()):
                loop, delay_s = asyncio.get_running_loop(), self._network.delay_s()
                loop.call_later(delay_s, self._arrive, message, host.machine, context=host.context)

    def send_snapshot(self, message: Message, state: Snapshot) -> None:
        name = self._name_of(message.to)
        host = self._network.host(name)
        pairs = list(state_pairs(state))
        state.close()
        arrives = host is not None and not self._machine.is_dead and self._network.reaches(self._machine.name, name)
        loop, delay_s = asyncio.get_running_loop(), self._network.delay_s()
        if host is not None and arrives:
            loop.call_later(delay_s, self._arrive_whole, message, pairs, host.machine, context=host.context)
        loop.call_later(delay_s, self._replication.snapshot_sent, message.to, arrives)

    async def close(self) -> None:
        """Nothing is owned here."""

    def _arrive(self, message: Message, machine: Machine) -> None:
        replication = _replication_at(self._network, machine)
        if replication is not None:
            self._network.note(
                f"{self._machine.name} > {machine.name}: {message.kind.name} term {message.term} index {message.index}"
            )
            replication.receive(message)

    def _arrive_whole(self, message: Message, pairs: list[tuple[bytes, bytes]], machine: Machine) -> None:
        replication = _replication_at(self._network, machine)
        if replication is not None:
            self._network.note(f"{self._machine.name} > {machine.name}: snapshot of the placement driver")
            replication.receive_snapshot(message, pairs)

    def _name_of(self, member_id: int) -> str:
        member = self._applied.member(member_id)
        return address_of(member).removesuffix(PORT) if member is not None else ""


def _replication_at(network: SimulatedNetwork, machine: Machine) -> Replication | None:
    """The replication served there, if the machine still is the one that was."""
    host = network.host(machine.name)
    return None if host is None or host.machine is not machine else host.servicer.replication  # type: ignore[attr-defined]


def pd_client(network: SimulatedNetwork, machine: Machine, members: list[str], pace: Pace, budget_s: float) -> PdClient:
    """A client of the placement driver's members for `machine`."""

    def dial(address: str) -> PdConnection:
        return PdConnection(SimulatedStub(network, machine, address.removesuffix(PORT)), _nothing)

    return PdClient(PdLeader([member + PORT for member in members], dial), pace, budget_s)


async def _nothing() -> None:
    """Simulated connections need no closing."""
