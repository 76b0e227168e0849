"""The mirror answers as the row path does, whatever was written and whichever columns, ranges and times are read."""

import asyncio
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow.compute as pc
import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st
from mirror_world import (
    ALL_COLUMNS,
    BIGGER,
    WHOLE,
    MirrorWorld,
    Row,
    View,
    encode,
    read_view,
    requests_of,
    row_key,
    rows_of,
)

from rutile_coprocessor.pruning import Bounds
from rutile_coprocessor.scan_source import ScanSource
from rutile_coprocessor.schema import HIDDEN_HANDLE, TableSchema
from rutile_kv.columnar import building, live, live_tables, overlay, pending
from rutile_kv.columnar.cache import ArrowCache
from rutile_kv.columnar.files import MirrorFiles
from rutile_kv.columnar.keys import BaseKey
from rutile_kv.columnar.mirror import MirrorReader, TableRead
from rutile_kv.mvcc import bulk
from rutile_kv.mvcc.bulk import first_lock
from rutile_kv.server import keeping_up
from rutile_kv.server.keeping_up import KeepingUp
from rutile_kv.server.warm_relations import WarmRelations
from rutile_kv.txn.commands import BatchRollback, CollectGarbage, Commit, Prewrite
from rutile_kv.txn.model import Mutation, Op
from rutile_proto.keys import storage_key

HANDLES = st.integers(-3, 6)
ROWS = st.none() | st.tuples(st.none() | st.sampled_from(["cat", "", "long " * 80]), st.none() | st.integers(0, 99))
COLUMNS = st.sampled_from([ALL_COLUMNS, ("legs",), ("name", "legs"), ("legs", "name")])
WRITES = st.dictionaries(HANDLES, ROWS, min_size=1, max_size=4)
SLOT = st.integers(0, 3)
AGES = st.integers(-2, 5) | st.integers(-4, 30)
"""How far before now: a read's timestamp, a transaction's start."""


@st.composite
def ranges(draw: st.DrawFn) -> tuple[tuple[bytes, bytes], ...]:
    if draw(st.booleans()):
        return WHOLE
    cuts = sorted(draw(st.lists(HANDLES, min_size=2, max_size=4, unique=True)))
    return tuple((row_key(low), row_key(high)) for low, high in zip(cuts[::2], cuts[1::2], strict=False))


NOW, WRITER = st.none(), -1
NEWEST_READS = st.tuples(COLUMNS, st.just(WHOLE), st.integers(-4, 0))
READS = st.tuples(COLUMNS, ranges(), AGES)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("bulk"), WRITES),
        st.tuples(st.just("load"), WRITES),
        st.tuples(st.just("write"), WRITES, AGES),
        st.tuples(st.just("write"), WRITES, st.just(0)),
        st.tuples(st.just("prewrite"), SLOT, WRITES, AGES),
        st.tuples(st.just("commit"), SLOT),
        st.tuples(st.just("rollback"), SLOT, HANDLES, AGES),
        st.tuples(st.just("garbage"), AGES),
        st.tuples(st.just("split"), st.lists(HANDLES, min_size=1, max_size=3, unique=True)),
        st.tuples(st.just("merge"), st.integers(0, 3), st.booleans()),
        st.tuples(st.just("alter")),
        st.tuples(st.just("fold")),
        st.tuples(st.just("fold_one"), SLOT, SLOT),
        st.tuples(st.just("catch_up")),
        st.tuples(st.just("save")),
        st.tuples(st.just("restart"), st.booleans(), st.sampled_from([0, 0, 0, 1, 30])),
        st.tuples(st.just("cut"), st.integers(0, 6)),
        st.tuples(st.just("view"), SLOT),
        st.tuples(st.just("read"), READS, SLOT),
        st.tuples(st.just("read"), READS, NOW),
        st.tuples(st.just("read"), NEWEST_READS, SLOT),
        st.tuples(st.just("read"), NEWEST_READS, NOW),
    ),
    min_size=10,
    max_size=60,
)


@dataclass
class History:
    """Runs steps on a world, and compares every read with its twin."""

    mirror: MirrorReader
    world: MirrorWorld
    directory: Path
    clock: int = 100
    safe_point: int = 0
    open_txns: dict[int, tuple[int, tuple[bytes, ...]]] = field(default_factory=dict)
    views: dict[int, tuple[View, int]] = field(default_factory=dict)
    """With the time each was taken: readers come with timestamps that had been given out by then."""
    begun: set[int] = field(default_factory=set)
    paths: list[str] = field(default_factory=list)
    restored: int = 0
    lived: int = 0
    """Reads of bases with what was committed since beside them."""
    relations: WarmRelations = field(default_factory=lambda: WarmRelations(1 << 20, few_rows=0))

    def __post_init__(self) -> None:
        self.files = MirrorFiles(self.directory, 1 << 30)

    def tick(self) -> int:
        self.clock += 2
        return self.clock

    def bulk(self, rows: dict[int, Row | None]) -> None:
        if not any(row_key(handle) in keys for handle in rows for _, keys in self.open_txns.values()):
            self.world.bulk(self.tick(), rows)

    def load(self, rows: dict[int, Row | None]) -> None:
        """As an import does, which is sure that nobody writes there."""
        if not any(row_key(handle) in keys for handle in rows for _, keys in self.open_txns.values()):
            self.world.load(self.tick(), rows)

    def prewrite(self, slot: int, rows: dict[int, Row | None], age: int) -> None:
        start_ts = max(self.tick() - max(age, 0), self.safe_point + 1)
        if slot in self.open_txns or start_ts in self.begun:
            return
        self.begun.add(start_ts)
        mutations = tuple(mutation(handle, row, self.world.schema) for handle, row in rows.items())
        if self.world.execute(Prewrite(mutations, mutations[0].key, start_ts, 1000)):
            self.open_txns[slot] = start_ts, tuple(mutation.key for mutation in mutations)

    def write(self, rows: dict[int, Row | None], age: int) -> None:
        """A transaction from begin to end."""
        self.prewrite(WRITER, rows, age)
        self.commit(WRITER)

    def commit(self, slot: int) -> None:
        if slot in self.open_txns:
            start_ts, keys = self.open_txns.pop(slot)
            self.world.execute(Commit(start_ts, max(self.tick(), start_ts + 1), keys))

    def rollback(self, slot: int, handle: int, age: int) -> None:
        """Of an open transaction, or of one that never wrote: its start may be the time of another's commit."""
        if slot in self.open_txns:
            self.world.execute(BatchRollback(*self.open_txns.pop(slot)))
        else:
            self.world.execute(BatchRollback(self.clock - max(age, 0), (row_key(handle),)))

    def garbage(self, age: int) -> None:
        oldest = min([self.clock, *(start for start, _ in self.open_txns.values())])
        self.safe_point = max(self.safe_point, min(self.clock - max(age, 0), oldest) - 1)
        keys = tuple(row_key(handle) for handle in range(-3, 7))
        self.world.execute(CollectGarbage(keys, self.safe_point, 100))

    def split(self, handles: list[int]) -> None:
        self.world.split(*handles)

    def merge(self, at: int, into_left: bool) -> None:
        self.world.merge(at, into_left)

    def alter(self) -> None:
        self.world.alter()

    def save(self) -> None:
        self.world.save(self.files)

    def cut(self, kept: int) -> None:
        self.world.cut_logs(kept)

    def restart(self, wakes: bool, torn_bytes: int) -> None:
        """Readers from before it are gone, and so much of the end of each journal."""
        self.views.clear()
        for path in self.directory.glob("*.journal"):
            path.write_bytes(path.read_bytes()[: max(0, path.stat().st_size - torn_bytes)])
        self.restored += self.world.restart(self.directory)
        self.files = self.world.files
        if wakes:
            self.world.wake()

    def fold(self) -> None:
        self.world.fold(self.mirror)

    def fold_one(self, number: int, slot: int) -> None:
        """Of one region, so that the table has a new base among old ones; perhaps as of a moment ago: folds take a
        while."""
        parts = self.views[slot][0].parts if slot in self.views else self.world.view().parts
        part = parts[number % len(parts)]
        layout, version = self.world.schema.layout_version, part.region.region_epoch.version
        key = BaseKey(part.region.id, version, self.world.schema.table_id, layout)
        self.mirror.fold(key, part, lambda size_bytes: None)

    def catch_up(self) -> None:
        """As a store does when enough was written."""
        asyncio.run(KeepingUp(self.world.cache, self.relations.followed, self.world.local_snapshot).catch_up())

    def view(self, slot: int) -> None:
        self.views[slot] = self.world.view(), self.safe_point

    def read(self, what: tuple[tuple[str, ...], tuple[tuple[bytes, bytes], ...], int], slot: int | None) -> None:
        columns, spans, age = what
        view, safe_point = self.views.get(slot, (None, 0)) if slot is not None else (None, 0)
        if view is None:
            view, safe_point = self.world.view(), self.safe_point
        columns = (*columns, "colour") if view.schema is BIGGER else columns
        ts = max(self.clock - age, safe_point)
        if first_lock(view.snapshot, b"", None, ts) is not None:
            return
        twin = read_view(view, MirrorReader(None), ts, columns, spans)
        self.read_warm(view, ts, columns, spans, rows_of(twin))
        read = read_view(view, self.mirror, ts, columns, spans)
        assert rows_of(read) == rows_of(twin)
        self.paths.append(read.path)
        pruned = read_view(view, self.mirror, ts, columns, spans, MANY_LEGS)
        assert with_many_legs(pruned) == with_many_legs(twin)

    def read_warm(
        self,
        view: View,
        ts: int,
        columns: tuple[str, ...],
        spans: tuple[tuple[bytes, bytes], ...],
        expected: list[tuple[object, ...]],
    ) -> None:
        """What is kept for the next reader is what this one sees: read once, narrowed, and kept."""
        parts = requests_of(view, ts, columns, spans)
        for _ in range(3):
            loaded = self.relations.load(self.mirror, parts, view.schema.arrow_schema(columns), lambda size_bytes: None)
            assert in_order(rows_that_count(loaded.source)) == in_order(expected)
            self.lived += loaded.source.live is not None


MANY_LEGS = ((Bounds("legs", 4, 50),),)


def with_many_legs(read: TableRead) -> list[dict[str, object]]:
    found = [row for batch in read.batches for row in batch.to_pylist()]
    return [row for row in found if row["legs"] is not None and 4 <= row["legs"] <= 50]


def rows_that_count(source: ScanSource) -> list[tuple[object, ...]]:
    table = source.table if source.live is None else source.table.filter(pc.field(source.live.column).is_valid())
    return [tuple(row.values()) for row in table.select(source.names).to_pylist()]


def in_order(rows: list[tuple[object, ...]]) -> list[tuple[object, ...]]:
    return sorted(rows, key=repr)


def mutation(handle: int, row: Row | None, schema: TableSchema) -> Mutation:
    if row is None:
        return Mutation(Op.DELETE, row_key(handle))
    return Mutation(Op.PUT, row_key(handle), encode(row, schema))


def run(steps: list[tuple[object, ...]], mirror: MirrorReader, cache: ArrowCache, directory: Path) -> History:
    history = History(mirror, MirrorWorld(cache), directory)
    for verb, *arguments in steps:
        getattr(history, str(verb))(*arguments)
    return history


@settings(max_examples=150, deadline=None, report_multiple_bugs=False)
@given(
    STEPS,
    st.sampled_from([4, 1000]),
    st.booleans(),
    st.booleans(),
    st.sampled_from([1, 3, 1000]),
    st.sampled_from([1, 2, 32]),
)
def test_same_rows_from_both_paths(
    steps: list[tuple[object, ...]], max_log: int, at_once: bool, keeps: bool, tail_rows: int, most_changes: int
) -> None:
    cache = ArrowCache(max_log_entries=max_log)
    with TemporaryDirectory() as directory, pytest.MonkeyPatch.context() as patch:
        patch.setattr(live_tables, "MOST_ADDED", 0)
        patch.setattr(live, "MOST_DEAD", most_changes)
        patch.setattr(keeping_up, "NEWS_ENTRIES", 1)
        patch.setattr(building, "NARROW_ROW_BYTES", 1024 if at_once else 0)
        patch.setattr(overlay, "TAIL_ROWS", tail_rows)
        patch.setattr(pending, "MOST_CHANGES", most_changes)
        history = run(steps, MirrorReader(cache, keeps=keeps), cache, Path(directory))
    for region in history.world.regions:
        cache.drop_region(region.id)
    assert cache.size_bytes == 0, "what was added to the size was taken off again"


FEW_WRITES = st.dictionaries(st.integers(-1, 1), ROWS, min_size=1, max_size=2)
EITHER = st.integers(0, 1)
BUSY_STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("write"), FEW_WRITES, st.just(0)),
        st.tuples(st.just("prewrite"), EITHER, FEW_WRITES, AGES),
        st.tuples(st.just("commit"), EITHER),
        st.tuples(st.just("rollback"), EITHER, st.integers(-1, 1), st.integers(-2, 8)),
        st.tuples(st.just("view"), EITHER),
        st.tuples(st.just("fold_one"), SLOT, EITHER),
        st.tuples(st.just("catch_up")),
        st.tuples(st.just("read"), st.tuples(COLUMNS, st.just(WHOLE), st.integers(-4, 3)), EITHER),
        st.tuples(st.just("read"), NEWEST_READS, EITHER),
        st.tuples(st.just("read"), NEWEST_READS, NOW),
    ),
    min_size=20,
    max_size=50,
)


@settings(max_examples=100, deadline=None, report_multiple_bugs=False)
@given(st.lists(HANDLES, max_size=3, unique=True), BUSY_STEPS, st.sampled_from([1, 4]), st.sampled_from([0, 1000]))
def test_rows_committed_since_stand_beside_bases(
    borders: list[int], steps: list[tuple[object, ...]], max_states: int, most_dead: int
) -> None:
    """Bases are there before anything is written, and stay: readers of all moments share what was decoded."""
    first: list[tuple[object, ...]] = [("bulk", {handle: ("cat", handle) for handle in range(-3, 7)})]
    first += [("split", borders)] if borders else []
    with TemporaryDirectory() as directory, pytest.MonkeyPatch.context() as patch:
        patch.setattr(live_tables, "MOST_ADDED", 0)
        patch.setattr(live, "MAX_STATES", max_states)
        patch.setattr(live, "MOST_DEAD", most_dead)
        patch.setattr(keeping_up, "NEWS_ENTRIES", 1)
        cache = ArrowCache()
        read = ("read", (ALL_COLUMNS, WHOLE, 0), None)
        history = run([*first, read, *steps, read], MirrorReader(cache, keeps=False), cache, Path(directory))
    event(f"reads of live rows: {min(history.lived, 30) // 10 * 10} and more")


BORDER_HISTORIES = {
    "split": [("split", [2])],
    "merge": [("merge", 0, False)],
    "merge to the left": [("merge", 0, True)],
    "split and merge": [("split", [4]), ("merge", 1, True)],
}


@pytest.mark.parametrize("saved_late", [False, True], ids=["", "committed after it was saved"])
@pytest.mark.parametrize("torn", [0, 10_000], ids=["", "journals lost"])
@pytest.mark.parametrize("name", BORDER_HISTORIES)
def test_what_was_committed_before_a_border_moved_is_there_after_a_restart(
    name: str, torn: int, saved_late: bool, tmp_path: Path
) -> None:
    """No log of the region as it is now tells of it."""
    newest = ("read", (("name", "legs"), WHOLE, 0), None)
    steps: list[tuple[object, ...]] = [("split", [2])] if "merge" in name else []
    steps += [("bulk", {1: ("a", 1), 4: ("b", 2)}), newest, ("bulk", {1: ("a", 11), 4: ("b", 22)})]
    steps += [*BORDER_HISTORIES[name], ("save",)]
    steps += [("bulk", {0: ("c", 3)})] if saved_late else []
    cache = ArrowCache()
    history = run([*steps, ("restart", True, torn), newest], MirrorReader(cache, keeps=False), cache, tmp_path)
    untouched = name == "split and merge"
    assert history.restored == untouched if torn else history.restored > untouched


def mirrored() -> tuple[MirrorWorld, MirrorReader]:
    world = MirrorWorld()
    return world, MirrorReader(world.cache)


def test_the_second_scan_decodes_nothing() -> None:
    world, reader = mirrored()
    for handle in range(5):
        world.write(handle, 10 + handle, (f"cat {handle}", 4))
    first, second = world.read(reader, 20), world.read(reader, 30)
    assert (first.path, first.rows_decoded) == ("rows", 5)
    assert (second.path, second.rows_decoded) == ("mirror", 0)
    assert rows_of(first) == rows_of(second)


def test_a_write_is_laid_over_the_base_and_then_belongs_to_it() -> None:
    world, reader = mirrored()
    world.bulk(10, dict.fromkeys(range(5), ("cat", 4)))
    world.read(reader, 20)
    world.bulk(30, {1: ("dog", 4), 2: None, 9: ("x" * 900, 1)})
    read = world.read(reader, 40, ("name", "legs", HIDDEN_HANDLE))
    assert (read.path, read.rows_decoded) == ("mirror+delta", 2)
    assert rows_of(read) == [("cat", 4, 0), ("dog", 4, 1), ("cat", 4, 3), ("cat", 4, 4), ("x" * 900, 1, 9)]
    assert world.read(reader, 40).path == "mirror"


def test_a_read_before_the_newest_write_leaves_the_base_as_it_is() -> None:
    world = MirrorWorld()
    reader = MirrorReader(world.cache, keeps=False)
    world.write(1, 10, ("cat", 4))
    world.read(reader, 20)
    world.write(1, 30, ("dog", 4))
    assert rows_of(world.read(reader, 25, ("name",))) == [("cat",)]
    assert [world.read(reader, 40, ("name",)).path for _ in range(2)] == ["mirror+delta", "mirror+delta"]
    assert world.fold(reader) == [True]
    assert world.read(reader, 40, ("name",)).path == "mirror"
    assert (world.read(reader, 25, ("name",)).path, world.read(reader, 5).path) == ("mirror+delta", "rows")
    assert rows_of(world.read(reader, 40, ("name",))) == [("dog",)]


def test_a_read_of_one_column_makes_the_next_base_of_all_where_that_costs_little() -> None:
    world, reader = mirrored()
    world.bulk(10, dict.fromkeys(range(5), ("cat", 4)))
    world.read(reader, 20)
    world.bulk(30, {1: ("dog", 4), 9: ("owl", 2)})
    assert world.read(reader, 40, ("legs",)).path == "mirror+delta"
    read = world.read(reader, 40)
    assert read.path == "mirror"
    assert rows_of(read) == rows_of(world.read(MirrorReader(None), 40))


def test_columns_an_update_does_not_change_are_passed_on_as_they_are() -> None:
    world, reader = mirrored()
    world.bulk(10, {handle: ("cat", handle) for handle in range(50)})
    world.read(reader, 20)
    before = world.read(reader, 20)
    world.bulk(30, {7: ("cat", 99), 40: ("cat", None)})
    after = world.read(reader, 40)
    name, legs, handle = ("name", "legs", HIDDEN_HANDLE)
    same = [before.batches[0][each].buffers()[1].address == after.batches[0][each].buffers()[1].address
            for each in (name, legs, handle)]  # fmt: skip
    assert same == [True, False, True]
    world.bulk(50, {3: ("cat", 5)})
    assert rows_of(world.read(reader, 60)) == rows_of(world.read(MirrorReader(None), 60))


def test_chunks_outside_of_the_bounds_are_left_out(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(bulk, "BLOCK_RECORDS", 10)
    world, reader = mirrored()
    world.bulk(10, {handle: (f"cat {handle}", handle if handle % 7 else None) for handle in range(50)})
    uses = ((Bounds("legs", 12, 18), Bounds("legs", None, 15)), (Bounds("legs", 48, 60),))

    def check(ts: int, pruned: int) -> None:
        read, twin = world.read(reader, ts, uses=uses), world.read(MirrorReader(None), ts)
        assert (read.chunks, read.chunks_pruned) == (5, pruned)
        assert wanted(read) == wanted(twin) != []

    def wanted(read: TableRead) -> list[object]:
        return [row for row in rows_of(read) if row[1] is not None and (12 <= row[1] <= 15 or row[1] >= 48)]

    check(20, 3)
    check(20, 3)
    world.bulk(30, {3: ("dog", 14), 22: ("dog", 1)})
    check(40, 1)
    files = MirrorFiles(tmp_path, 1 << 30)
    world.save(files)
    assert world.restart(tmp_path) == 1
    check(40, 1)


def test_chunks_without_changes_are_passed_on_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk, "BLOCK_RECORDS", 10)
    world, reader = mirrored()
    world.bulk(10, dict.fromkeys(range(30), ("cat", 4)))
    world.read(reader, 20, ("legs",))
    before = world.read(reader, 20, ("legs",))
    world.write(15, 30, ("dog", 5))
    after = world.read(reader, 40, ("legs",))
    assert [batch.num_rows for batch in after.batches] == [10, 10, 10]
    places = [[batch.column(0).buffers()[1].address for batch in read.batches] for read in (before, after)]
    assert [one == other for one, other in zip(*places, strict=True)] == [True, False, True]


def test_a_chunk_that_grows_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(overlay, "CHUNK_ROWS", 4)
    world, reader = mirrored()
    world.write(0, 10, ("cat", 4))
    world.read(reader, 20)
    world.bulk(30, {handle: ("dog", handle) for handle in range(1, 14)})
    read = world.read(reader, 40)
    assert [batch.num_rows for batch in read.batches] == [4, 4, 4, 2]
    assert rows_of(read) == rows_of(world.read(MirrorReader(None), 40))
    world.bulk(50, dict.fromkeys(range(14)))
    assert rows_of(world.read(reader, 60)) == []
    world.write(3, 70, ("cat", 4))
    assert rows_of(world.read(reader, 80)) == [("cat", 4, 3)]


def test_a_new_column_of_a_wide_table_is_decoded_alone_and_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(building, "NARROW_ROW_BYTES", 0)
    world, reader = mirrored()
    world.write(1, 10, ("cat", 4))
    world.read(reader, 20, ("legs",))
    world.write(0, 15, ("dog", 3))
    assert world.read(reader, 20, ("name", "legs")).path == "rows"
    assert rows_of(world.read(reader, 20, ("name", "legs"))) == [("dog", 3), ("cat", 4)]
    assert world.read(reader, 20, ("legs", "name")).path == "mirror"


def test_a_read_in_the_past_of_a_base_uses_the_rows() -> None:
    world, reader = mirrored()
    world.write(1, 10, ("cat", 4))
    world.write(1, 20, None)
    assert rows_of(world.read(reader, 30)) == []
    old = world.read(reader, 15, ("name",))
    assert (old.path, rows_of(old)) == ("rows", [("cat",)])
    assert world.read(reader, 30).path == "mirror"


def test_a_reader_sees_nothing_that_came_after_its_snapshot() -> None:
    world, reader = mirrored()
    world.write(1, 10, ("cat", 4))
    world.read(reader, 20)
    view = world.view()
    world.write(1, 30, ("dog", 4))
    world.read(reader, 40)
    late = read_view(view, reader, 40, ("name",), WHOLE)
    assert (late.path, rows_of(late)) == ("mirror", [("cat",)])


def test_an_old_record_written_again_with_a_rollback_is_no_news() -> None:
    world, reader = mirrored()
    world.write(1, 10, ("cat", 4))
    world.write(1, 20, ("dog", 4))
    world.write(2, 10, ("bird", 2))
    world.write(2, 20, None)
    world.read(reader, 30)
    keys = row_key(1), row_key(2)
    world.execute(BatchRollback(10, keys))
    assert rows_of(world.read(reader, 40, ("name",))) == [("dog",)]


def test_a_log_that_nobody_reads_ends_with_its_bases() -> None:
    cache = ArrowCache(max_log_entries=10)
    world, reader = MirrorWorld(cache), MirrorReader(cache)
    world.write(1, 10, ("cat", 4))
    world.read(reader, 20)
    world.bulk(30, dict.fromkeys(range(11), ("dog", 4)))
    assert (len(cache), cache.size_bytes, cache.counters.overflows) == (0, 0, 1)
    assert [world.read(reader, 40).path for _ in range(2)] == ["rows", "mirror"]


def test_a_split_cuts_base_and_delta_and_a_merge_joins_them() -> None:
    world, reader = mirrored()
    world.bulk(10, {handle: (str(handle), 0) for handle in range(6)})
    world.read(reader, 20)
    world.write(1, 30, ("first", 1))
    world.write(5, 31, None)
    expected = [("0",), ("first",), ("2",), ("3",), ("4",)]
    for change in (lambda: world.split(2, 4), lambda: world.merge(0), lambda: world.merge(0, into_left=True)):
        change()
        read = world.read(reader, 40, ("name",))
        assert (read.path != "rows", rows_of(read)) == (True, expected)
    assert len(world.regions) == 1
    world.write(2, 50, ("second", 2))
    assert rows_of(world.read(reader, 60, ("name",)))[2] == ("second",)


def test_a_half_that_has_no_rows_of_the_table_joins_and_one_that_was_never_read_does_not() -> None:
    world, reader = mirrored()
    world.bulk(10, {handle: (str(handle), 0) for handle in range(4)})
    world.read(reader, 20)
    world.split_at([storage_key(border) for border in WHOLE[0]])
    world.merge(1, into_left=True)
    world.merge(0)
    assert (len(world.regions), world.read(reader, 20).path) == (1, "mirror")
    world.split(2)
    world.upkeep.on_snapshot_installed(world.regions[0], 9)
    world.merge(0)
    assert [world.read(reader, 20).path for _ in range(2)] == ["rows", "mirror"]


def test_work_on_a_base_is_lost_when_its_region_splits_meanwhile() -> None:
    world, reader = mirrored()
    world.bulk(10, {handle: (str(handle), 0) for handle in range(4)})
    late = world.view()
    world.split(2)
    assert len(rows_of(read_view(late, reader, 20, ALL_COLUMNS, WHOLE))) == 4
    assert len(world.cache) == 0
    assert [world.read(reader, 20).path for _ in range(2)] == ["rows", "mirror"]
