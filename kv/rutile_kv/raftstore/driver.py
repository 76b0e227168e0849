"""The shell around a store: the loop that owns disk, network and time.

One asyncio task makes rounds: take the store's work, send, write, hand out answers, sync (`driver_sync`), give the work
back. Events are stepped where they arrive, in the same loop, also while a sync runs: the next round finds them
together. That is the group commit: whatever came during one sync shares the next one.

A disk that fails ends the store: nothing is acknowledged after it, every request gets the error, `failure` says why.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from rutile_kv.engine.api import Engine, Modify, Reader, Snapshot
from rutile_kv.env.clock import Clock
from rutile_kv.raftstore.driver_requests import Waiting
from rutile_kv.raftstore.driver_sync import Sync
from rutile_kv.raftstore.events import (
    ChangePeers,
    CheckConsistency,
    Event,
    Merge,
    RaftMessageReceived,
    ReadIndex,
    Result,
    Split,
    StoodStill,
    StoreReady,
    StoreUnreachable,
    Tick,
    TransferLeader,
    Write,
)
from rutile_kv.raftstore.load import WINDOW_SECONDS, LoadMonitor
from rutile_kv.raftstore.pd_commands import PdEvents, context_of
from rutile_kv.raftstore.pd_orders import PdOrders
from rutile_kv.raftstore.region_checks import RegionChecks
from rutile_kv.raftstore.region_info import RegionInfo
from rutile_kv.raftstore.region_reader import RegionReader, RegionSnapshot
from rutile_kv.raftstore.sampled_reader import SampledReader
from rutile_kv.raftstore.snapshot_transfer import SnapshotTransfer, Transport
from rutile_kv.raftstore.store import Store
from rutile_kv.raftstore.upkeep import TICK_SECONDS
from rutile_proto import kvrpcpb_pb2 as kvrpcpb
from rutile_proto import metapb_pb2 as metapb
from rutile_proto import pdpb_pb2 as pdpb
from rutile_proto import raft_serverpb_pb2 as raft_serverpb
from rutile_proto import rutilepb_pb2 as rutilepb
from rutile_proto.errors import (
    InvalidRequest,
    NotLeader,
    RegionError,
    RegionNotFound,
    RutileError,
    ServerIsBusy,
    StorageError,
)
from rutile_proto.types import LogIndex

log = logging.getLogger(__name__)

MAX_WAITING = 65_536
"""Requests that wait for Raft; further ones are refused with ServerIsBusy."""
CATCH_UP_PART = 0.1
"""Of a tick, between two ticks that are made up for: time for what has come meanwhile."""
MAX_RECEIVING_SNAPSHOTS = 4


class StoreDriver:
    """Runs a Store. Belongs to one event loop: start it there, call it from there."""

    def __init__(
        self,
        store: Store,
        engine: Engine,
        transport: Transport,
        pd_events: PdEvents,
        clock: Clock,
        *,
        spool_directory: Path | None = None,
        tick_seconds: float = TICK_SECONDS,
    ) -> None:
        """`engine` must be the store's. Received snapshots wait in `spool_directory` (None: the system's place)."""
        self.store = store
        self.failure: RutileError | None = None
        """Why the store stopped serving, if it did."""
        self.stopped = asyncio.Event()
        """Set when the store serves no more, whether asked to or because of `failure`."""
        self._engine = engine
        self._transport = transport
        self._pd = pd_events
        self._clock = clock
        self._tick_seconds = tick_seconds
        self._started_at = clock.monotonic() - store.tick_count * tick_seconds
        self._wake = asyncio.Event()
        self._stopping = False
        self._waiting = Waiting(MAX_WAITING)
        self._tasks: dict[asyncio.Task[None], None] = {}
        self._rounds_task: asyncio.Task[None] | None = None
        self._unreachable: dict[int, None] = {}
        self._window_began_tick = store.tick_count
        self._sync = Sync(engine, clock, store.config.quick_sync_seconds)
        self._files = ThreadPoolExecutor(1, thread_name_prefix="rutile-snapshot")
        self._snapshots = SnapshotTransfer(
            engine,
            transport,
            self._files,
            spool_directory,
            MAX_RECEIVING_SNAPSHOTS,
            store.config.snapshot_bytes_per_second,
            clock,
            self._step,
            store.is_installing,
        )
        self._load = LoadMonitor(store.config, store.random)
        self._checks = RegionChecks(engine, store.config, self._step, self._cut)
        self._orders = PdOrders(pd_events, self._checks, self._change, self.split, self.handle_raft_message)

    # --- life ---------------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Begin to make rounds and to tick."""
        self._started_at = self._clock.monotonic() - self.store.tick_count * self._tick_seconds
        self._rounds_task = self._spawn(self._rounds(), "store rounds")
        self._spawn(self._ticks(), "store ticks")
        self._wake.set()

    async def stop(self) -> None:
        """Finish the round that is being made, then answer everybody who waits and end all tasks. The engine stays
        open."""
        self._stopping = True
        self._wake.set()
        if self._rounds_task is not None:
            await asyncio.wait([self._rounds_task])
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._waiting.refuse_all(ServerIsBusy("the store is stopping"))
        self._sync.close()
        self._files.shutdown()
        self._checks.close()
        self.stopped.set()

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

    # --- the network --------------------------------------------------------------------------------------------------

    def handle_raft_message(self, message: raft_serverpb.RaftMessage) -> None:
        """Take a message of another store. What makes no sense is logged and dropped."""
        if self._stopping:
            return
        try:
            self._step(RaftMessageReceived(message))
        except InvalidRequest as error:
            log.warning("dropped a message of store %d: %s", message.from_peer.store_id, error)

    receive = handle_raft_message
    """The same under the name that networks know it by."""

    async def receive_snapshot(self, message: raft_serverpb.RaftMessage, chunks: AsyncIterator[bytes]) -> None:
        """Take a snapshot; returns when all of it is here (not yet installed). Raises InvalidRequest or
        ServerIsBusy."""
        self._check_serving()
        await self._snapshots.receive(message, chunks)

    def store_unreachable(self, store_id: int) -> None:
        """Messages to that store are being lost."""
        self._unreachable[store_id] = None

    # --- PD -----------------------------------------------------------------------------------------------------------

    def on_pd_heartbeat_response(self, order: pdpb.RegionHeartbeatResponse) -> None:
        """Do what PD orders, in the background. An order that is late or refused is logged: PD sees it in the next
        heartbeat."""
        info = self.store.region_info(order.region_id)
        if self._stopping or info is None or not info.is_leader:
            return
        self._spawn(self._orders.obey(order, info), "order of PD")

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

    # --- inside: requests ---------------------------------------------------------------------------------------------

    def _check_serving(self) -> None:
        if self.failure is not None:
            raise self.failure
        if self._stopping:
            raise ServerIsBusy("the store is stopping")

    def _now_tick(self) -> int:
        return int((self._clock.monotonic() - self._started_at) / self._tick_seconds)

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
            self._step(make(token))
            return await token
        finally:
            self._waiting.close(token)

    async def _change(self, make: Callable[[object], Event]) -> Result:
        return await self._request(make, changes=True)

    def _step(self, event: Event) -> None:
        self.store.late_ticks = max(0, self._now_tick() - self.store.tick_count)
        self.store.step(event)
        self._wake.set()

    # --- inside: rounds -----------------------------------------------------------------------------------------------

    async def _rounds(self) -> None:
        while not self._stopping:
            await self._wake.wait()
            self._wake.clear()
            while not self._stopping and (ready := self.store.ready()) is not None:
                await self._round(ready)

    async def _round(self, ready: StoreReady) -> None:
        for message in ready.messages:
            self._transport.send(message)
        if len(ready.batch):
            self._engine.write(ready.batch)
        self._complete(ready)
        if ready.must_sync:
            await self._sync.run(alone=len(self._waiting) <= 1)
        else:
            await asyncio.sleep(0)
        for message in ready.persisted_messages:
            self._transport.send(message)
        self.store.advance(ready)

    def _complete(self, ready: StoreReady) -> None:
        for asked in ready.hashes:
            self._spawn(self._checks.hash_region(self._engine.snapshot(), asked), f"hash of region {asked.region.id}")
        for alarm in ready.alarms:
            log.critical(alarm)
        for completion in ready.completions:
            self._waiting.finish(completion)
        for send in ready.snapshots_to_send:
            self._spawn(self._snapshots.send(send), f"snapshot of region {send.region.id}")
        for install in ready.installs:
            self._spawn(self._snapshots.install(install), f"installation of region {install.region.id}")
        for heartbeat in ready.heartbeats:
            if heartbeat.HasField("interval"):
                self._complete_window(heartbeat)
            self._pd.region_heartbeat(heartbeat)
        for check in ready.split_checks:
            self._spawn(self._checks.check_split(check), f"split check of region {check.region.id}")
        for doubt in ready.doubts:
            self._spawn(self._orders.settle(doubt), f"membership of peer {doubt.peer.id}")
        for split in ready.splits:
            self._pd.regions_split(split.regions)

    def _complete_window(self, heartbeat: pdpb.RegionHeartbeatRequest) -> None:
        """What was read in the window that the core has closed, and its ends as Unix seconds instead of ticks."""
        heartbeat.bytes_read, heartbeat.keys_read = self._load.take_reads(heartbeat.region.id)
        lasted_s = (heartbeat.interval.end_timestamp - heartbeat.interval.start_timestamp) * self._tick_seconds
        heartbeat.interval.end_timestamp = self._clock.wall_ms() // 1000
        heartbeat.interval.start_timestamp = heartbeat.interval.end_timestamp - max(1, round(lasted_s))

    async def _ticks(self) -> None:
        while not self._stopping:
            await asyncio.sleep(self._tick_seconds)
            await self._catch_up()
            if (self.store.tick_count - self._window_began_tick) * self._tick_seconds >= WINDOW_SECONDS:
                self._window_began_tick = self.store.tick_count
                self._end_load_window()
            unreachable, self._unreachable = self._unreachable, {}
            for store_id in unreachable:
                self.store.step(StoreUnreachable(store_id))
            self._wake.set()

    async def _catch_up(self) -> None:
        """Step the ticks that are due, with a rest for messages between them: a store that is late must not take its
        own deafness for the silence of others, or a thousand regions elect leaders and make it later still. Of a long
        pause only the last few ticks are ticks."""
        due = self._now_tick() - self.store.tick_count
        made_up = self.store.config.election_timeout_ticks // 2
        if due > made_up:
            self.store.step(StoodStill(due - made_up))
        for number in range(min(due, made_up)):
            if number:
                self._wake.set()
                await asyncio.sleep(self._tick_seconds * CATCH_UP_PART)
            if self._stopping:
                return
            self.store.step(Tick())

    async def _cut(self, region: metapb.Region, keys: Sequence[bytes]) -> None:
        """Cut a region led from here, if it still is what it was."""
        info = self.store.region_info(region.id)
        if info is None or not info.is_leader:
            raise NotLeader(region.id, None if info is None else info.leader)
        await self.split(context_of(info, region.region_epoch), keys)

    def _end_load_window(self) -> None:
        for region_id, spans in self._load.roll():
            region = self.store.region(region_id)
            if region is not None and len(region.peers) > 1 and self.store.led_term(region_id):
                self._spawn(self._checks.split_for_load(region, spans), f"load split of region {region_id}")

    # --- inside: tasks ------------------------------------------------------------------------------------------------

    def _spawn(self, work: Coroutine[object, object, None], name: str) -> asyncio.Task[None]:
        """Run `work` beside the rounds; whatever it raises ends the store."""
        task = asyncio.get_running_loop().create_task(self._guarded(work, name), name=name)
        self._tasks[task] = None
        task.add_done_callback(lambda done: self._tasks.pop(done, None))
        return task

    async def _guarded(self, work: Coroutine[object, object, None], name: str) -> None:
        try:
            await work
        except Exception as error:
            self._fail(name, error)

    def _fail(self, where: str, error: Exception) -> None:
        """The store cannot go on: say so to everybody, loudly and once."""
        if self.failure is not None:
            return
        log.critical("store %d stops serving: %s failed", self.store.store_id, where, exc_info=error)
        self.failure = error if isinstance(error, StorageError) else StorageError(f"{where} failed: {error!r}")
        self._stopping = True
        self._waiting.refuse_all(self.failure)
        self.stopped.set()
