"""Deltas are read behind the queries' backs, and what is known of a table outlives the fold of one of its regions."""

import asyncio
from dataclasses import replace

import pyarrow.compute as pc
import pytest
from live_world import ROWS, Table
from mirror_world import ALL_COLUMNS, CODEC, SCHEMA, MirrorWorld

from rutile_kv.columnar import live, live_tables
from rutile_kv.columnar.keys import BaseKey
from rutile_kv.columnar.mirror import MirrorReader, RegionData, TableRequest
from rutile_kv.engine.api import CF_WRITE
from rutile_kv.mvcc.records import Write, WriteKind
from rutile_kv.raftstore.region_reader import RegionReader
from rutile_kv.server import keeping_up
from rutile_kv.server.keeping_up import KeepingUp
from rutile_kv.server.warm_relations import WarmRelations
from rutile_proto.keys import int_handle, record_key, storage_key, table_range, versioned_key


def catch_up(table: Table) -> None:
    asyncio.run(KeepingUp(table.world.cache, table.relations.followed, table.world.local_snapshot).catch_up())


def fold(table: Table, region_number: int) -> None:
    part = table.world.view().parts[region_number]
    version = part.region.region_epoch.version
    key = BaseKey(part.region.id, version, SCHEMA.table_id, SCHEMA.layout_version)
    assert table.mirror.fold(key, part, lambda size_bytes: None)


def test_the_query_after_many_changes_finds_them_decoded(monkeypatch: pytest.MonkeyPatch, decoded: list[int]) -> None:
    monkeypatch.setattr(keeping_up, "NEWS_ENTRIES", 3)
    table = Table()
    table.world.split(10, 20)
    table.write(1, ("owl", 71))
    table.read()
    decoded.clear()
    table.write(2, ("owl", 72))
    table.write(12, ("owl", 82))
    catch_up(table)
    assert decoded == [], "so few are left to the queries"
    table.write(22, ("owl", 92))
    catch_up(table)
    assert decoded == [3]
    catch_up(table)
    assert [table.legs()[at] for at in (1, 2, 12, 22)] == [71, 72, 82, 92]
    assert decoded == [3]


def test_a_table_whose_regions_are_others_now_is_left_to_its_readers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeping_up, "NEWS_ENTRIES", 1)
    table = Table()
    table.write(1, ("owl", 71))
    table.read()
    table.write(1, ("owl", 72))
    table.world.cache.drop_region(3)
    catch_up(table)
    for after in (lambda: table.world.split(10), lambda: table.world.merge(0)):
        table.read()
        after()
        table.write(1, ("owl", 73))
        catch_up(table)
    assert table.legs()[1] == 73


def test_what_is_known_of_the_other_regions_outlives_a_fold(decoded: list[int]) -> None:
    table = Table()
    table.world.split(10, 20)
    for handle in (1, 11, 21, 11):
        table.write(handle, ("owl", 70 + handle))
    table.read()
    fold(table, 1)
    table.write(12, ("owl", 82))
    table.write(11, None)
    decoded.clear()
    legs = table.legs()
    assert decoded == [1], "of the region that was folded, what was committed since"
    assert (legs[1], legs[10:12], legs[20]) == (71, [10, 82], 91)


def test_rows_that_were_replaced_are_not_carried_along_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "MOST_DEAD", 10)
    monkeypatch.setattr(live_tables, "MOST_ADDED", 0)
    table = Table()
    table.write(2, ("owl", 700))
    longest, unread = 0, []
    for number in range(0, 100, 2):
        table.write(1, ("owl", 100 + number))
        unread.append(table.world.view())
        table.write(1, ("owl", 101 + number))
        found = table.read().source.table
        longest = max(longest, len(found) - ROWS)
        assert table.legs()[1:3] == [101 + number, 700]
        for age, view in enumerate(reversed(unread[-3:])):
            assert table.legs(view)[1:3] == [100 + number - 2 * age, 700], "readers of a moment ago"
    assert 10 < longest < 20


def test_partitions_in_one_region_keep_their_own_rows() -> None:
    """What hides a row of one hides none of the next, and is not looked for there."""
    world = MirrorWorld()
    schemas = [SCHEMA, replace(SCHEMA, table_id=SCHEMA.table_id + 1)]
    relations, mirror = WarmRelations(1 << 20, few_rows=0), MirrorReader(world.cache, keeps=False)

    def write(ts: int, legs: int, handles: range) -> None:
        record = Write(WriteKind.PUT, ts - 1, CODEC.encode_row(("cat", legs))).to_bytes()
        rows = [record_key(schema.table_id, int_handle(handle)) for schema in schemas for handle in handles]
        world.apply([(CF_WRITE, versioned_key(storage_key(row), ts), record) for row in rows])

    def read(ts: int) -> list[object]:
        (region,) = world.regions
        pin = world.cache.pin(region.id, [each.table_id for each in schemas], world.indexes[region.id])
        data = RegionData(region, RegionReader(world.engine.snapshot(), region), pin)
        parts = [(data, TableRequest(each, ALL_COLUMNS, [table_range(each.table_id)], ts)) for each in schemas]
        source = relations.load(mirror, parts, SCHEMA.arrow_schema(ALL_COLUMNS), lambda size_bytes: None).source
        table = source.table if source.live is None else source.table.filter(pc.field(source.live.column).is_valid())
        assert ts < 20 or source.live is not None
        return sorted(table["legs"].to_pylist())

    write(10, 4, range(20))
    for _ in range(3):
        assert read(15) == [4] * 40
    write(20, 2, range(2))
    assert read(25) == [2] * 4 + [4] * 36
