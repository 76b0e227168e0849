"""What all operations of one client share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from rutile_kv.client.background import Background
from rutile_kv.client.backoff import Backoff, Pace
from rutile_kv.client.connections import StoreConnections
from rutile_kv.client.gc_hold import GcHold
from rutile_kv.client.heartbeat import Hearts
from rutile_kv.client.leader_watch import LeaderWatch
from rutile_kv.client.lock_resolver import LockResolver
from rutile_kv.client.mirror_sites import MirrorSites
from rutile_kv.client.pd import PdClient
from rutile_kv.client.raw_points import RawPoints
from rutile_kv.client.region_cache import RegionCache
from rutile_kv.client.replicas import ReadFrom, Replicas
from rutile_kv.client.router import Router
from rutile_kv.client.sender import RegionSender


@dataclass(frozen=True, slots=True)
class ClientOptions:
    """Bounds. Times are seconds of wall clock for a whole operation, retries and all."""

    read_budget_s: float = 20.0
    """One get, batch_get, or page of a scan."""
    write_budget_s: float = 40.0
    """A batch of prewrites; the primary's commit; a batch of the secondaries'. A large transaction has many batches."""
    find_out_budget_s: float = 5.0
    """Asking what became of a commit whose answer was lost."""
    close_timeout_s: float = 5.0
    """How long close waits for background work."""
    pd_budget_s: float = 15.0
    """One call to the placement driver outside of a larger operation, and the wait for a timestamp."""
    parallel_rpcs: int = 16
    """RPCs of one operation in flight."""
    max_transaction_bytes: int = 1 << 30
    """What a transaction may buffer, as `membuffer` counts; it is held in memory until the transaction ends."""
    lock_wait_s: float = 50.0
    """How long a pessimistic transaction waits for a lock of another one (MySQL's innodb_lock_wait_timeout)."""
    async_commit: bool = True
    """Whether small transactions over several regions count as committed once every key is prewritten."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """Where the client is, in the words of the stores' labels (zone, host ...): what replicas are close to it."""
    read_from: ReadFrom = ReadFrom.LEADER
    """Who serves snapshots that do not say it themselves. Transactions read from leaders."""
    one_phase_commit: bool = True
    """Whether transactions that fit one request are committed by their prewrite; else they are as those over several
    regions."""


class Cluster:
    """Placement driver, routes, connections, lock resolver, background tasks, pace and bounds."""

    def __init__(
        self, pd: PdClient, stores: StoreConnections, pace: Pace | None = None, options: ClientOptions | None = None
    ) -> None:
        self.pd = pd
        self.stores = stores
        self.pace = pace or Pace()
        self.options = options or ClientOptions()
        self.regions = RegionCache(pd)
        self.sender = RegionSender(self.regions, stores, LeaderWatch(pd, self.regions, self.pace))
        self.router = Router(self.regions, self.sender)
        self.replicas = Replicas(pd, self.options.labels)
        self.raw_router = Router(self.regions, self.sender, place=bytes)
        self.locks = LockResolver(self.router, pd)
        self.background = Background()
        self.hearts = Hearts(self)
        self.gc_hold = GcHold(pd, self.pace)
        self.mirror_sites = MirrorSites()
        self._raw_points: dict[str, RawPoints] = {}

    def raw_points(self, cf: str) -> RawPoints:
        """Raw operations on single keys of a family; all callers share it, and so their requests travel together."""
        points = self._raw_points.get(cf)
        if points is None:
            points = self._raw_points[cf] = RawPoints(self.regions, self.sender, cf)
        return points

    def read_backoff(self, what: str) -> Backoff:
        """A budget for a read."""
        return Backoff(what, self.options.read_budget_s, self.pace)

    def write_backoff(self, what: str) -> Backoff:
        """A budget for a phase of a commit."""
        return Backoff(what, self.options.write_budget_s, self.pace)

    async def close(self) -> None:
        """Wait (bounded) for background work, then let go of every connection."""
        await self.gc_hold.close()
        await self.hearts.close()
        await self.background.close(self.options.close_timeout_s)
        await self.stores.close()
        await self.pd.close()
