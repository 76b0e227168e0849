"""Raft messages and region snapshots between the stores of a simulated network."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from typing import TYPE_CHECKING

from rutile.testing.calls import run_there
from rutile.testing.loops import Machine
from rutile_kv.server.local_network import LocalTransport
from rutile_proto import raft_serverpb_pb2 as raft_serverpb
from rutile_proto.errors import StorageError

if TYPE_CHECKING:
    from rutile.testing.network import SimulatedNetwork


class SimulatedTransport(LocalTransport):
    """Raft messages over a bad network."""

    def __init__(
        self, network: SimulatedNetwork, machine: Machine, store_id: int, on_unreachable: Callable[[int], None]
    ) -> None:
        super().__init__(network, store_id, on_unreachable)
        self._simulated = network
        self._machine = machine

    def send(self, messages: Sequence[raft_serverpb.RaftMessage]) -> None:
        for message in messages:
            if not self._machine.is_dead:
                self._send_one(message)

    def _send_one(self, message: raft_serverpb.RaftMessage) -> None:
        network, to = self._simulated, message.to_peer.store_id
        target = network.receiver(to)
        if target is None:
            asyncio.get_running_loop().call_soon(self._on_unreachable, to)
            return
        if not network.reaches(self._machine.name, network.name_of(to)) or network.is_lost():
            return
        for _ in range(network.copies()):
            loop, (host, _) = asyncio.get_running_loop(), target
            loop.call_later(network.delay_s(), self._arrive, message, host.machine, context=host.context)

    def _arrive(self, message: raft_serverpb.RaftMessage, machine: Machine) -> None:
        target = self._simulated.receiver(message.to_peer.store_id)
        if target is None or target[0].machine is not machine:
            return
        inner = message.message
        self._simulated.note(
            f"{self._machine.name} > {machine.name}: region {message.region_id} kind {inner.msg_type}"
            f" term {inner.term} index {inner.index} commit {inner.commit}"
        )
        copy = raft_serverpb.RaftMessage()
        copy.CopyFrom(message)
        target[1].handle_raft_message(copy)

    async def send_snapshot(self, message: raft_serverpb.RaftMessage, chunks: AsyncIterator[bytes]) -> None:
        target = self._simulated.receiver(message.to_peer.store_id)
        if target is None:
            raise StorageError(f"store {message.to_peer.store_id} is down")
        host, receiver = target
        data = [chunk async for chunk in chunks]
        await self._simulated.travel(self._machine, host.machine.name)
        self._simulated.note(f"{self._machine.name} > {host.machine.name}: snapshot of region {message.region_id}")
        with self._simulated.call_to(host.machine) as outcome:
            run_there(self._simulated, host, receiver.receive_snapshot(message, _each(data)), outcome)
            await outcome
        await self._simulated.travel(host.machine, self._machine.name)


async def _each(chunks: list[bytes]) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk
