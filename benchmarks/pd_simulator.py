"""Drives a placement driver alone: its cluster core, no network, with as many stores and regions as memory holds.

    python benchmarks/pd_simulator.py                         1,000 stores, 1,000,000 regions
    python benchmarks/pd_simulator.py --stores 30 --regions 3000 --minutes 30

Nine tenths of the stores hold everything at first, with random leaders; the last tenth is empty. What is reported:

  - heartbeats: microseconds each, for a report that says nothing new, with 1k, 10k, 100k ... regions;
  - ticks and decisions: microseconds each, at the same sizes, while there is work to do;
  - balance: how uneven leaders and peers are before and after the simulated minutes, and operators carried out;
  - memory: bytes a region, and the peak of the process.

Times are of the processor, so that a busy machine does not spoil them.

Stores obey at once: a step is done when the region reports the next time, which it does at once, because of its
change. Regions with nothing to tell do not report while balance is reached; what their reports cost is measured apart.
"""

import argparse
import gc
import random
import resource
import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from rutile_kv.engine.memory import MemoryEngine
from rutile_pd.cluster import Cluster
from rutile_pd.config import PdConfig
from rutile_pd.consensus.storage import PdStorage
from rutile_pd.regions.tree import RegionInfo
from rutile_proto import eraftpb_pb2 as eraftpb
from rutile_proto import metapb_pb2 as metapb
from rutile_proto import pdpb_pb2 as pdpb
from rutile_proto.keys import record_key, storage_key

MIB = 1 << 20
TICK_MS = 500
REPLICAS = 3
STORE_BYTES = 1 << 42
SAMPLE = 20_000
"""Heartbeats measured at each size."""


@dataclass
class Spent:
    """How often something was done, and the seconds it took in all."""

    times: int = 0
    seconds: float = 0.0

    def add(self, seconds: float, times: int = 1) -> None:
        self.times += times
        self.seconds += seconds

    @property
    def microseconds(self) -> float:
        return 1e6 * self.seconds / self.times if self.times else 0.0


@dataclass
class Outcome:
    """What a run has shown."""

    before: "Balance"
    after: "Balance"
    minutes: float
    operators: int
    decisions: Spent = field(default_factory=Spent)
    ticks: Spent = field(default_factory=Spent)


@dataclass(frozen=True)
class Balance:
    """Least and most loaded store, and the standard deviation as a share of the mean."""

    leaders: tuple[int, int, float]
    peers: tuple[int, int, float]

    def __str__(self) -> str:
        shown = (
            f"{name} {low:,}..{high:,} (deviation {spread:.1%})"
            for name, (low, high, spread) in (("leaders", self.leaders), ("peers", self.peers))
        )
        return ", ".join(shown)


class NoDisk(PdStorage):
    """Regions are kept nowhere: what is measured is deciding."""

    def save_region(self, region: pdpb.Region, replaced: Sequence[int] = ()) -> None:
        """Nothing is written."""


class World:
    """Toy stores around a real `Cluster`. The regions as PD knows them are the truth."""

    def __init__(self, stores: int, seed: int = 1) -> None:
        self.random = random.Random(seed)
        self.now_ms = 0
        self.stores = stores
        self.filled = max(REPLICAS, stores - stores // 10)
        self.pd = Cluster(seed, NoDisk(MemoryEngine()), PdConfig(cluster_id=seed), 0)
        self.decisions, self.ticks = Spent(), Spent()
        self._found()

    def _found(self) -> None:
        first = metapb.Peer(id=1, store_id=1)
        whole = metapb.Region(id=1, region_epoch=metapb.RegionEpoch(conf_ver=1, version=1), peers=[first])
        self.pd.bootstrap(metapb.Store(id=1, address="s1"), whole, 0)
        for store_id in range(2, self.stores + 1):
            self.pd.put_store(metapb.Store(id=store_id, address=f"s{store_id}"), 0)
        self.stores_report()

    def grow_to(self, regions: int) -> None:
        """More regions, as heartbeats tell of them."""
        known = len(self.pd.regions)
        at = known if known > 1 else 0
        for number in range(at, regions):
            self.pd.learn(_region(number, self._three_stores()), self.now_ms)

    def _three_stores(self) -> list[int]:
        return self.random.sample(range(1, self.filled + 1), REPLICAS)

    # --- what stores do -------------------------------------------------------------------------------------------

    def stores_report(self) -> None:
        for store_id in range(1, self.stores + 1):
            stats = pdpb.StoreStats(store_id=store_id, capacity=STORE_BYTES, available=STORE_BYTES // 2)
            self.pd.store_heartbeat(stats, self.now_ms, self.now_ms)

    def report(self, info: RegionInfo) -> pdpb.RegionHeartbeatResponse | None:
        """One region's leader reports; what it is to do."""
        return self.pd.region_heartbeat(message_of(info), self.now_ms)

    def obey(self, order: pdpb.RegionHeartbeatResponse | None) -> None:
        """Do what is ordered, report, and do what is ordered then, until nothing is."""
        while order is not None:
            info = self.pd.regions.by_id(order.region_id)
            assert info is not None, "an order for a region that there is not"
            order = self.report(changed(info, order))

    # --- time -----------------------------------------------------------------------------------------------------

    def tick(self) -> None:
        """Half a second passes."""
        self.now_ms += TICK_MS
        if self.now_ms % 5_000 == 0:
            self.stores_report()
        while (end := self.pd.ids.end_to_save(1000)) is not None:
            self.pd.ids.end_saved(end)
        made = self._made()
        begun = time.process_time()
        orders = self.pd.tick(self.now_ms)
        spent = time.process_time() - begun
        self.ticks.add(spent)
        self.decisions.add(spent, self._made() - made)
        for order in orders:
            self.obey(order)

    def _made(self) -> int:
        return self.pd.operators.begun

    def some_reports(self, number: int) -> Iterator[RegionInfo]:
        """Regions drawn from the leaders of random stores."""
        for _ in range(number):
            led = self.pd.regions.figures(self.random.randint(1, self.filled)).leaders
            if len(led):
                info = self.pd.regions.by_id(led[self.random.randrange(len(led))])
                if info is not None:
                    yield info

    def balance(self) -> Balance:
        tree, ids = self.pd.regions, range(1, self.stores + 1)
        return Balance(
            _spread([tree.leader_count(store_id) for store_id in ids]),
            _spread([tree.peer_count(store_id) for store_id in ids]),
        )


def _region(number: int, stores: list[int]) -> RegionInfo:
    """Region `number + 1` of three on these stores, led by the first, from 8 to 95 MiB large."""
    start = storage_key(record_key(number // 1000, b"%08d" % (number % 1000))) if number else b""
    end = storage_key(record_key((number + 1) // 1000, b"%08d" % ((number + 1) % 1000)))
    peers = [metapb.Peer(id=10**8 + number * REPLICAS + place, store_id=s) for place, s in enumerate(stores)]
    epoch = metapb.RegionEpoch(conf_ver=1, version=2 + number)
    region = metapb.Region(id=number + 1, start_key=start, end_key=end, region_epoch=epoch, peers=peers)
    info = RegionInfo.of(region, peers[0], term=6)
    info.approximate_size_bytes = (8 + number * 7919 % 88) * MIB
    info.approximate_keys = info.approximate_size_bytes // 100
    return info


def changed(info: RegionInfo, order: pdpb.RegionHeartbeatResponse) -> RegionInfo:
    """The region after its stores have done what is ordered; learners catch up at once, joint states are left."""
    meta = info.meta
    leader_id = info.leader.id if info.leader is not None else 0
    if order.HasField("transfer_leader"):
        leader_id = order.transfer_leader.peer.id
    changes = [order.change_peer] if order.HasField("change_peer") else list(order.change_peer_v2.changes)
    for change in changes:
        _change_member(meta, change)
        meta.region_epoch.conf_ver += 2 if len(changes) > 1 else 1
    leader = next(peer for peer in meta.peers if peer.id == leader_id)
    after = RegionInfo.of(meta, leader, info.term)
    after.approximate_size_bytes, after.approximate_keys = info.approximate_size_bytes, info.approximate_keys
    return after


def message_of(info: RegionInfo) -> pdpb.RegionHeartbeatRequest:
    """What a leader says of a region that is well."""
    return pdpb.RegionHeartbeatRequest(
        region=info.meta,
        leader=info.leader_pb(),
        term=info.term,
        approximate_size=info.approximate_size_bytes,
        approximate_keys=info.approximate_keys,
    )


def _change_member(meta: metapb.Region, change: pdpb.ChangePeer) -> None:
    peer = next((each for each in meta.peers if each.id == change.peer.id), None)
    match change.change_type:
        case eraftpb.AddLearnerNode if peer is None:
            meta.peers.append(change.peer)
        case eraftpb.RemoveNode if peer is not None:
            meta.peers.remove(peer)
        case kind if peer is not None:
            peer.role = metapb.Voter if kind == eraftpb.AddNode else metapb.Learner


def _spread(counts: list[int]) -> tuple[int, int, float]:
    mean = statistics.fmean(counts)
    return min(counts), max(counts), statistics.pstdev(counts) / mean if mean else 0.0


# --- the run ----------------------------------------------------------------------------------------------------------


def measure(world: World, sample: int) -> str:
    """A line of what heartbeats and ticks cost at this size."""
    world.ticks, world.decisions, beats = Spent(), Spent(), Spent()
    messages = [message_of(info) for info in world.some_reports(sample)]
    begun = time.process_time()
    for message in messages:
        world.pd.region_heartbeat(message, world.now_ms)
    beats.add(time.process_time() - begun, len(messages))
    for _ in range(20):
        world.tick()
    return (
        f"{len(world.pd.regions):>9,} regions: heartbeat {beats.microseconds:6.1f} us"
        f" ({1e6 / max(beats.microseconds, 1e-9):>8,.0f}/s), tick {world.ticks.microseconds / 1000:6.1f} ms,"
        f" decision {world.decisions.microseconds:6.0f} us ({world.decisions.times} made)"
    )


def balanced(world: World, minutes: float) -> Outcome:
    """Let simulated minutes pass; ends early when nothing has been done for one."""
    world.ticks, world.decisions = Spent(), Spent()
    before, started_ms, made = world.balance(), world.now_ms, world.pd.operators.begun
    last_made, last_ms = made, world.now_ms
    while world.now_ms - started_ms < minutes * 60_000:
        world.tick()
        if world.pd.operators.begun > last_made:
            last_made, last_ms = world.pd.operators.begun, world.now_ms
        elif world.now_ms - last_ms > 60_000:
            break
    passed = (last_ms - started_ms) / 60_000
    outcome = Outcome(before, world.balance(), passed, world.pd.operators.begun - made)
    outcome.decisions, outcome.ticks = world.decisions, world.ticks
    return outcome


def run(stores: int, regions: int, minutes: float) -> Outcome:
    """The whole programme, printed as it goes."""
    world = World(stores)
    size = 1_000
    while size < regions:
        world.grow_to(size)
        print(measure(world, min(SAMPLE, size)), flush=True)
        size *= 10
    used = peak_mib()
    begun = time.process_time()
    known = len(world.pd.regions)
    world.grow_to(regions)
    loaded_s = time.process_time() - begun
    gc.collect()
    print(measure(world, min(SAMPLE, regions)), flush=True)
    print(
        f"learned of {regions - known:,} regions in {loaded_s:.1f} s; memory {peak_mib():,.0f} MiB"
        f" ({(peak_mib() - used) * MIB / max(1, regions - known):,.0f} bytes a region)"
    )
    outcome = balanced(world, minutes)
    print(f"before: {outcome.before}")
    print(f"after {outcome.minutes:.1f} simulated minutes and {outcome.operators:,} operators: {outcome.after}")
    print(
        f"{1e6 / max(outcome.decisions.microseconds, 1e-9):,.0f} decisions/s, tick"
        f" {outcome.ticks.microseconds / 1000:.1f} ms, peak memory {peak_mib():,.0f} MiB"
    )
    return outcome


def peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stores", type=int, default=1_000)
    parser.add_argument("--regions", type=int, default=1_000_000)
    parser.add_argument("--minutes", type=float, default=30, help="simulated, at most")
    options = parser.parse_args()
    run(options.stores, options.regions, options.minutes)


if __name__ == "__main__":
    main()
