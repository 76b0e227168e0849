"""A member of the placement driver without its directory and its server: replica, door, and the leaderships it has.

When this member comes to lead, the cores are loaded from what was committed; when it ceases to, they are thrown away.
Timestamps, ids, stores and heartbeats are served at once; the regions, which may be a million, are loaded beside that.
Until they are all there nothing is decided about them, and who asks for more than one of them waits.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress

from rutile_kv.engine.api import Engine
from rutile_kv.env.clock import Clock
from rutile_kv.raft.config import Randomness
from rutile_pd.allocation.safe_points import SafePoints
from rutile_pd.allocation.tso import TimestampOracle
from rutile_pd.cluster import Cluster
from rutile_pd.config import PdConfig
from rutile_pd.consensus.leadership import Leadership
from rutile_pd.consensus.members import NotLeading
from rutile_pd.consensus.replica import Replica
from rutile_pd.consensus.replication import PeerTransport, Replication
from rutile_pd.consensus.storage import PdStorage
from rutile_pd.services.door import Door
from rutile_pd.services.service import PdServicer, PdState
from rutile_proto import pdpb_pb2 as pdpb
from rutile_proto.errors import StorageError

log = logging.getLogger(__name__)

HANDOVER_S = 1.0
"""How long a leader that stops waits for another to take over."""
REGIONS_AT_ONCE = 50
"""Regions loaded before everybody else has a turn: about two milliseconds."""
_MAX_ID = (1 << 63) - 1


class PdMember:
    """`own` is this member at the address where it is reached."""

    def __init__(
        self,
        engine: Engine,
        own: pdpb.Member,
        config: PdConfig,
        clock: Clock,
        sync: Callable[[], Awaitable[None]],
        random: Randomness,
    ) -> None:
        self.applied = PdStorage(engine)
        self.replication = Replication(Replica(engine, own.member_id, random), clock, sync, self._observe)
        self.door = Door(self.replication, self.applied, own)
        self.engine, self._config, self._clock, self._random = engine, config, clock, random
        self._term = 0
        self._leading: asyncio.Task[None] | None = None
        self._news = asyncio.Event()
        """Set, and replaced by another, when this member begins or ceases to lead, or fails."""

    def start(self, transport: PeerTransport | None) -> None:
        """Take part. Without a transport the group must be this member alone."""
        self.replication.start(transport)

    async def stop(self) -> None:
        """Hand over if this member leads, and end."""
        await self._hand_over()
        await self._end_leading()
        await self.replication.stop()

    async def led_here(self) -> None:
        """Returns when this member leads and serves; raises what keeps it from that, if it failed."""
        while self.door.leading is None:
            if self.replication.failure is not None:
                raise self.replication.failure
            await self._news.wait()

    # --- leaderships --------------------------------------------------------------------------------------------------

    def _observe(self) -> None:
        """Who leads may have changed: end a leadership that is over, begin one that is there."""
        term = self.replication.leading_term
        if term == self._term and self.replication.failure is None:
            return
        self._term = term
        if self._leading is not None:
            self._leading.cancel()
            self.door.leading = None
        self._leading = asyncio.create_task(self._lead(term), name=f"leadership of term {term}") if term else None
        self._tell()

    async def _lead(self, term: int) -> None:
        leadership = Leadership(self.replication, PdStorage(self.engine), term)
        try:
            servicer = await self._open(leadership)
        except NotLeading as error:
            log.info("the leadership of term %d ended before it began: %s", term, error)
            return
        loading = asyncio.create_task(self._load_regions(servicer), name="loading regions")
        try:
            self.door.leading = servicer
            self._tell()
            log.info("%s leads the placement driver of cluster %d", self.door.own.name, servicer.cluster.id)
            await self._tick(servicer)
        finally:
            loading.cancel()
            servicer.close()

    async def _open(self, leadership: Leadership) -> PdServicer:
        storage = leadership.storage
        if not storage.cluster_id():
            storage.save_cluster_id(self._config.cluster_id or self._random.randint(1, _MAX_ID))
            await leadership.settle()
        own = self.door.own
        if storage.member(own.member_id) != own:
            storage.save_member(own)  # who was alone when it began had no address that others could need
        state = PdState(
            cluster=Cluster(storage.cluster_id(), storage, self._config, self._now_ms(), with_regions=False),
            oracle=TimestampOracle(storage.timestamp_limit_ms()),
            safe_points=SafePoints(storage.safe_point(), storage.services()),
        )
        servicer = PdServicer(state, leadership, self._clock, self._config)
        await servicer.reserves.refresh()
        return servicer

    async def _load_regions(self, servicer: PdServicer) -> None:
        """Give the cluster all its regions. The loop has its turns meanwhile, or this leadership would not last."""
        try:
            for count, region in enumerate(servicer.storage.regions(), 1):
                servicer.cluster.restore(region)
                if count % REGIONS_AT_ONCE == 0:
                    await asyncio.sleep(0)
        except StorageError:
            log.exception("%s cannot read the regions, and serves no more", self.door.own.name)
            self.door.leading = None
            return
        servicer.regions_loaded()
        log.info("%d regions are loaded", len(servicer.cluster.regions))

    def _now_ms(self) -> int:
        return round(self._clock.monotonic() * 1000)

    async def _tick(self, servicer: PdServicer) -> None:
        while True:
            await asyncio.sleep(self._config.tick_s)
            try:
                await servicer.tick()
            except NotLeading as error:
                log.info("no tick of the placement driver: %s", error)
            except Exception:
                log.exception("a tick of the placement driver failed; the next one tries again")

    async def _end_leading(self) -> None:
        """Raises what the leadership failed with. A caller that is cancelled meanwhile is told so, not kept from it."""
        self.door.leading = None
        if self._leading is not None:
            self._leading.cancel()
            await asyncio.wait([self._leading])
            if not self._leading.cancelled():
                self._leading.result()

    async def _hand_over(self) -> None:
        """Ask whoever has most of the log to lead, and wait a moment for it."""
        node = self.replication.replica.node
        with suppress(NotLeading, TimeoutError):
            async with asyncio.timeout(HANDOVER_S):
                self.replication.hand_over()
                while node.is_leader:
                    await self._news.wait()

    def _tell(self) -> None:
        self._news.set()
        self._news = asyncio.Event()
