"""Store id -> stubs, over gRPC or in this process."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

from rutile_kv.client.backoff import Backoff
from rutile_kv.client.calls import Stub
from rutile_kv.client.command_stream import CommandStub
from rutile_kv.client.pd import PdClient
from rutile_kv.client.pd_leader import bare_address
from rutile_kv.env import rpc
from rutile_kv.env.frames import Purpose, greeting
from rutile_kv.env.prompt import PromptReads
from rutile_kv.env.rpc import LocalStub
from rutile_proto import deadlock_pb2_grpc, rutilepb_pb2_grpc, tikvpb_pb2_grpc
from rutile_proto import metapb_pb2 as metapb
from rutile_proto.errors import PdError, RutileError


class StoreGone(RutileError):
    """The store is a tombstone, or not in this process: look where its regions are now."""


@dataclass(frozen=True, slots=True)
class StoreStubs:
    """The services of one store."""

    tikv: Stub
    """TiKV's service (`tikvpb.Tikv`)."""
    rutile: Stub
    """Ours (`rutilepb.RutileKv`)."""
    deadlock: Stub = None
    """What other stores ask it for (`deadlock.Deadlock`); clients have no use for it."""
    peer_address: str = ""
    """Where it takes frames (`rutile_kv.env.frames`); empty if it has told no such place."""


class StoreConnections(Protocol):
    """Where requests for a store are sent."""

    async def stubs(self, store_id: int, backoff: Backoff) -> StoreStubs:
        """The store's stubs. `StoreGone` when it is not to be reached any more."""

    def prompt(self, store_id: int) -> PromptReads | None:
        """The store itself, if it is in this process and answers without an await."""

    def shared(self, store_id: int) -> CommandStub | None:
        """The stub on whose way a request can leave without an await; None if it has to be found first, or is none."""

    def doubt(self, store_id: int) -> None:
        """A request to the store failed on the way: find out whether its address has changed before the next one."""

    async def close(self) -> None: ...


class LocalStores:
    """Stores of this process. The mapping is looked into at each call, so stores may come and go.

    A value is either `StoreStubs` or one stub which answers for all services.
    """

    def __init__(self, stubs: Mapping[int, Stub | StoreStubs]) -> None:
        self._stubs = stubs

    async def stubs(self, store_id: int, backoff: Backoff) -> StoreStubs:
        found: Any = self._stubs.get(store_id)
        if found is None:
            raise StoreGone(f"store {store_id} is not in this process")
        return found if isinstance(found, StoreStubs) else StoreStubs(found, found, found)

    def prompt(self, store_id: int) -> PromptReads | None:
        found: Any = self._stubs.get(store_id)
        stub = found.tikv if isinstance(found, StoreStubs) else found
        return stub.prompt if isinstance(stub, LocalStub) else None

    def shared(self, store_id: int) -> CommandStub | None:
        """Only if the mapping has such a stub."""
        found: Any = self._stubs.get(store_id)
        return found.tikv if isinstance(found, StoreStubs) and isinstance(found.tikv, CommandStub) else None

    def doubt(self, store_id: int) -> None:
        """Local stubs have no address that could change."""

    async def close(self) -> None:
        """Nothing is owned here."""


@dataclass(slots=True)
class _Channel:
    address: str
    stubs: StoreStubs
    close: Callable[[], Awaitable[None]]
    doubted: bool = False


class GrpcStores:
    """One channel per store, at the address the placement driver tells; asked again after a failure."""

    def __init__(self, pd: PdClient) -> None:
        self._pd = pd
        self._channels: dict[int, _Channel] = {}
        self._asking = asyncio.Lock()

    async def stubs(self, store_id: int, backoff: Backoff) -> StoreStubs:
        known = self._channels.get(store_id)
        if known is not None and not known.doubted:
            return known.stubs
        async with self._asking:  # the others find the answer when they get in
            known = self._channels.get(store_id)
            if known is not None and not known.doubted:
                return known.stubs
            return await self._channel(await self._ask(store_id, backoff))

    def prompt(self, store_id: int) -> PromptReads | None:
        """None: every answer comes over a wire."""
        return None

    def shared(self, store_id: int) -> CommandStub | None:
        known = self._channels.get(store_id)
        return None if known is None or known.doubted else known.stubs.tikv

    def doubt(self, store_id: int) -> None:
        if (known := self._channels.get(store_id)) is not None:
            known.doubted = True

    async def close(self) -> None:
        channels, self._channels = self._channels, {}
        for channel in channels.values():
            await channel.close()

    async def _ask(self, store_id: int, backoff: Backoff) -> metapb.Store:
        try:
            store = await self._pd.get_store(store_id, backoff)
        except PdError as error:
            raise StoreGone(f"store {store_id}: {error}") from error
        if store.state == metapb.Tombstone:
            raise StoreGone(f"store {store_id} was removed from the cluster")
        return store

    async def _channel(self, store: metapb.Store) -> StoreStubs:
        known, address = self._channels.get(store.id), bare_address(store.address)
        if known is not None and known.address == address:
            known.stubs = replace(known.stubs, peer_address=store.peer_address)
            known.stubs.tikv.move_peer(store.peer_address)
            known.doubted = False
            return known.stubs
        hello = greeting(Purpose.COMMANDS, self._pd.cluster_id, store.id)
        self._channels[store.id] = fresh = _dial(address, store.peer_address, hello)
        if known is not None:
            await known.close()
        return fresh.stubs


def _dial(address: str, peer_address: str, hello: bytes) -> _Channel:
    channel = rpc.channel(address)
    tikv = CommandStub(tikvpb_pb2_grpc.TikvStub(channel), hello, peer_address)  # type: ignore[no-untyped-call]
    rutile = rutilepb_pb2_grpc.RutileKvStub(channel)  # type: ignore[no-untyped-call]
    deadlock = deadlock_pb2_grpc.DeadlockStub(channel)  # type: ignore[no-untyped-call]

    async def close() -> None:
        await tikv.close()
        await channel.close()

    return _Channel(address, StoreStubs(tikv, rutile, deadlock, peer_address), close)
