"""A cluster reduced to what watchers see of it, and the dumb twin: a list of commits.

One engine stands for all replicas; each store has a watch core and hears of every entry. A reader follows the range the
way the client does: parts with a resolved timestamp, taken up again wherever the region is then.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from rutile_kv.client.watch import _Part
from rutile_kv.engine.api import CF_DEFAULT, CF_LOCK, CF_WRITE, Modify
from rutile_kv.engine.memory import MemoryEngine
from rutile_kv.mvcc.records import Lock, LockKind, Write, WriteKind
from rutile_kv.watch.backlog import versions_above
from rutile_kv.watch.changes import Version
from rutile_kv.watch.core import WatchCore
from rutile_kv.watch.watcher import TransactionalWatcher
from rutile_proto import metapb_pb2 as metapb
from rutile_proto import rutilepb_pb2 as rutilepb
from rutile_proto.errors import WatchFellBehind
from rutile_proto.keys import storage_bound, storage_key, user_bound, user_key, versioned_key

STORES = (0, 1, 2)
Commit = tuple[bytes, int, bytes | None]
"""(key, commit_ts, value or None)."""


@dataclass
class Txn:
    start_ts: int
    writes: dict[bytes, bytes | None]
    """None deletes."""
    commit_ts: int = 0
    """Above 0: chosen, though the commit is still on its way."""


class World:
    """Regions, their leaders, locks and commits."""

    def __init__(self) -> None:
        self.engine = MemoryEngine()
        self.cores = {store: WatchCore() for store in STORES}
        self.regions = [metapb.Region(id=1, region_epoch=metapb.RegionEpoch(version=1))]
        self.leaders = {1: 0}
        self.indexes = {1: 5}
        self.clock = 100
        self.open: list[Txn] = []
        self.locked: dict[bytes, Txn] = {}
        self.commits: list[Commit] = []

    def now(self) -> int:
        self.clock += 1
        return self.clock

    def region_of(self, key: bytes) -> metapb.Region:
        place = storage_key(key)
        return next(each for each in reversed(self.regions) if each.start_key <= place)

    def apply(self, by_key: dict[bytes, list[Modify]]) -> None:
        """One log entry in each region concerned."""
        by_region: dict[int, list[Modify]] = {}
        for key in sorted(by_key):
            by_region.setdefault(self.region_of(key).id, []).extend(by_key[key])
        for region in list(self.regions):
            if region.id in by_region:
                self._apply(region, by_region[region.id])

    def _apply(self, region: metapb.Region, modifies: list[Modify]) -> None:
        self.indexes[region.id] += 1
        batch = self.engine.batch()
        for cf, key, value in modifies:
            if value is None:
                batch.delete(cf, key)
            else:
                batch.put(cf, key, value)
        self.engine.write(batch)
        for core in self.cores.values():
            core.on_applied(region, self.indexes[region.id], modifies)

    # --- transactions -------------------------------------------------------------------------------------------------

    def prewrite(self, writes: dict[bytes, bytes | None], start_ts: int) -> bool:
        if any(key in self.locked for key in writes):
            return False
        txn = Txn(start_ts, writes)
        self.apply({key: self._lock(txn, key) for key in writes})
        self.open.append(txn)
        self.locked.update(dict.fromkeys(writes, txn))
        return True

    def _lock(self, txn: Txn, key: bytes) -> list[Modify]:
        value = txn.writes[key]
        kind = LockKind.DELETE if value is None else LockKind.PUT
        is_long = value is not None and len(value) > 255
        lock = Lock(kind, min(txn.writes), txn.start_ts, 3000, None if is_long else value)
        found: list[Modify] = [(CF_LOCK, storage_key(key), lock.to_bytes())]
        if is_long:
            found.append((CF_DEFAULT, versioned_key(storage_key(key), txn.start_ts), value))
        return found

    def decide(self, txn: Txn) -> None:
        """The commit_ts is drawn; much may happen before it is applied."""
        txn.commit_ts = txn.commit_ts or self.now()

    def commit(self, txn: Txn, overlapped: bool) -> None:
        self.decide(txn)
        commit_ts = txn.commit_ts
        self._end(txn)
        self.apply({key: self._record(txn, key, commit_ts, overlapped) for key in txn.writes})
        self.commits += [(key, commit_ts, txn.writes[key]) for key in sorted(txn.writes)]

    def one_phase(self, writes: dict[bytes, bytes | None]) -> None:
        """No lock is ever written."""
        if any(key in self.locked for key in writes):
            return
        txn = Txn(self.now(), {key: value and value[:255] for key, value in writes.items()})
        commit_ts = self.now()
        self.apply({key: self._record(txn, key, commit_ts, False)[:1] for key in txn.writes})
        self.commits += [(key, commit_ts, txn.writes[key]) for key in sorted(txn.writes)]

    def _record(self, txn: Txn, key: bytes, commit_ts: int, overlapped: bool) -> list[Modify]:
        value = txn.writes[key]
        short = value if value is not None and len(value) <= 255 else None
        write = Write(WriteKind.DELETE if value is None else WriteKind.PUT, txn.start_ts, short, overlapped)
        place = storage_key(key)
        return [(CF_WRITE, versioned_key(place, commit_ts), write.to_bytes()), (CF_LOCK, place, None)]

    def rollback(self, txn: Txn) -> None:
        self._end(txn)
        record = Write.rollback(txn.start_ts, protected=True).to_bytes()
        self.apply(
            {
                key: [
                    (CF_LOCK, storage_key(key), None),
                    (CF_WRITE, versioned_key(storage_key(key), txn.start_ts), record),
                ]
                for key in txn.writes
            }
        )

    def flag_rollback(self, commit: Commit) -> None:
        """A rollback is noted on a record that stands already."""
        key, commit_ts, _ = commit
        place = versioned_key(storage_key(key), commit_ts)
        data = self.engine.get(CF_WRITE, place)
        assert data is not None
        write = Write.from_bytes(data)
        flagged = Write(write.kind, write.start_ts, write.short_value, True)
        self.apply({key: [(CF_LOCK, b"somebody else's", None), (CF_WRITE, place, flagged.to_bytes())]})

    def _end(self, txn: Txn) -> None:
        self.open.remove(txn)
        for key in txn.writes:
            del self.locked[key]

    # --- what happens to regions --------------------------------------------------------------------------------------

    def split(self, key: bytes) -> None:
        before = self.region_of(key)
        place = storage_key(key)
        if place == before.start_key:
            return
        child, rest = metapb.Region(), metapb.Region()
        for new in (child, rest):
            new.CopyFrom(before)
            new.region_epoch.version += 1
        child.id = max(self.indexes) + 1
        child.end_key = rest.start_key = place
        at = self.regions.index(before)
        self.regions[at : at + 1] = [child, rest]
        self.indexes[child.id] = 5
        self.leaders[child.id] = self.leaders[rest.id]
        for core in self.cores.values():
            core.on_region_changed(rest, before)
            core.on_region_changed(child, before)

    def restart(self, store: int) -> None:
        """The store forgets its watchers; its regions are led elsewhere."""
        self.cores[store] = WatchCore()
        for region_id, leader in self.leaders.items():
            if leader == store:
                self.leaders[region_id] = (store + 1) % len(STORES)

    def advance(self) -> None:
        """What `server.watches` does each second, on every leader."""
        ts = self.now()
        for region in self.regions:
            core = self.cores[self.leaders[region.id]]
            feed = core.feed(region.id)
            if feed is not None and feed.wants_locks():
                feed.locks.begin()
                feed.locks.found(self.engine.scan(CF_LOCK, region.start_key, region.end_key or None))
                feed.locks.finish()
            core.advance(region, self.indexes[region.id], ts)


@dataclass(eq=False)
class Branch:
    part: _Part
    region: metapb.Region
    core: WatchCore
    watcher: TransactionalWatcher
    backlog: list[Version]


@dataclass
class Reader:
    """The client's side, taking one page at a time."""

    world: World
    queue_bytes: int
    received: list[Commit] = field(default_factory=list)
    told: list[tuple[int, int]] = field(default_factory=list)
    """(resolved_ts of the whole range, how much was received before)."""
    branches: list[Branch] = field(default_factory=list)
    broken: list[_Part] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.from_ts = self.world.clock
        self.broken.append(_Part(b"", b"", self.from_ts, self.from_ts))

    def connect(self) -> None:
        """Take up what is broken: cut by the regions of now."""
        parts, self.broken = self.broken, []
        for part in parts:
            for region in self.world.regions:
                self._register(part, region)

    def _register(self, whole: _Part, region: metapb.Region) -> None:
        low, high = max(whole.start, user_bound(region.start_key)), user_bound(region.end_key)
        high = min(whole.end, high) if whole.end and high else whole.end or high
        if high and low >= high:
            return
        newest = {key: ts for key, ts in whole.newest.items() if low <= key and (not high or key < high)}
        part = _Part(low, high, whole.resolved_ts, whole.delivered_ts, newest)
        core = self.world.cores[self.world.leaders[region.id]]
        start, end = storage_bound(low), storage_bound(high) or None
        watcher = TransactionalWatcher(start, end, part.resolved_ts, lambda: None, self.queue_bytes)
        core.add(region.id, watcher)
        found = versions_above(self.world.engine, start, end, part.resolved_ts)
        backlog: list[Version] = []
        while not found.done:
            backlog += found.step(3)
        self.branches.append(Branch(part, region, core, watcher, backlog))

    def pull(self, which: int) -> None:
        """One page of one stream; a stream that cannot go on is broken off."""
        if not self.branches:
            return self.connect()
        branch = self.branches[which % len(self.branches)]
        if branch.backlog:
            versions, branch.backlog = branch.backlog, []
            return self._receive(branch, versions)
        page = branch.watcher.take()
        if page is not None:
            self._receive(branch, [each for entry in page.entries for each in entry.changes])
            if page.progress is not None:
                branch.part.resolved(branch.watcher.resolved_ts)
                self._tell()
        elif branch.watcher.ended is not None:
            if isinstance(branch.watcher.ended, WatchFellBehind):
                assert branch.watcher.ended.resume_ts == branch.part.resolved_ts
            self.break_off(branch)

    def break_off(self, branch: Branch) -> None:
        branch.core.remove(branch.region.id, branch.watcher)
        self.branches.remove(branch)
        self.broken.append(branch.part)

    def check_streams(self) -> None:
        """Streams of leaders that are gone or deposed break."""
        for branch in list(self.branches):
            if self.world.cores[self.world.leaders[branch.region.id]] is not branch.core:
                self.break_off(branch)

    def _receive(self, branch: Branch, versions: list[Version]) -> None:
        for version in versions:
            change = rutilepb.WatchChange(key=user_key(version.storage_key), commit_ts=version.commit_ts)
            if branch.part.is_news(change):
                self.received.append((change.key, version.commit_ts, self._value(version)))

    def _value(self, version: Version) -> bytes | None:
        if version.deleted or version.value is not None:
            return version.value
        value = self.world.engine.get(CF_DEFAULT, versioned_key(version.storage_key, version.start_ts))
        assert value is not None
        return value

    def _tell(self) -> None:
        parts = [branch.part for branch in self.branches] + self.broken
        self.told.append((min(part.resolved_ts for part in parts), len(self.received)))
