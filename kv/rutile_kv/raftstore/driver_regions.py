"""A store's regions as requests find them: views to read, snapshots, writes, changes of the regions themselves.

The part of `StoreDriver` that callers await. A read is served from the live engine in the very turn in which it was
sure to be linearizable, or after ReadIndex; a change is an event for the core, whose `Completion` resolves the future.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import TypeAlias

from rutile_kv.engine.api import Engine, Modify, Reader, Snapshot
from rutile_kv.env.clock import Clock
from rutile_kv.raftstore.driver_requests import Waiting
from rutile_kv.raftstore.events import (
    ChangePeers,
    CheckConsistency,
    Event,
    Merge,
    ReadIndex,
    Result,
    Split,
    TransferLeader,
    Write,
)
from rutile_kv.raftstore.load import LoadMonitor
from rutile_kv.raftstore.pd_commands import PdEvents
from rutile_kv.raftstore.region_info import RegionInfo
from rutile_kv.raftstore.region_reader import RegionReader, RegionSnapshot
from rutile_kv.raftstore.sampled_reader import SampledReader
from rutile_kv.raftstore.store import Store
from rutile_proto import kvrpcpb_pb2 as kvrpcpb
from rutile_proto import metapb_pb2 as metapb
from rutile_proto import pdpb_pb2 as pdpb
from rutile_proto import rutilepb_pb2 as rutilepb
from rutile_proto.errors import (
    NotLeader,
    RegionError,
    RegionNotFound,
    RutileError,
    ServerIsBusy,
)
from rutile_proto.types import LogIndex

HandingOver: TypeAlias = Callable[[kvrpcpb.Context], AbstractAsyncContextManager[None]]


class RegionRequests:
    """Mixed into `StoreDriver`, which owns what is named here."""

    store: Store
    failure: RutileError | None
    handing_over: HandingOver
    """Entered round each change that moves the region's leader or its border."""
    on_deposed: Callable[[int], None]
    """Told of each region (id) that was led from here, as soon as it is not any more. Must be quick and not raise."""
    _engine: Engine
    _pd: PdEvents
    _load: LoadMonitor
    _waiting: Waiting
    _clock: Clock
    _wake: asyncio.Event
    _stopping: bool
    _started_at: float
    _tick_seconds: float

    # --- requests (txn.shell.RegionKv) --------------------------------------------------------------------------------

    async def read_view(self, context: kvrpcpb.Context) -> Reader:
        """The live engine confined to the region, right for a linearizable read until the caller's next await. On the
        leader it notes the term in `context`: a write with that context fails if another peer has led since, so what
        was decided from the view is not written over what that one did. Raises RegionError."""
        region, term = await self._readable(context)
        if term and not context.replica_read:
            context.term = term
        return self._confined(region)

    def view_now(self, context: kvrpcpb.Context) -> tuple[Reader, metapb.Region] | None:
        """The same with the region, if the leader's lease allows it this very turn; None if others must be asked first.
        Notes no term: not for what is written after. Raises RegionError."""
        self._check_serving()
        region = self.store.read_now(context, self._now_tick())
        return None if region is None else (self._confined(region), region)

    def _confined(self, region: metapb.Region) -> Reader:
        if self._load.is_sampled(region.id):
            return SampledReader(self._engine, region, self._load)
        return RegionReader(self._engine, region)

    def stale_view(self, context: kvrpcpb.Context) -> tuple[metapb.Region, Reader]:
        """The region as this replica has applied it, however far that is, until the caller's next await; wakes nobody.
        Raises RegionError."""
        self._check_serving()
        region = self.store.read_again(context)
        return region, RegionReader(self._engine, region)

    async def snapshot(self, context: kvrpcpb.Context) -> tuple[Snapshot, metapb.Region, LogIndex]:
        """The same as a snapshot for another thread, with the region and the index applied in it. The caller closes
        it."""
        region, _ = await self._readable(context)
        index = self.store.applied_index(region.id)
        return RegionSnapshot(self._engine.snapshot(), region), region, LogIndex(index)

    async def snapshots(
        self, contexts: Sequence[kvrpcpb.Context]
    ) -> list[tuple[Snapshot, metapb.Region, LogIndex] | RegionError]:
        """The same for many regions, all of one moment: they share a snapshot of the engine, which closing any of them
        closes. Why a region cannot be read stands in its place."""
        asked = await asyncio.gather(*map(self._confirm, contexts), return_exceptions=True)
        engine = self._engine.snapshot()
        try:
            found = [self._of_moment(engine, *each) for each in zip(contexts, asked, strict=True)]
        except BaseException:
            engine.close()
            raise
        if all(isinstance(each, RegionError) for each in found):
            engine.close()
        return found

    def _of_moment(
        self, engine: Snapshot, context: kvrpcpb.Context, outcome: object
    ) -> tuple[Snapshot, metapb.Region, LogIndex] | RegionError:
        """A confirmed region in a snapshot taken in this very turn."""
        try:
            if isinstance(outcome, BaseException):
                raise outcome
            region = self.store.read_again(context)
            if not context.replica_read and self.store.led_term(region.id) != outcome:
                raise NotLeader(region.id, None)
        except RegionError as error:
            return error
        return RegionSnapshot(engine, region), region, LogIndex(self.store.applied_index(region.id))

    async def write(self, context: kvrpcpb.Context, modifies: Sequence[Modify]) -> None:
        """Returns when the changes are applied here. Raises RegionError if they surely never will be,
        UndeterminedResult if nobody can tell."""
        self._load.wrote(context.region_id, modifies)
        await self._request(lambda token: Write(token, context, modifies), changes=True)

    async def split(
        self,
        context: kvrpcpb.Context,
        split_keys: Sequence[bytes],
        ids: Sequence[tuple[int, Sequence[int]]] | None = None,
    ) -> list[metapb.Region]:
        """Cut a region at rising storage keys; returns what it became, left to right, its old id last.
        `ids` are PD's (region id, peer ids); without them PD is asked. Raises RegionError, InvalidRequest, PdError."""
        if ids is None:
            info = self.store.region_info(context.region_id)
            if info is None:
                raise RegionNotFound(context.region_id)
            ids = await self._pd.ask_split(info.region, len(split_keys))
        requests = [
            rutilepb.SplitRequest(split_key=key, new_region_id=region_id, new_peer_ids=peer_ids)
            for key, (region_id, peer_ids) in zip(split_keys, ids, strict=True)
        ]
        regions = await self._request(lambda token: Split(token, context, requests), changes=True)
        assert isinstance(regions, list), "a split is answered with regions"
        return regions

    async def change_peer(self, context: kvrpcpb.Context, changes: Sequence[pdpb.ChangePeer]) -> metapb.Region:
        """Change a region's members and return the region; several changes go through a joint configuration, which is
        left soon after. Raises RegionError or InvalidRequest."""
        region = await self._request(lambda token: ChangePeers(token, context, changes), changes=True)
        assert isinstance(region, metapb.Region), "a change of members is answered with the region"
        return region

    async def merge(self, context: kvrpcpb.Context, target: metapb.Region) -> metapb.Region:
        """Merge a region into its right neighbour `target`; returns it when it is prepared. Whether the target takes it
        over then, or it takes requests again because the target changed, regions and epochs show. Raises RegionError or
        InvalidRequest."""
        region = await self._request(lambda token: Merge(token, context, target), changes=True)
        assert isinstance(region, metapb.Region), "a merge is answered with the region"
        return region

    async def transfer_leader(self, context: kvrpcpb.Context, peer_id: int) -> None:
        """Ask another peer to lead; returns when it is asked. Raises RegionError."""
        await self._request(lambda token: TransferLeader(token, context, peer_id), changes=False)

    async def check_consistency(self, context: kvrpcpb.Context) -> None:
        """Have all replicas of a region compare their data; returns when they have begun. A replica that differs stops
        serving the region and its store says so: see `RegionInfo.damage` there. Raises RegionError."""
        await self._request(lambda token: CheckConsistency(token, context), changes=False)

    # --- looking in ---------------------------------------------------------------------------------------------------

    def region_infos(self) -> list[RegionInfo]:
        """Every region here, in key order."""
        return self.store.region_infos()

    def region(self, region_id: int) -> metapb.Region | None:
        """The region as last applied here, or None."""
        return self.store.region(region_id)

    def former_region(self, region_id: int) -> metapb.Region | None:
        """A region that was here and is gone, as it was known last; None if it never was, or is here."""
        return self.store.former_region(region_id)

    def find_region(self, storage_key: bytes) -> metapb.Region | None:
        """The region here that covers a key, as last applied, or None."""
        return self.store.find_region(storage_key)

    # --- inside -------------------------------------------------------------------------------------------------------

    def _check_serving(self) -> None:
        if self.failure is not None:
            raise self.failure
        if self._stopping:
            raise ServerIsBusy("the store is stopping")

    def _now_tick(self) -> int:
        return int((self._clock.monotonic() - self._started_at) / self._tick_seconds)

    async def _change(self, make: Callable[[object], Event]) -> Result:
        return await self._request(make, changes=True)

    def _step(self, event: Event) -> None:
        self.store.late_ticks = max(0, self._now_tick() - self.store.tick_count)
        self.store.step(event)
        self._wake.set()

    async def _confirm(self, context: kvrpcpb.Context) -> int:
        """Returns once the region is fresh enough to read; the term this store led it in when it was asked."""
        return (await self._readable(context))[1]

    async def _readable(self, context: kvrpcpb.Context) -> tuple[metapb.Region, int]:
        """The region to read in this very turn, and the term this store has led it in all the while (0: it has not)."""
        self._check_serving()
        region = self.store.read_now(context, self._now_tick())
        term = self.store.led_term(context.region_id)
        if region is None:
            await self._request(lambda token: ReadIndex(token, context), changes=False)
            region = self.store.read_again(context)
            if not context.replica_read and self.store.led_term(region.id) != term:
                raise NotLeader(region.id, None)
        return region, term

    async def _request(self, make: Callable[[object], Event], changes: bool) -> Result:
        self._check_serving()
        token = self._waiting.open(changes)
        try:
            event = make(token)
            if not isinstance(event, Split | Merge | TransferLeader):
                self._step(event)
                return await token
            async with self.handing_over(event.context):
                self._check_serving()
                self._step(event)
                return await token
        finally:
            self._waiting.close(token)
