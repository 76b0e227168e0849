"""The placement driver of the simulated cluster: its core and its disk, at the end of the same bad network.

What its shell does is done here in the same order: whatever must outlive it is synced before anybody hears of it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from region_network import PD

from rutile.testing.disk import ForgetfulDisk
from rutile_kv.engine.api import CF_DEFAULT
from rutile_kv.raftstore.bootstrap import bootstrap_first_region, first_region
from rutile_kv.raftstore.events import Split
from rutile_kv.raftstore.pd_commands import context_of, event_of
from rutile_pd.cluster import Cluster, IdsExhausted
from rutile_pd.config import PdConfig
from rutile_pd.consensus.storage import Changes, PdStorage
from rutile_pd.wishes import MOST_IDS, Wishes
from rutile_proto import metapb_pb2 as metapb
from rutile_proto import pdadminpb_pb2 as pdadminpb
from rutile_proto import pdpb_pb2 as pdpb
from rutile_proto import rutilepb_pb2 as rutilepb
from rutile_proto.errors import InvalidRequest, PdError, RutileError

if TYPE_CHECKING:
    from region_machine import Machine
    from region_simulation import RegionSimulation

T = TypeVar("T")
CLUSTER_ID = 7
CONFIG = PdConfig(
    cluster_id=CLUSTER_ID,
    max_store_down_s=6.0,
    store_disconnected_s=3.0,
    operator_timeout_s=5.0,
    quick_operator_timeout_s=3.0,
)
TICK_MS = 500
HEARTBEAT_MS = 500
MAX_DOWN_MS = 2_000


class PdProxy:
    """The core, and the way to it."""

    def __init__(self, simulation: RegionSimulation) -> None:
        self._simulation = simulation
        self.disk = ForgetfulDisk()
        self._config = replace(CONFIG, split_merge_interval_s=simulation.world.merge_interval_s)
        self.up = False
        self.cluster: Cluster
        self._storage: PdStorage
        self._epochs: dict[int, tuple[int, int]] = {}
        self.boot()

    # --- life ---------------------------------------------------------------------------------------------------------

    def boot(self) -> None:
        """Start on what is on disk."""
        if self.up:
            return
        self._storage = PdStorage(self.disk)
        self.cluster = Cluster(CLUSTER_ID, self._storage, self._config, self._simulation.now_ms)
        self._epochs.clear()
        self.up = True

    def crash(self) -> None:
        if self.up:
            self.up = False
            rng = self._simulation.random
            self.disk = self.disk.reboot(rng.randint(0, self.disk.unsynced_batches))
            self._simulation.note("PD crashes")
            self._simulation.later(rng.randint(1, MAX_DOWN_MS), self.boot)

    def with_ids(self, count: int, take: Callable[[], T]) -> T:
        """As `reserves.Reserves.with_ids`."""
        while True:
            try:
                return take()
            except IdsExhausted:
                self._reserve_ids(count)

    def _reserve_ids(self, count: int) -> None:
        """As `reserves.Reserves`: ids are given out only below what is on disk."""
        end = self.cluster.ids.end_to_save(count)
        if end is not None:
            self._storage.save_id_end(end)
            self._settle()
            self.cluster.ids.end_saved(end)

    def _settle(self) -> None:
        """Make durable what was promised, as a committed entry of PD's log would be; hints may get lost."""
        self._write(self._storage.hints(1 << 20))
        self._storage.hints_taken(self._storage.hints(1 << 20))
        if promises := self._storage.promises():
            self._storage.promises_taken()
            self._write(promises)
            self.disk.sync()

    def _write(self, changes: Changes) -> None:
        batch = self.disk.batch()
        batch.extend((CF_DEFAULT, key, value) for key, value in changes.items())
        self.disk.write(batch)

    def new_id(self) -> int:
        """An id for a store or a peer."""
        return self.with_ids(1, lambda: self.cluster.take_ids(1))

    def found(self, machine: Machine) -> None:
        """The first store brings the first region."""
        region = first_region(self.new_id(), self.new_id(), machine.id)
        bootstrap_first_region(machine.disk, region)
        self.cluster.bootstrap(store_pb(machine.id), region, self._simulation.now_ms)
        self._settle()

    def register(self, machine: Machine) -> None:
        """A store says that it is there."""
        self.cluster.put_store(store_pb(machine.id), self._simulation.now_ms)
        self._settle()

    # --- what stores report -------------------------------------------------------------------------------------------

    def report(self, machine: Machine, request: pdpb.RegionHeartbeatRequest) -> None:
        """A region's heartbeat sets out."""
        copy = pdpb.RegionHeartbeatRequest()
        copy.CopyFrom(request)
        self._send(machine, lambda: self._take_report(machine, copy))

    def report_split(self, machine: Machine, regions: Sequence[metapb.Region]) -> None:
        metas = [_copy(region) for region in regions]
        self._send(machine, lambda: self.cluster.report_split(metas, self._simulation.now_ms))

    def store_heartbeat(self, machine: Machine) -> None:
        stats = pdpb.StoreStats(store_id=machine.id, capacity=1 << 40, available=1 << 39)
        stats.region_count = machine.store.peer_counts()[0]
        self._send(machine, lambda: self.cluster.store_heartbeat(stats, self._simulation.now_ms, 0))

    def ask_split(self, machine: Machine, region: metapb.Region, keys: Sequence[bytes]) -> None:
        """Ask for ids and split there when they arrive."""
        asked = _copy(region)

        def ask() -> None:
            ids = self.with_ids(len(keys) * 8, lambda: self.cluster.ask_split(asked, len(keys)))
            requests = [
                rutilepb.SplitRequest(split_key=key, new_region_id=each.new_region_id, new_peer_ids=each.new_peer_ids)
                for key, each in zip(keys, ids, strict=True)
            ]
            self._answer(machine, lambda: self._split(machine, asked, requests))

        self._send(machine, ask)

    def ask_merge(self, source: int, target: int) -> None:
        """Somebody tells PD to merge two regions; it moves their peers together first."""
        if not self.up:
            return
        request = pdadminpb.AddOperatorRequest(region_id=source)
        request.merge.target_region_id = target
        wishes = Wishes(self.cluster)
        try:
            self.with_ids(MOST_IDS, lambda: wishes.begin(request, self._simulation.now_ms))
        except (PdError, InvalidRequest) as error:
            self._simulation.note(f"PD will not merge regions {source} and {target}: {error}")

    def _split(self, machine: Machine, region: metapb.Region, requests: Sequence[rutilepb.SplitRequest]) -> None:
        info = machine.store.region_info(region.id)
        if info is not None:
            context = context_of(info, region.region_epoch)
            self._simulation.request(machine, "split", lambda token: Split(token, context, requests))

    def _send(self, machine: Machine, take: Callable[[], object]) -> None:
        """Something for PD, which it may refuse."""

        def arrive() -> None:
            if not self.up:
                return
            try:
                take()
            except (PdError, InvalidRequest) as error:
                self._simulation.note(f"PD refuses what store {machine.id} says: {error}")

        for delay_ms in self._simulation.network.delays(machine.id, PD):
            self._simulation.later(delay_ms, arrive)

    # --- what PD orders -----------------------------------------------------------------------------------------------

    def tick(self) -> None:
        """Patrol, balance."""
        if self.up:
            self._reserve_ids(1)
            for order in self.cluster.tick(self._simulation.now_ms):
                self._order(order)
            self._settle()
            self._check_epochs()

    def _take_report(self, machine: Machine, report: pdpb.RegionHeartbeatRequest) -> None:
        order = self.cluster.region_heartbeat(report, self._simulation.now_ms)
        if order is not None:
            self._order(order)

    def _order(self, order: pdpb.RegionHeartbeatResponse) -> None:
        copy = pdpb.RegionHeartbeatResponse()
        copy.CopyFrom(order)
        machine = self._simulation.machines.get(order.target_peer.store_id)
        if machine is not None:
            self._answer(machine, lambda: self._obey(machine, copy))

    def _answer(self, machine: Machine, act: Callable[[], None]) -> None:
        for delay_ms in self._simulation.network.delays(PD, machine.id):
            self._simulation.network.deliver(machine.id, delay_ms, lambda _: act())

    def _obey(self, machine: Machine, order: pdpb.RegionHeartbeatResponse) -> None:
        info = machine.store.region_info(order.region_id)
        if info is None or not info.is_leader:
            return
        try:
            event_of(order, info, 0)
        except RutileError as error:
            self._simulation.note(f"store {machine.id} cannot obey: {error}")
            return
        self._simulation.request(machine, "order", lambda token: event_of(order, info, token))

    def _check_epochs(self) -> None:
        """What one life of PD knows never goes back."""
        for info in self.cluster.regions.scan(b"", b"", 1_000):
            epoch = info.meta.region_epoch
            now = epoch.version, epoch.conf_ver
            known = self._epochs.get(info.id, (0, 0))
            assert now[0] >= known[0], f"PD forgot version {known} of region {info.id}, and has {now}"
            self._epochs[info.id] = now


def store_pb(store_id: int) -> metapb.Store:
    """As a store registers."""
    return metapb.Store(id=store_id, address=f"simulated:{store_id}", version="8.5.0")


def _copy(region: metapb.Region) -> metapb.Region:
    copy = metapb.Region()
    copy.CopyFrom(region)
    return copy
