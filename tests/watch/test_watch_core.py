"""The core against the twin: whatever happens, a reader gets every commit once, in commit order for each key."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from watch_twin import STORES, Commit, Reader, World

from rutile_kv.engine.api import CF_LOCK, CF_WRITE, CF_WRITE_FILE
from rutile_kv.engine.rocks_table_files import make_table_file
from rutile_kv.mvcc.records import Write, WriteKind
from rutile_kv.watch.changes import committed
from rutile_kv.watch.core import WatchCore
from rutile_kv.watch.watcher import Progress, TransactionalWatcher
from rutile_proto import metapb_pb2 as metapb
from rutile_proto.errors import EpochNotMatch, NotLeader, RegionNotFound, WatchFellBehind, WatchHistoryGone
from rutile_proto.keys import storage_key, versioned_key

KEYS = st.sampled_from([b"a", b"b", b"c", b"d", b"dd", b"e"])
VALUES = st.sampled_from([None, b"", b"short", b"L" * 300])
WRITES = st.dictionaries(KEYS, VALUES, min_size=1, max_size=3)
WHICH = st.integers(0, 5)
STEP = st.one_of(
    st.tuples(st.just("prewrite"), WRITES),
    st.tuples(st.just("commit"), WHICH, st.booleans()),
    st.tuples(st.just("commit"), WHICH, st.booleans()),
    st.tuples(st.just("decide"), WHICH),
    st.tuples(st.just("one_phase"), WRITES),
    st.tuples(st.just("rollback"), WHICH),
    st.tuples(st.just("flag"), WHICH),
    st.tuples(st.just("split"), KEYS),
    st.tuples(st.just("transfer"), WHICH, st.sampled_from(STORES)),
    st.tuples(st.just("restart"), st.sampled_from(STORES)),
    st.tuples(st.just("advance")),
    st.tuples(st.just("pull"), WHICH),
    st.tuples(st.just("pull"), WHICH),
    st.tuples(st.just("connect")),
    st.tuples(st.just("drop"), WHICH),
)


def take_step(world: World, reader: Reader, step: tuple) -> None:
    match step:
        case ("prewrite", writes):
            world.prewrite(writes, world.now())
        case ("commit", which, overlapped) if world.open:
            world.commit(world.open[which % len(world.open)], overlapped)
        case ("decide", which) if world.open:
            world.decide(world.open[which % len(world.open)])
        case ("one_phase", writes):
            world.one_phase(writes)
        case ("rollback", which) if world.open:
            world.rollback(world.open[which % len(world.open)])
        case ("flag", which) if world.commits:
            world.flag_rollback(world.commits[-1 - which % len(world.commits)])
        case ("split", key):
            world.split(key)
        case ("transfer", which, store):
            world.leaders[world.regions[which % len(world.regions)].id] = store
            reader.check_streams()
        case ("restart", store):
            world.restart(store)
            reader.check_streams()
        case ("advance",):
            world.advance()
        case ("pull", which):
            reader.pull(which)
        case ("connect",):
            reader.connect()
        case ("drop", which) if reader.branches:
            reader.break_off(reader.branches[which % len(reader.branches)])


def drain(world: World, reader: Reader) -> None:
    """Let everything come through: the reader is told that it has all."""
    for txn in list(world.open):
        if txn.commit_ts:
            world.commit(txn, False)
        else:
            world.rollback(txn)
    for _ in range(200):
        reader.connect()
        world.advance()
        for which in range(len(reader.branches)):
            reader.pull(which)
        if reader.told and reader.told[-1][0] > max([0, *(commit_ts for _, commit_ts, _ in world.commits)]):
            return
    raise AssertionError("the reader never caught up")


def by_key(commits: list[Commit]) -> dict[bytes, list[Commit]]:
    found: dict[bytes, list[Commit]] = {}
    for commit in commits:
        found.setdefault(commit[0], []).append(commit)
    return found


@settings(max_examples=250, deadline=None)
@given(st.lists(STEP, max_size=60), st.sampled_from([300, 900, 1 << 20]))
def test_every_commit_once_in_order(steps: list[tuple], queue_bytes: int) -> None:
    world = World()
    world.one_phase({b"a": b"before the watch"})
    world.prewrite({b"b": b"decided before the watch, committed whenever"}, world.now())
    world.decide(world.open[0])
    reader = Reader(world, queue_bytes)
    for step in steps:
        take_step(world, reader, step)
    drain(world, reader)
    assert by_key(reader.received) == by_key([each for each in world.commits if each[1] > reader.from_ts])
    for resolved_ts, count in reader.told:
        late = [commit for commit in reader.received[count:] if commit[1] <= resolved_ts]
        assert late == [], f"told that everything up to {resolved_ts} was there"


# --- single rules -----------------------------------------------------------------------------------------------------

REGION = metapb.Region(id=1, region_epoch=metapb.RegionEpoch(conf_ver=1, version=1))


def record(key: bytes, commit_ts: int, flagged: bool = False) -> tuple:
    write = Write(WriteKind.PUT, commit_ts - 1, b"v", flagged)
    return (CF_WRITE, versioned_key(storage_key(key), commit_ts), write.to_bytes())


def watching(queue_bytes: int = 1 << 20) -> tuple[WatchCore, TransactionalWatcher]:
    core, watcher = WatchCore(), TransactionalWatcher(b"", None, 1, lambda: None, queue_bytes)
    core.add(1, watcher)
    return core, watcher


def test_a_flag_on_an_old_record_is_no_commit() -> None:
    own = (CF_LOCK, storage_key(b"a"), None)
    assert [each.commit_ts for each in committed([record(b"a", 5, flagged=True), own], b"", None)] == [5]
    assert list(committed([own, record(b"a", 5, flagged=True)], b"", None)) == []
    other = (CF_LOCK, storage_key(b"b"), None)
    assert list(committed([record(b"a", 5, flagged=True), other], b"", None)) == []


def test_a_slow_reader_gets_what_waits_and_then_the_error() -> None:
    core, watcher = watching(queue_bytes=500)
    core.feed(1).locks.begin()
    core.feed(1).locks.finish()
    core.on_applied(REGION, 6, [record(b"a", 5)])
    core.advance(REGION, 6, 7)
    for index in range(7, 20):
        core.on_applied(REGION, index, [record(b"a", index + 2)])
    pages = list(iter(watcher.take, None))
    assert [entry.index for page in pages for entry in page.entries] == [6, 7]
    assert isinstance(watcher.ended, WatchFellBehind) and watcher.ended.resume_ts == watcher.resolved_ts == 7


def test_one_entry_may_be_larger_than_the_bound() -> None:
    core, watcher = watching(queue_bytes=500)
    core.on_applied(REGION, 6, [record(b"%d" % number, 5) for number in range(100)])
    assert watcher.ended is None and len(watcher.take().entries[0].changes) == 100


def test_progress_that_waits_is_replaced() -> None:
    core, watcher = watching()
    core.feed(1).locks.begin()
    core.feed(1).locks.finish()
    for ts in range(10, 1000):
        core.advance(REGION, 6, ts)
    assert watcher.take().progress == Progress(REGION, 6, 999)
    assert watcher.take() is None


def test_what_ends_watchers() -> None:
    split = metapb.Region(id=1, start_key=b"m", region_epoch=metapb.RegionEpoch(conf_ver=1, version=2))
    child = metapb.Region(id=2, end_key=b"m", region_epoch=metapb.RegionEpoch(conf_ver=1, version=2))
    members = metapb.Region(id=1, region_epoch=metapb.RegionEpoch(conf_ver=2, version=1))
    core, watcher = watching()
    core.on_region_changed(members, REGION)
    assert watcher.ended is None
    core.on_region_changed(split, REGION)
    core.on_region_changed(child, REGION)
    assert isinstance(watcher.ended, EpochNotMatch) and watcher.ended.current_regions == [split, child]
    for act, error in (("on_snapshot_installed", NotLeader), ("on_region_destroyed", RegionNotFound)):
        core, watcher = watching()
        getattr(core, act)(REGION, *([9] if error is NotLeader else []))
        assert isinstance(watcher.ended, error) and len(core) == 0


def test_table_files_end_those_who_watch_their_keys() -> None:
    table = make_table_file([versioned_key(storage_key(key), 5) for key in (b"c", b"e")], [b"P"] * 2)
    core = WatchCore()
    ranges = ((b"a", b"c"), (b"a", b"d"), (b"d", b"f"), (b"f", None))
    watchers = [TransactionalWatcher(storage_key(start), end and storage_key(end), 9, lambda: None, 1 << 20)
                for start, end in ranges]  # fmt: skip
    for watcher in watchers:
        core.add(1, watcher)
    core.on_applied(REGION, 6, [(CF_WRITE_FILE, table.first_key, table.to_bytes())])
    assert [type(watcher.ended) for watcher in watchers] == [type(None), WatchHistoryGone, WatchHistoryGone, type(None)]
    assert "current state first" in str(watchers[1].ended)
