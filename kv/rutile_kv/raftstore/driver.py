"""The shell around a store: the loop that owns disk, network and time.

One asyncio task makes rounds: take the store's work, send, write, hand out answers, sync (`driver_sync`), give the work
back. Events are stepped where they arrive, in the same loop, also while a sync runs: the next round finds them
together. That is the group commit: whatever came during one sync shares the next one.

A disk that fails ends the store: nothing is acknowledged after it, every request gets the error, `failure` says why.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path

from rutile_kv.engine.api import Engine
from rutile_kv.env.clock import Clock
from rutile_kv.raftstore.driver_regions import RegionRequests
from rutile_kv.raftstore.driver_requests import Waiting
from rutile_kv.raftstore.driver_sync import Sync
from rutile_kv.raftstore.events import (
    RaftMessageReceived,
    StoodStill,
    StoreReady,
    StoreUnreachable,
    Tick,
)
from rutile_kv.raftstore.load import WINDOW_SECONDS, LoadMonitor
from rutile_kv.raftstore.pd_commands import PdEvents, context_of
from rutile_kv.raftstore.pd_orders import PdOrders
from rutile_kv.raftstore.region_checks import RegionChecks
from rutile_kv.raftstore.snapshot_transfer import SnapshotTransfer, Transport
from rutile_kv.raftstore.store import Store
from rutile_kv.raftstore.upkeep import TICK_SECONDS
from rutile_proto import kvrpcpb_pb2 as kvrpcpb
from rutile_proto import metapb_pb2 as metapb
from rutile_proto import pdpb_pb2 as pdpb
from rutile_proto import raft_serverpb_pb2 as raft_serverpb
from rutile_proto.errors import (
    InvalidRequest,
    NotLeader,
    RutileError,
    ServerIsBusy,
    StorageError,
)

log = logging.getLogger(__name__)

MAX_WAITING = 65_536
"""Requests that wait for Raft; further ones are refused with ServerIsBusy."""
CATCH_UP_PART = 0.1
"""Of a tick, between two ticks that are made up for: time for what has come meanwhile."""
MAX_RECEIVING_SNAPSHOTS = 4


@asynccontextmanager
async def _at_once(context: kvrpcpb.Context) -> AsyncIterator[None]:
    """For a store that keeps nothing of its regions but what it has written."""
    yield


class StoreDriver(RegionRequests):
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
        self.handing_over = _at_once
        self.on_deposed = lambda region_id: None
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
        self.store.snapshots.abandon()
        self._sync.close()
        self._files.shutdown()
        self._checks.close()
        self.stopped.set()

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

    # --- inside: rounds -----------------------------------------------------------------------------------------------

    async def _rounds(self) -> None:
        while not self._stopping:
            await self._wake.wait()
            self._wake.clear()
            while not self._stopping and (ready := self.store.ready()) is not None:
                await self._round(ready)

    async def _round(self, ready: StoreReady) -> None:
        self._transport.send(ready.messages)
        if len(ready.batch):
            self._engine.write(ready.batch)
        self._complete(ready)
        if ready.must_sync:
            await self._sync.run(alone=len(self._waiting) <= 1)
        else:
            await asyncio.sleep(0)
        self._transport.send(ready.persisted_messages)
        self.store.advance(ready)

    def _complete(self, ready: StoreReady) -> None:
        for asked in ready.hashes:
            self._spawn(self._checks.hash_region(self._engine.snapshot(), asked), f"hash of region {asked.region.id}")
        for alarm in ready.alarms:
            log.critical(alarm)
        for region_id in ready.deposed:
            self.on_deposed(region_id)
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
