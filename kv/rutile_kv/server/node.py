"""`StoreNode`: one store with everything it needs, as a process or inside one.

    engine ── StoreDriver ──┬── FencedKv ── TxnScheduler ──┐
                 │          │      └─────── RawWriter ─────┤
                 │          └── CoprocessorEndpoint ───────┼── StoreService ── gRPC server, or LocalStub
             transport ─────────────── raft messages ──────┘
                 └── PdWorker ── PdClient ── PD

With an address it listens there and reaches the other stores by gRPC. Without one it opens no socket: callers use a
LocalStub of `servicer`, and the stores of the process meet on a LocalNetwork.
"""

from __future__ import annotations

import asyncio
import logging
import random
from contextlib import AsyncExitStack

from rutile_kv.client.backoff import Pace
from rutile_kv.client.calls import Stub
from rutile_kv.client.cluster import Cluster
from rutile_kv.client.parallel import cancel_all
from rutile_kv.client.pd import PdClient
from rutile_kv.engine.api import Engine
from rutile_kv.engine.failing import with_failpoints
from rutile_kv.engine.memory import MemoryEngine
from rutile_kv.engine.rocks import RocksEngine
from rutile_kv.env.clock import Clock, SystemClock
from rutile_kv.env.health import HealthService
from rutile_kv.env.rpc import LocalStub, start_server
from rutile_kv.raft.config import Randomness
from rutile_kv.raftstore.config import StoreConfig as RaftstoreConfig
from rutile_kv.raftstore.driver import StoreDriver
from rutile_kv.raftstore.store import Store
from rutile_kv.raftstore.write_places import write_places
from rutile_kv.raw.writer import RawWriter
from rutile_kv.server.catching_up import CatchingUp
from rutile_kv.server.config import StoreConfig
from rutile_kv.server.coprocessor_endpoint import CoprocessorEndpoint
from rutile_kv.server.duties import StoreDuties
from rutile_kv.server.fenced_kv import FencedKv
from rutile_kv.server.first_region import FirstRegion
from rutile_kv.server.garbage_collector import GarbageCollector
from rutile_kv.server.gc_service import SpaceParts
from rutile_kv.server.handing_over import HandingOver
from rutile_kv.server.kv_service import RawParts, ServiceParts, StoreService
from rutile_kv.server.local_network import LocalNetwork
from rutile_kv.server.local_replicas import LocalReplicas
from rutile_kv.server.lock_wait_ends import LockWaitEnds
from rutile_kv.server.max_ts_sync import MaxTsSync
from rutile_kv.server.mirror_restore import keep_mirror
from rutile_kv.server.pd_worker import PdWorker
from rutile_kv.server.peer_port import PeerPort
from rutile_kv.server.profile import StoreProfile, host_of
from rutile_kv.server.raft_limits import raft_limits
from rutile_kv.server.raw_scan_relay import RawScanRelay
from rutile_kv.server.raw_sweeper import RawSweeper
from rutile_kv.server.read_index_gate import ReadIndexGate, StampedTransport
from rutile_kv.server.registration import found_cluster, identify
from rutile_kv.server.space import Space
from rutile_kv.server.stale_reads import StaleReads
from rutile_kv.server.watch_raw import RawStreams
from rutile_kv.server.watch_service import WatchParts
from rutile_kv.server.watch_versions import VersionStreams
from rutile_kv.server.watches import Watches
from rutile_kv.server.ways import Unreachable, Ways
from rutile_kv.txn.max_ts import MaxTs
from rutile_kv.txn.shell import TxnScheduler
from rutile_proto.errors import InvalidRequest
from rutile_proto.types import StoreId

log = logging.getLogger(__name__)

STOP_GRACE_SECONDS = 0.5
"""How long running calls may take once the server stops."""


class StoreNode:
    """One store. `start` registers it with PD and serves; `stop` ends it gracefully and makes everything durable."""

    def __init__(
        self,
        config: StoreConfig,
        *,
        pd_stub: Stub | None = None,
        pd_client: PdClient | None = None,
        network: LocalNetwork | None = None,
        clock: Clock | None = None,
        random_source: Randomness | None = None,
        engine: Engine | None = None,
        pace: Pace | None = None,
        limits: RaftstoreConfig | None = None,
    ) -> None:
        """PD is reached at `config.pd_addresses`, or through `pd_stub` in this process, or by a `pd_client` which this
        closes. `network` joins stores without an address; a store alone needs none. `engine` takes the place of what
        `config.data_dir` says; it is closed at the end all the same. `pace` is how calls to others are repeated,
        `limits` what the raftstore keeps to where `config` says nothing."""
        if pd_stub is None and pd_client is None and not config.pd_addresses:
            raise InvalidRequest("a store needs its placement driver: give pd_addresses, or pd_stub in this process")
        self.config = config
        self._pd_stub = pd_stub
        self._given_pd_client = pd_client
        self._network = network or LocalNetwork()
        self._clock = clock or SystemClock()
        self._random = random_source or random.Random()
        self._engine = engine
        self._pace = pace
        self._limits = limits or RaftstoreConfig()
        self._health = HealthService()
        self._running: AsyncExitStack | None = None
        self._service: StoreService | None = None
        self._driver: StoreDriver | None = None
        self._endpoint: CoprocessorEndpoint | None = None
        self._profile = StoreProfile(config, self._clock)

    # --- what others use ----------------------------------------------------------------------------------------------

    @property
    def servicer(self) -> StoreService:
        """What a LocalStub calls, for both services. Only after start; once stopped it answers UNAVAILABLE."""
        if self._service is None:
            raise RuntimeError("the store was not started")
        return self._service

    @property
    def address(self) -> str:
        """host:port it listens on, known after start; empty without a server."""
        return self._profile.address

    @property
    def announcement(self) -> str:
        """Where it serves: its address, and its Flight location if it has one."""
        location = self._profile.flight_location
        return f"{self.address} flight={location}" if location else self.address

    @property
    def driver(self) -> StoreDriver:
        """The store's regions. Only after start."""
        if self._driver is None:
            raise RuntimeError("the store was not started")
        return self._driver

    @property
    def endpoint(self) -> CoprocessorEndpoint:
        """The coprocessor and its mirror. Only after start."""
        if self._endpoint is None:
            raise RuntimeError("the store was not started")
        return self._endpoint

    @property
    def store_id(self) -> StoreId:
        """This store's id in the cluster. Only after start."""
        return StoreId(self.servicer.store_id)

    async def start(self) -> None:
        """Open, join the cluster (found it, if this is the first store), serve.

        Raises DataDirMismatch, EngineCorrupt, PortInUse, PdError or RetriesExhausted when PD cannot be reached; what
        was opened is closed again then.
        """
        async with AsyncExitStack() as opened:
            await self._start(opened)
            self._running = opened.pop_all()
        self._health.serving = True
        log.info("store %d serves at %s", self.store_id, self.address or "this process")

    async def stop(self) -> None:
        """Refuse new work, end what runs, sync, close. Harmless when not running."""
        running, self._running = self._running, None
        if running is not None:
            await running.aclose()

    async def wait_failed(self) -> Exception:
        """Returns when the store has stopped serving by itself, with the reason (its disk, most likely)."""
        while True:
            await self.driver.stopped.wait()
            if self.driver.failure is not None:
                return self.driver.failure
            await asyncio.get_running_loop().create_future()  # stopped on request: there is no failure to wait for

    # --- assembly: each step leaves its undoing on the stack ----------------------------------------------------------

    async def _start(self, opened: AsyncExitStack) -> None:
        engine = await asyncio.to_thread(self._open_engine)
        opened.push_async_callback(asyncio.to_thread, engine.close)
        pd = self._pd_client()
        opened.push_async_callback(pd.close)
        store_id = await identify(engine, pd, self.config.data_dir)
        await found_cluster(engine, pd, self._profile.describe(store_id))

        max_ts = MaxTs()
        worker = PdWorker(pd, MaxTsSync(max_ts, pd))
        ways = Ways(store_id, pd, self._network if self.config.address is None else None, opened)
        driver = self._driver = self._build_driver(store_id, engine, worker, ways, max_ts)
        fenced = FencedKv(driver)
        scheduler = TxnScheduler(fenced, max_ts, locks_in_memory=self.config.pessimistic_locks_in_memory)
        driver.handing_over = HandingOver(scheduler)
        raw = RawWriter(fenced)
        gate = ReadIndexGate(driver, scheduler)
        space = Space(engine, driver.store, CatchingUp(driver))
        opened.push_async_callback(space.close)
        collector = GarbageCollector(fenced, scheduler, driver.region_infos, space.compact)
        endpoint = self._endpoint = CoprocessorEndpoint(store_id, driver, scheduler, self.config, self._clock)
        opened.push_async_callback(endpoint.close)
        if endpoint.cache is not None:
            await keep_mirror(endpoint.cache, endpoint.followed, driver.store, engine, self.config, opened)
        others = ways.others()
        watches = Watches(driver, scheduler, pd, self.config.watch_progress_seconds, self.config.watch_queue_bytes)
        stale = StaleReads(driver, scheduler, pd, watches.landed)
        parts = ServiceParts(
            cluster_id=pd.cluster_id,
            store_id=store_id,
            kv=driver,
            scheduler=scheduler,
            endpoint=endpoint,
            raft=gate,
            max_entry_bytes=self.config.max_entry_bytes,
            free_bytes=self._profile.free_bytes,
            raw=RawParts(raw, self._clock, RawScanRelay(others, driver) if others is not None else None),
            stale=stale,
            others=others,
            space=SpaceParts(collector, space.destroy_range),
            watching=WatchParts(
                watches, VersionStreams(watches, driver, engine, pd), RawStreams(watches, driver, self._clock)
            ),
            tikv_only=self.config.tikv_only,
            first_region_term=FirstRegion(driver, pd).led_term,
        )
        service = self._service = StoreService(parts)
        ends = LockWaitEnds(service.waiting, scheduler.memory_locks)
        driver.store.observe(ends)
        driver.on_deposed = ends.deposed

        await driver.start()
        opened.push_async_callback(scheduler.close)
        opened.push_async_callback(raw.close)
        opened.push_async_callback(service.fates.close)
        opened.push_async_callback(driver.stop)
        await self._listen(service, PeerPort(gate, pd.cluster_id, store_id, service), opened)
        self._serve_flight(LocalReplicas(store_id, driver, endpoint), others, opened)
        self._network.join(store_id, gate, LocalStub(service))
        opened.callback(self._network.leave, store_id)
        await pd.put_store(self._profile.describe(store_id))
        worker.start(driver, lambda: self._profile.stats(driver.store), self.config.store_heartbeat_seconds)
        opened.push_async_callback(worker.close)
        sweep = asyncio.ensure_future(RawSweeper(fenced, raw, driver.region_infos, self._clock).run())
        opened.push_async_callback(cancel_all, [sweep])
        duties = StoreDuties(service, collector, driver, pd, ways.connections(), self.config, self._pace)
        await duties.start()
        opened.push_async_callback(duties.close)
        stale.start()
        opened.push_async_callback(stale.close)
        watches.start()
        opened.push_async_callback(watches.close)
        opened.callback(service.close)
        opened.callback(self._stop_serving)

    def _open_engine(self) -> Engine:
        if self._engine is not None:
            return self._engine
        if self.config.data_dir is None:
            return MemoryEngine()
        directory = self.config.data_dir
        return with_failpoints(RocksEngine.open(directory), "store", directory, write_places)

    def _pd_client(self) -> PdClient:
        if self._given_pd_client is not None:
            return self._given_pd_client
        if self._pd_stub is not None:
            return PdClient.local(self._pd_stub, pace=self._pace)
        return PdClient.connect(self.config.pd_addresses, pace=self._pace)

    def _build_driver(self, store_id: int, engine: Engine, worker: PdWorker, ways: Ways, max_ts: MaxTs) -> StoreDriver:
        """The driver with its transport. They know each other: messages lost make peers unreachable."""
        unreachable = Unreachable()
        unreachable.driver = driver = StoreDriver(
            Store(store_id, engine, raft_limits(self.config, self._limits), self._random),
            engine,
            StampedTransport(ways.transport(unreachable), max_ts),
            worker,
            self._clock,
            spool_directory=self.config.data_dir,
            tick_seconds=self.config.tick_seconds,
        )
        return driver

    async def _listen(self, service: StoreService, peers: PeerPort, opened: AsyncExitStack) -> None:
        if self.config.address is None:
            return
        registrations = [service.register, self._health.register]
        server, self._profile.address = await start_server(self.config.address, registrations)
        opened.push_async_callback(server.stop, STOP_GRACE_SECONDS)
        port = await peers.listen(host_of(self.config.address).strip("[]"), self.config.peer_port)
        opened.push_async_callback(peers.close)
        self._profile.set_peer_port(port)

    def _serve_flight(self, replicas: LocalReplicas, others: Cluster | None, opened: AsyncExitStack) -> None:
        """Where clients fetch large scans, if the configuration says so. Raises PortInUse, InvalidRequest."""
        if self.config.flight is None:
            return
        if others is None:
            raise InvalidRequest("a store without an address serves no Arrow Flight")
        from rutile_kv.server.flight_endpoint import FlightEndpoint  # loads Arrow Flight: only here

        opened.push_async_callback(others.gc_hold.close)
        flight = FlightEndpoint(self.config.flight, others, replicas, self._clock)
        opened.push_async_callback(flight.stop)
        self._profile.flight_location = flight.location_uri

    def _stop_serving(self) -> None:
        self._health.serving = False
