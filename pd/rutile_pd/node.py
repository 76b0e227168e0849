"""A placement driver as a whole: its directory, its server, its tick. Usable as a process or inside one."""

import asyncio
import contextlib
import logging
import secrets
from pathlib import Path

import grpc

from rutile_kv.engine.api import Engine
from rutile_kv.engine.memory import MemoryEngine
from rutile_kv.engine.options import MIB, EngineOptions
from rutile_kv.engine.rocks import RocksEngine
from rutile_kv.env.clock import Clock, SystemClock
from rutile_kv.env.health import HealthService
from rutile_kv.env.rpc import start_server
from rutile_pd.cluster import Cluster
from rutile_pd.config import PdConfig
from rutile_pd.safe_points import SafePoints
from rutile_pd.service import PdServicer, PdState
from rutile_pd.storage import PdStorage
from rutile_pd.tso import TimestampOracle
from rutile_proto import pdpb_pb2 as pdpb

__all__ = ["PdConfig", "PdNode"]

log = logging.getLogger(__name__)

STOP_GRACE_S = 0.5
"""How long running calls may take when the server stops."""
_ENGINE_OPTIONS = EngineOptions(block_cache_bytes=8 * MIB, memtable_bytes=8 * MIB, background_jobs=1, max_open_files=64)
_MAX_ID = (1 << 63) - 1
_EMBEDDED_ADDRESS = "embedded"


class PdNode:
    """One placement driver. Without `data_dir` it forgets everything at the end, without `address` it has no server.

    >>> node = PdNode(Path("data/pd"), "127.0.0.1:2379")
    >>> await node.start()                      # DataDirMismatch, EngineCorrupt, PortInUse
    >>> stub = LocalStub(node.servicer)         # in this process; others connect to node.address
    >>> await node.stop()
    """

    def __init__(
        self, data_dir: Path | None, address: str | None, clock: Clock | None = None, config: PdConfig | None = None
    ) -> None:
        self.config = config or PdConfig()
        self.address = address or ""
        """host:port it listens on (known after start when port 0 was asked for); empty without a server."""
        self._data_dir = data_dir
        self._clock = clock or SystemClock()
        self._health = HealthService()
        self._storage: PdStorage | None = None
        self._servicer: PdServicer | None = None
        self._server: grpc.aio.Server | None = None
        self._ticking: asyncio.Task[None] | None = None

    @property
    def servicer(self) -> PdServicer:
        """What a LocalStub calls. Only between start and stop."""
        if self._servicer is None:
            raise RuntimeError("the placement driver is not running")
        return self._servicer

    async def start(self) -> None:
        """Open, listen, tick. What was opened is closed again when a step fails."""
        self._storage = PdStorage(await asyncio.to_thread(self._open_engine))
        try:
            self._servicer = self._load(self._storage)
            await self._servicer.reserves.refresh()
            await self._listen(self._servicer)
        except BaseException:
            await self.stop()
            raise
        self._ticking = asyncio.create_task(self._tick_for_ever(self._servicer), name="placement driver")
        self._health.serving = True
        log.info("placement driver of cluster %d at %s", self._servicer.cluster.id, self.address or "this process")

    async def stop(self) -> None:
        """End the streams and the server, make everything durable, free the directory. Harmless when not running."""
        self._health.serving = False
        if self._ticking is not None:
            self._ticking.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._ticking
        if self._servicer is not None:
            self._servicer.close()
        if self._server is not None:
            await self._server.stop(STOP_GRACE_S)
        if self._storage is not None:
            await asyncio.to_thread(self._storage.close)
        self._ticking = self._server = self._storage = self._servicer = None

    def _open_engine(self) -> Engine:
        if self._data_dir is None:
            return MemoryEngine()
        return RocksEngine.open(self._data_dir, options=_ENGINE_OPTIONS)

    def _load(self, storage: PdStorage) -> PdServicer:
        offered = secrets.randbelow(_MAX_ID) + 1, secrets.randbelow(_MAX_ID) + 1
        cluster_id, member_id = storage.claim(*offered, expected_cluster_id=self.config.cluster_id)
        now_ms = round(self._clock.monotonic() * 1000)
        state = PdState(
            cluster=Cluster(cluster_id, storage, self.config, now_ms),
            oracle=TimestampOracle(storage.timestamp_limit_ms()),
            safe_points=SafePoints(storage.safe_point(), storage.services()),
            storage=storage,
        )
        member = pdpb.Member(name=self.config.name, member_id=member_id)
        return PdServicer(state, member, self._clock, self.config)

    async def _listen(self, servicer: PdServicer) -> None:
        if self.address:
            self._server, self.address = await start_server(
                self.address,
                [servicer.register, self._health.register],
            )
        url = "http://" + (self.config.advertise_address or self.address or _EMBEDDED_ADDRESS)
        servicer.member.client_urls.append(url)
        servicer.member.peer_urls.append(url)

    async def _tick_for_ever(self, servicer: PdServicer) -> None:
        while True:
            await asyncio.sleep(self.config.tick_s)
            try:
                await servicer.tick()
            except Exception:
                log.exception("a tick of the placement driver failed; the next one tries again")
