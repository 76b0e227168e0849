"""Relations are handed out again while nothing has changed, and never instead of others.

That what is kept equals the rows, over whole histories, is part of test_mirror_equals_rows.py.
"""

import gc

import pyarrow as pa
import pytest
from mirror_world import ALL_COLUMNS, WHOLE, MirrorWorld, requests_of

from rutile_coprocessor.pruning import Bounds
from rutile_kv.columnar.mirror import MirrorReader
from rutile_kv.engine.api import CF_LOCK, Snapshot
from rutile_kv.mvcc import bulk
from rutile_kv.server.lock_free import LockFreeRanges
from rutile_kv.server.narrow_chunks import NarrowChunks
from rutile_kv.server.region_views import RegionView
from rutile_kv.server.warm_relations import Loaded, WarmRelations
from rutile_proto.keys import storage_key


class Reader:
    """Reads a world's table through relations."""

    def __init__(self, budget_bytes: int = 1 << 20) -> None:
        self.world = MirrorWorld()
        self.mirror = MirrorReader(self.world.cache)
        self.relations = WarmRelations(budget_bytes)
        self.world.bulk(10, {handle: (f"cat {handle % 3}", handle) for handle in range(40)})

    def read(
        self, ts: int, columns: tuple[str, ...] = ALL_COLUMNS, uses: tuple[tuple[Bounds, ...], ...] = ()
    ) -> Loaded:
        view = self.world.view()
        parts = requests_of(view, ts, columns, WHOLE, uses)
        return self.relations.load(self.mirror, parts, view.schema.arrow_schema(columns), lambda size_bytes: None)


def test_the_third_read_gets_the_table_of_the_second_with_texts_as_a_dictionary() -> None:
    reader = Reader()
    first, second, third = (reader.read(ts).source.table for ts in (20, 30, 40))
    assert first is not second
    assert second is third
    assert first.schema.field("name").type == pa.string()
    assert third.schema.field("name").type == pa.dictionary(pa.uint8(), pa.string())
    assert first.to_pylist() == third.to_pylist()


def test_what_was_found_is_told_again() -> None:
    reader = Reader()
    found = [reader.read(20) for _ in range(3)]
    assert [(each.path, each.regions, each.chunks, each.source.rows) for each in found] == [
        ("rows", 1, 1, 40), ("mirror", 1, 1, 40), ("mirror", 1, 1, 40),
    ]  # fmt: skip


def test_a_write_is_seen_at_once_and_not_by_readers_of_before() -> None:
    reader = Reader()
    before = [reader.read(20).source.table for _ in range(3)][-1]
    reader.world.write(3, 30, ("owl", 99))
    assert reader.read(25).source.table.to_pylist() == before.to_pylist()
    for _ in range(3):
        assert {"name": "owl", "legs": 99} in reader.read(40, ("name", "legs")).source.table.to_pylist()
        assert reader.read(25).source.table.to_pylist() == before.to_pylist()


def test_another_question_gets_another_relation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk, "BLOCK_RECORDS", 10)
    reader = Reader()
    bounds = [(), ((Bounds("legs", 12, None),),), ((Bounds("legs", 30, None),),), ((Bounds("legs", 30.0, None),),)]
    for _ in range(3):
        assert [reader.read(20, ("legs",), uses).source.rows for uses in bounds] == [40, 30, 10, 10]
        assert reader.read(20, ("name",)).source.table.column_names == ["name"]
    assert len(reader.relations) == 5


def test_relations_and_narrow_chunks_go_with_their_bases() -> None:
    reader = Reader()
    for _ in range(3):
        reader.read(20)
    assert (len(reader.relations), reader.relations.chunks.size_bytes > 0) == (1, True)
    reader.world.cache.drop_region(3)
    gc.collect()
    assert (len(reader.relations), len(reader.relations.chunks), reader.relations.chunks.size_bytes) == (0, 0, 0)


def test_without_room_chunks_stay_as_they_come() -> None:
    reader = Reader(budget_bytes=0)
    found = [reader.read(20).source.table for _ in range(3)]
    assert found[1] is found[2]
    assert found[2].schema.field("name").type == pa.string()
    assert reader.relations.chunks.size_bytes == 0


def test_narrow_chunks_keep_within_their_budget_and_do_not_keep_what_they_are_of() -> None:
    texts = [pa.array(["a", "b"] * 500), pa.array(["c", "d"] * 500)]
    chunks = NarrowChunks(1500)
    kinds = [[chunks.of(each) for each in texts] for _ in range(3)]
    narrow = pa.dictionary(pa.uint8(), pa.string())
    assert [[(kind.type, settled) for kind, settled in row] for row in kinds] == [
        [(pa.string(), False), (pa.string(), False)],
        [(narrow, True), (pa.string(), True)],
        [(narrow, True), (pa.string(), True)],
    ]
    assert 1000 <= chunks.size_bytes <= 1500
    texts.clear()
    kinds.clear()
    gc.collect()
    assert (len(chunks), chunks.size_bytes) == (0, 0)


class Counting:
    """A snapshot that counts the looks at its locks."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot, self.looks = snapshot, 0

    def get(self, cf: str, key: bytes) -> bytes | None:
        return self.snapshot.get(cf, key)

    def scan(self, cf: str, start: bytes, end: bytes | None, *, reverse: bool = False) -> object:
        self.looks += cf == CF_LOCK
        return self.snapshot.scan(cf, start, end, reverse=reverse)

    def close(self) -> None:
        self.snapshot.close()


def test_a_range_without_locks_is_looked_at_once_for_each_state() -> None:
    reader, free, wanted = Reader(), LockFreeRanges(), (b"", None)

    def look(*, guarded: bool = False) -> tuple[bool, int]:
        data = reader.world.view().parts[0]
        counting = Counting(reader.world.engine.snapshot())
        over = data.reader if guarded else counting
        view = RegionView(data.region, counting, over, data.pin, [])  # type: ignore[arg-type]
        return free.has_none(view, wanted), counting.looks

    assert [look(), look()] == [(True, 1), (True, 0)]
    reader.world.write(1, 30, ("owl", 1))
    assert [look(), look()] == [(True, 1), (True, 0)]
    reader.world.apply([(CF_LOCK, storage_key(b"k"), b"a lock")])
    assert [look(), look()] == [(False, 1), (False, 1)]
    reader.world.apply([(CF_LOCK, storage_key(b"k"), None)])
    assert [look(), look(guarded=True), look()] == [(True, 1), (True, 0), (True, 0)]
