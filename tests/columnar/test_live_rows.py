"""Bases with what was committed since beside them: what is decoded, kept and charged.

That the rows are right, over whole histories, is part of test_mirror_equals_rows.py.
"""

import gc
import weakref
from pathlib import Path

import pytest
from live_world import ROWS, Table
from mirror_world import ALL_COLUMNS, row_key

from rutile_coprocessor.execute import Executor
from rutile_coprocessor.fragment import Fragment, Scan
from rutile_coprocessor.pruning import Bounds
from rutile_kv.columnar import live_tables
from rutile_kv.columnar.files import MirrorFiles
from rutile_kv.columnar.live import MAX_STATES
from rutile_kv.mvcc import bulk
from rutile_kv.server.warm_relations import Loaded
from rutile_kv.txn.commands import BatchRollback


def marks_of(found: Loaded) -> list[object]:
    live = found.source.live
    assert live is not None
    return found.source.table[live.column].to_pylist()


def test_a_row_is_decoded_once_and_the_chunks_of_the_base_are_copied_never(decoded: list[int]) -> None:
    table = Table()
    before = table.read().source.table["legs"].chunks[0]
    decoded.clear()
    for handle in (3, 5, 3):
        table.write(handle, ("owl", 100 + handle))
        for _ in range(3):
            found = table.read()
    assert decoded == [1, 1, 1]
    assert found.path == "mirror+delta"
    assert found.source.table["legs"].chunks[0].buffers()[1].address == before.buffers()[1].address
    assert found.source.table.num_rows == ROWS + 3


def test_as_long_as_nothing_more_is_written_readers_get_the_same_relation() -> None:
    table = Table()
    table.write(3, ("owl", 103))
    first, second, third = (table.read() for _ in range(3))
    assert (first.source is second.source, second.source is third.source) == (False, True)
    other_columns = table.legs()
    table.write(5, ("owl", 105))
    news = table.read()
    assert news.source is not third.source
    assert sorted(set(table.legs()) - set(other_columns)) == [105]
    assert table.read().source is table.read().source


def test_what_was_kept_with_written_rows_goes_with_them() -> None:
    table = Table()
    table.write(3, ("owl", 103))
    kept = [weakref.ref(table.read().source) for _ in range(3)][-1]
    gc.collect()
    assert kept() is not None
    for handle in range(MAX_STATES):
        table.write(handle, ("owl", handle))
        table.read(uses=((Bounds("legs", 0, None),),))
    gc.collect()
    assert kept() is None


def test_regions_are_decoded_together(decoded: list[int]) -> None:
    table = Table()
    table.world.split(10, 20, 30)
    table.read()
    decoded.clear()
    table.clock += 10
    table.world.bulk(table.clock, dict.fromkeys((5, 15, 25, 50), ("owl", 1)))
    assert table.legs().count(1) == 4 + 1
    assert decoded == [4]


def test_deleted_rows_and_rows_that_come_again() -> None:
    table = Table()
    for handle, row in ((7, None), (7, ("owl", 70)), (0, None), (7, None), (50, ("owl", 50)), (50, ("owl", 51))):
        table.write(handle, row)
        table.read()
    assert table.legs() == [*range(1, 7), *range(8, ROWS), 51]


def test_a_reader_of_before_sees_what_there_was(decoded: list[int]) -> None:
    table = Table()
    table.write(1, ("owl", 71))
    first = table.world.view()
    assert table.legs()[1] == 71
    table.write(1, ("owl", 72))
    second = table.world.view()
    table.write(1, ("owl", 73))
    decoded.clear()
    assert [table.legs(each)[1] for each in (None, second, first, None)] == [73, 72, 71, 73]
    assert decoded == [1, 1], "once for the newest, once for the one in between, which is older than what is kept"


def test_a_rollback_noted_on_an_old_record_is_no_news() -> None:
    table = Table()
    table.write(1, ("owl", 71))
    old = table.clock
    table.read()
    table.write(1, ("owl", 72))
    assert table.legs()[1] == 72
    table.world.execute(BatchRollback(old, (row_key(1),)))
    assert table.legs()[1] == 72


def test_chunks_are_left_out_and_their_bits_with_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk, "BLOCK_RECORDS", 10)
    table = Table()
    table.write(25, ("owl", 3))
    found = table.read(uses=((Bounds("legs", 12, 18),),))
    assert (found.chunks, found.chunks_pruned) == (4, 3)
    assert found.source.table.num_rows == 11
    assert marks_of(found) == [0] * 11


def test_narrow_encodings_hold_for_the_added_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_tables, "MOST_ADDED", 0)
    table = Table()
    for handle in range(300):
        table.write(1000 + handle, (f"text {handle}", 4))
    names = table.read().source.table["name"]
    assert str(names.type) == "dictionary<values=string, indices=uint8, ordered=0>"
    assert names.to_pylist()[ROWS:] == [f"text {handle}" for handle in range(300)]


def test_small_tables_parts_of_tables_and_long_deltas_go_the_other_way(monkeypatch: pytest.MonkeyPatch) -> None:
    small = Table(few_rows=ROWS + 1)
    small.write(1, ("owl", 1))
    assert small.read().source.live is None
    table = Table()
    table.write(1, ("owl", 1))
    assert table.read().source.live is not None
    assert table.read(ranges=((row_key(0), row_key(5)),)).source.live is None
    monkeypatch.setattr(live_tables, "MOST_ADDED", ROWS + 1)
    assert table.read().source.live is None


def test_reads_pay_for_the_next_base(monkeypatch: pytest.MonkeyPatch) -> None:
    table = Table()
    table.write(1, ("owl", 1))
    reads = 0
    while not table.world.cache.due():
        table.read()
        reads += 1
    assert 5 < reads < 500
    table.world.fold(table.mirror)
    assert table.read().source.live is None
    table.world.cache.drop_region(3)
    gc.collect()
    assert len(table.relations.followed) == 0, "what was kept beside them went with the bases"


def test_what_is_known_of_a_base_counts_for_its_copy_in_a_file(tmp_path: Path, decoded: list[int]) -> None:
    table = Table()
    table.world.cache.when_moved(table.relations.moved)
    table.write(1, ("owl", 71))
    table.read()
    narrow = table.read().source.table["name"].chunks[0].indices.buffers()[1].address
    decoded.clear()
    table.world.save(MirrorFiles(tmp_path, 1 << 30))
    assert table.legs()[1] == 71
    table.write(2, ("owl", 72))
    assert table.legs()[1:3] == [71, 72]
    assert decoded == [1], "the row that was committed since"
    assert table.read().source.table["name"].chunks[0].indices.buffers()[1].address == narrow


def test_the_hidden_column_is_out_of_reach() -> None:
    table = Table()
    table.write(1, ("owl", 1000))
    source, executor = table.read().source, Executor()
    scan = Scan("pets", table.world.schema, ALL_COLUMNS)

    def run(sql: str) -> list[dict[str, object]]:
        with executor.run(Fragment(sql, (scan,)), {"pets": source}) as pages:
            return [row for page in pages for row in page.to_pylist()]

    for _ in range(3):  # the second prepares, the third executes what was prepared
        assert run("SELECT count(*) AS n, sum(legs) AS legs FROM pets") == [
            {"n": ROWS, "legs": sum(range(ROWS)) - 1 + 1000}
        ]
    assert set(run("SELECT * FROM pets LIMIT 1")[0]) == set(ALL_COLUMNS)
    executor.close()
