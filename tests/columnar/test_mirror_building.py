"""How bases are built: which columns at once, by whom, and when there is no room."""

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from mirror_world import SCHEMA, WHOLE, MirrorWorld, read_view, rows_of

from rutile_coprocessor.schema import HIDDEN_HANDLE, Column, ColumnType, Kind
from rutile_kv.columnar import building
from rutile_kv.columnar.building import Turns, plan_build
from rutile_kv.columnar.cache import ArrowCache
from rutile_kv.columnar.files import MirrorFiles
from rutile_kv.columnar.keys import BaseKey
from rutile_kv.columnar.mirror import MirrorReader, TableRequest
from rutile_proto.errors import FragmentFailed

KEY = BaseKey(3, 1, 7, 0)
PATIENCE_SECONDS = 10.0


def mirrored(budget_bytes: int = 1 << 30) -> tuple[MirrorWorld, MirrorReader]:
    world = MirrorWorld(ArrowCache(budget_bytes))
    world.bulk(10, {handle: (f"cat {handle}", handle) for handle in range(20)})
    return world, MirrorReader(world.cache)


def test_whoever_wants_other_columns_of_a_narrow_table_finds_them() -> None:
    world, reader = mirrored()
    assert world.read(reader, 20, ("legs",)).path == "rows"
    assert world.read(reader, 20, ("name",)).path == "mirror"
    assert world.read(reader, 20, ("name", "legs", HIDDEN_HANDLE)).rows_decoded == 0
    twin = world.read(MirrorReader(None), 20, ("name", "legs", HIDDEN_HANDLE))
    assert rows_of(world.read(reader, 20, ("name", "legs", HIDDEN_HANDLE))) == rows_of(twin)


def test_documents_and_wide_tables_are_decoded_by_column() -> None:
    document = Column(3, "story", ColumnType(Kind.JSON))
    with_document = replace(SCHEMA, columns=(*SCHEMA.columns, document))
    assert plan_build(with_document, ("legs",), None).names == ("legs", "name")
    assert plan_build(with_document, ("Story",), None).names == ("Story", "name", "legs")
    wide = tuple(Column(10 + each, f"text{each}", ColumnType(Kind.VARCHAR, length=99)) for each in range(40))
    assert plan_build(replace(SCHEMA, columns=(*SCHEMA.columns, *wide)), ("legs",), None).names == ("legs",)


def test_nobody_pays_for_columns_he_did_not_ask_for() -> None:
    world, reader = mirrored()
    told: list[int] = []
    reader.read(world.view().parts[0], TableRequest(SCHEMA, ("legs",), WHOLE, 20), told.append)
    assert sum(told) == 20 * 4


def test_columns_beside_are_left_out_where_they_take_half_of_the_memory() -> None:
    world, reader = mirrored(budget_bytes=1_000)
    assert world.read(reader, 20, ("legs",)).path == "rows"
    assert world.read(reader, 20, ("legs",)).path == "mirror"
    assert world.read(reader, 20, ("name",)).path == "rows"


def test_readers_of_one_base_wait_for_one_builder(monkeypatch: pytest.MonkeyPatch) -> None:
    world, reader = mirrored()
    begun, go_on = threading.Event(), threading.Event()
    scans: list[str] = []
    scan_for = building.scan_for

    def slow(*arguments: object) -> object:
        scans.append(threading.current_thread().name)
        begun.set()
        assert go_on.wait(PATIENCE_SECONDS)
        return scan_for(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr("rutile_kv.columnar.mirror.scan_for", slow)
    paths: list[str] = []

    def read() -> None:
        paths.append(read_view(view, reader, 20, ("legs",), WHOLE).path)

    view = world.view()
    threads = [threading.Thread(target=read, name=f"reader {number}") for number in range(3)]
    for thread in threads:
        thread.start()
    assert begun.wait(PATIENCE_SECONDS)
    go_on.set()
    for thread in threads:
        thread.join()
    assert len(scans) == 1
    assert sorted(paths) == ["mirror", "mirror", "rows"]


def stops_after(calls: int) -> Callable[[int], None]:
    left = [calls]

    def check(size_bytes: int) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise FragmentFailed("nobody waits any more")

    return check


def test_whoever_waits_may_give_up_and_a_builder_that_fails_lets_the_next() -> None:
    turns = Turns()
    with turns.of(KEY, stops_after(0)), pytest.raises(FragmentFailed), turns.of(KEY, stops_after(2)):
        raise AssertionError("two builders")
    with pytest.raises(ValueError, match="broken"), turns.of(KEY, stops_after(0)):
        raise ValueError("broken")
    with turns.of(KEY, stops_after(0)):
        pass


def test_a_builder_waits_for_the_disk_and_no_longer_than_that_helps(tmp_path: Path) -> None:
    world, reader = mirrored()
    world.read(reader, 20)
    cache = world.cache
    cache.await_room(stops_after(0))
    cache.budget_bytes = cache.size_bytes + 1
    cache.await_room(stops_after(0))  # nobody writes
    cache.writes(is_kept=True)
    with pytest.raises(FragmentFailed):
        cache.await_room(stops_after(2))

    def keep(saves: bool) -> None:
        if saves:
            world.save(MirrorFiles(tmp_path, 1 << 30))
        cache.writes(is_kept=True)

    for saves in (False, True):
        waiter = threading.Thread(target=cache.await_room, args=(lambda _: None,))
        waiter.start()
        deadline = time.monotonic() + PATIENCE_SECONDS
        while waiter.is_alive() and time.monotonic() < deadline:
            keep(saves)
        assert not waiter.is_alive()
    assert not cache.is_pressed()
