"""Raft messages between stores of one process: the embedded cluster's and the tests' Transport.

Messages are handed over as they are, without serialisation, on a later turn of the loop: a store never runs inside
another store's step. What the real network does is kept: a store that is not there loses messages silently, and the
sender hears of it as unreachable.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Protocol

from rutile_kv.client.backoff import Backoff
from rutile_kv.client.calls import Stub
from rutile_kv.client.connections import StoreGone, StoreStubs
from rutile_proto import raft_serverpb_pb2 as raft_serverpb
from rutile_proto.errors import StorageError


class RaftReceiver(Protocol):
    """The receiving side of a store, whichever wire the messages came by."""

    def handle_raft_message(self, message: raft_serverpb.RaftMessage) -> None:
        """Take one message; never blocks."""

    async def receive_snapshot(self, message: raft_serverpb.RaftMessage, chunks: AsyncIterator[bytes]) -> None:
        """Take a snapshot's message and its data; returns when the store has it all."""


class LocalNetwork:
    """Who is there. Stores join when they start and leave when they stop; a test may cut a store off."""

    def __init__(self) -> None:
        self._receivers: dict[int, RaftReceiver] = {}
        self._stubs: dict[int, Stub] = {}
        self._cut_off: dict[int, None] = {}

    def join(self, store_id: int, receiver: RaftReceiver, stub: Stub = None) -> None:
        """`stub` is how other stores of the process call its services."""
        self._receivers[store_id] = receiver
        self._stubs[store_id] = stub

    def leave(self, store_id: int) -> None:
        self._receivers.pop(store_id, None)
        self._stubs.pop(store_id, None)

    def cut_off(self, store_id: int) -> None:
        """Lose everything from and to `store_id` until `heal`."""
        self._cut_off[store_id] = None

    def heal(self, store_id: int) -> None:
        self._cut_off.pop(store_id, None)

    def route(self, sender: int, target: int) -> RaftReceiver | None:
        """The receiver at `target`, or None when a message from `sender` would be lost."""
        if sender in self._cut_off or target in self._cut_off:
            return None
        return self._receivers.get(target)

    def transport(self, store_id: int, on_unreachable: Callable[[int], None]) -> LocalTransport:
        """How `store_id` sends Raft messages to the others."""
        return LocalTransport(self, store_id, on_unreachable)

    def stub(self, sender: int, target: int) -> Stub | None:
        """The services of `target`, or None when `sender` cannot reach them."""
        return None if self.route(sender, target) is None else self._stubs[target]


class LocalConnections:
    """The client's StoreConnections between stores of one process, as `store_id` sees it."""

    def __init__(self, network: LocalNetwork, store_id: int) -> None:
        self._network = network
        self._store_id = store_id

    async def stubs(self, store_id: int, backoff: Backoff) -> StoreStubs:
        stub = self._network.stub(self._store_id, store_id)
        if stub is None:
            raise StoreGone(f"store {store_id} is not on this network")
        return StoreStubs(stub, stub, stub)

    def prompt(self, store_id: int) -> None:
        """Stores ask each other the ordinary way."""
        return None

    def shared(self, store_id: int) -> None:
        """They share no ways either."""
        return None

    def doubt(self, store_id: int) -> None:
        """There is no address that could change."""

    async def close(self) -> None:
        """Nothing is owned here."""


class LocalTransport:
    """The raftstore's Transport within a process."""

    def __init__(
        self,
        network: LocalNetwork,
        store_id: int,
        on_unreachable: Callable[[int], None],
    ) -> None:
        self._network = network
        self._store_id = store_id
        self._on_unreachable = on_unreachable

    def send(self, messages: Sequence[raft_serverpb.RaftMessage]) -> None:
        for message in messages:
            asyncio.get_running_loop().call_soon(self._deliver, message)

    def _deliver(self, message: raft_serverpb.RaftMessage) -> None:
        receiver = self._network.route(self._store_id, message.to_peer.store_id)
        if receiver is None:
            self._on_unreachable(message.to_peer.store_id)
        else:
            receiver.handle_raft_message(message)

    async def send_snapshot(self, message: raft_serverpb.RaftMessage, chunks: AsyncIterator[bytes]) -> None:
        """Hand the snapshot over; raises StorageError when the store is not there."""
        receiver = self._network.route(self._store_id, message.to_peer.store_id)
        if receiver is None:
            raise StorageError(f"store {message.to_peer.store_id} is not on this network")
        await receiver.receive_snapshot(message, chunks)

    async def close(self) -> None:
        self._network.leave(self._store_id)
