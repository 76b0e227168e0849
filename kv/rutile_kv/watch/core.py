"""All watchers of a store, by region: an ApplyObserver of the raftstore."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from rutile_kv.engine.api import Modify
from rutile_kv.watch.locks import Loading, LockTable
from rutile_kv.watch.watcher import Progress, RawWatcher, TransactionalWatcher, Watcher
from rutile_proto import metapb_pb2 as metapb
from rutile_proto.errors import EpochNotMatch, NotLeader, RegionNotFound, RutileError


class RegionMerged(RutileError):
    """A raw watcher has been told all there was of its region, which is a part of `target` from that one's log entry
    `index` on: there it goes on. Never leaves the store as an error."""

    def __init__(self, target: metapb.Region, index: int) -> None:
        super().__init__(f"the region is a part of region {target.id} now")
        self.target = target
        self.index = index


@dataclass(slots=True)
class Feed:
    """One region that is watched. `locks` is followed only for transactional watchers, but costs next to nothing."""

    locks: LockTable = field(default_factory=LockTable)
    watchers: list[Watcher] = field(default_factory=list)

    def wants_locks(self) -> bool:
        """Whether a transactional watcher waits for locks to be loaded."""
        transactional = any(isinstance(watcher, TransactionalWatcher) for watcher in self.watchers)
        return transactional and self.locks.loading is Loading.NOTHING


class WatchCore:
    """Give it to `Store.observe`. Nothing in here reads the engine, knows time, or waits."""

    def __init__(self) -> None:
        self._feeds: dict[int, Feed] = {}
        self._split: EpochNotMatch | None = None
        """What the watchers of the region that split last were told; the new regions are added as they come."""

    def __len__(self) -> int:
        """How many watchers there are."""
        return sum(len(feed.watchers) for feed in self._feeds.values())

    def region_ids(self) -> list[int]:
        """The regions that are watched."""
        return list(self._feeds)

    def feed(self, region_id: int) -> Feed | None:
        return self._feeds.get(region_id)

    # --- watchers -----------------------------------------------------------------------------------------------------

    def add(self, region_id: int, watcher: Watcher) -> None:
        """From now on `watcher` hears of what is applied to the region."""
        self._feeds.setdefault(region_id, Feed()).watchers.append(watcher)

    def remove(self, region_id: int, watcher: Watcher) -> None:
        """The watcher is not interested any more. Harmless when it was ended."""
        feed = self._feeds.get(region_id)
        if feed is None or watcher not in feed.watchers:
            return
        feed.watchers.remove(watcher)
        if not feed.watchers:
            del self._feeds[region_id]

    def end(self, region_id: int, error: RutileError) -> None:
        """End all watchers of a region."""
        feed = self._feeds.pop(region_id, None)
        for watcher in [] if feed is None else feed.watchers:
            watcher.finish(error)

    def end_all(self, error: RutileError) -> None:
        """The store stops."""
        for region_id in self.region_ids():
            self.end(region_id, error)

    def advance(self, region: metapb.Region, index: int, ts: int) -> None:
        """Tell the region's watchers how far they are.

        The caller vouches for this: the store has led the region until this moment, up to log entry `index`; and no
        transaction that has no lock here yet will commit at or below `ts`.
        """
        feed = self._feeds.get(region.id)
        if feed is None:
            return
        resolved_ts, held_by = self._resolved(feed, ts)
        for watcher in feed.watchers:
            watcher.progressed(Progress(region, index, resolved_ts, held_by))

    def _resolved(self, feed: Feed, ts: int) -> tuple[int, bytes | None]:
        """The newest timestamp at or below which nothing more can come (0 while the locks are not known), and who keeps
        it there. A transaction commits above its start_ts."""
        if feed.locks.loading is not Loading.DONE:
            return 0, None
        oldest = feed.locks.oldest()
        if oldest is None or oldest[0] >= ts:
            return ts, None
        return oldest

    # --- rutile_kv.raftstore.observer.ApplyObserver -------------------------------------------------------------------

    def on_applied(self, region: metapb.Region, index: int, modifies: Sequence[Modify]) -> None:
        feed = self._feeds.get(region.id)
        if feed is not None:
            feed.locks.apply(modifies)
            for watcher in feed.watchers:
                watcher.applied(region, index, modifies)

    def on_region_changed(self, region: metapb.Region, came_from: metapb.Region | None) -> None:
        """New members change nothing for watchers, nor does preparing to merge. Another range ends them; after a split
        the first to be told is the old id, then come the new regions."""
        if came_from is None or _same_range(came_from, region):
            return
        if region.id == came_from.id:
            self._split = EpochNotMatch(region.id, [region])
            self.end(region.id, self._split)
        elif self._split is not None and self._split.region_id == came_from.id:
            self._split.current_regions.append(region)

    def on_snapshot_installed(self, region: metapb.Region, index: int) -> None:
        """Entries were skipped. It also means that another store leads."""
        self.end(region.id, NotLeader(region.id))

    def on_region_merged(self, source: metapb.Region, target: metapb.Region, index: int) -> None:
        """Everything the source ever applied has passed by: raw watchers go on behind the entry that took it over."""
        feed = self._feeds.pop(source.id, None)
        for watcher in [] if feed is None else feed.watchers:
            raw = isinstance(watcher, RawWatcher)
            watcher.finish(RegionMerged(target, index) if raw else EpochNotMatch(source.id, [target]))

    def on_log_cut(self, region: metapb.Region, index: int) -> None:
        """Watchers were told of everything before."""

    def on_region_destroyed(self, region: metapb.Region) -> None:
        self.end(region.id, RegionNotFound(region.id))


def _same_range(one: metapb.Region, other: metapb.Region) -> bool:
    return (one.id, one.start_key, one.end_key) == (other.id, other.start_key, other.end_key)
