"""The catalogue of two front ends over one store: leases, unknown names, conflicts, ids, and what a drop leaves."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import pytest
from fake_client import FakeClient, FakeStore

from rutile.catalog.catalog import Catalog
from rutile.catalog.identifiers import RANGE_SIZE, IdAllocator
from rutile.catalog.meta import auto_increment_key
from rutile.catalog.model import TableState
from rutile.ddl.delete_ranges import range_of_table
from rutile.errors import SqlError
from rutile_coprocessor.schema import Column, ColumnType, Kind, TableSchema
from rutile_kv.client.delete_ranges import Note
from rutile_proto.keys import meta_key, prefix_next

LEASE_S = 0.001


@dataclass
class Clock:
    now: float = 100.0

    def __call__(self) -> float:
        return self.now


def schema(name: str, database: str = "test") -> TableSchema:
    column = Column(1, "id", ColumnType(Kind.INT), nullable=False)
    return TableSchema(0, name, (column,), primary_key=(1,), handle="int", database=database)


async def front_end(store: FakeStore, clock: Clock) -> tuple[Catalog, FakeClient]:
    client = FakeClient(store)
    catalog = Catalog(client, clock, lease_s=LEASE_S)
    await catalog.start()
    return catalog, client


def test_the_lease_saves_questions_and_its_end_brings_changes() -> None:
    async def run() -> None:
        store, clock = FakeStore(), Clock()
        one, client = await front_end(store, clock)
        two, _ = await front_end(store, clock)
        before = await one.current()
        asked = client.calls.gets
        assert await one.current() is before
        assert client.calls.gets == asked
        await two.create_table(schema("t"))
        assert (await one.current()).table("test", "t") is None  # within the lease
        clock.now += 2 * LEASE_S
        assert (await one.current()).table("TEST", "T") is not None
        assert client.calls.gets == asked + 1 + 1  # the version, and the version again with what is loaded

    asyncio.run(run())


def test_an_unknown_name_is_looked_for_before_it_is_denied() -> None:
    async def run() -> None:
        store, clock = FakeStore(), Clock()
        one, _ = await front_end(store, clock)
        two, _ = await front_end(store, clock)
        await two.create_table(schema("t"))
        assert (await one.get_table("test", "t")).schema.name == "t"
        with pytest.raises(SqlError) as caught:
            await one.get_table("test", "u")
        assert caught.value.code == 1146
        with pytest.raises(SqlError) as caught:
            await one.get_table("nope", "u")
        assert caught.value.code == 1049

    asyncio.run(run())


def test_two_front_ends_make_the_same_table_once() -> None:
    async def run() -> None:
        store, clock = FakeStore(), Clock()
        catalogs = [(await front_end(store, clock))[0] for _ in range(2)]
        made = await asyncio.gather(
            *(catalog.create_table(schema("t")) for catalog in catalogs), return_exceptions=True
        )
        refused = [error for error in made if isinstance(error, SqlError)]
        assert [error.code for error in refused] == [1050]

    asyncio.run(run())


def test_ids_are_never_used_again() -> None:
    async def run() -> None:
        catalog, _ = await front_end(FakeStore(), Clock())
        seen = set()
        for _ in range(3):
            seen.add((await catalog.create_table(schema("t"))).table_id)
            seen.add((await catalog.truncate_table("test", "t")).table_id)
            await catalog.drop_table("test", "t")
        assert len(seen) == 6

    asyncio.run(run())


def test_a_table_being_imported_is_hidden_but_its_name_is_taken() -> None:
    async def run() -> None:
        catalog, _ = await front_end(FakeStore(), Clock())
        made = await catalog.create_table(schema("t"), state=TableState.IMPORTING)
        assert await catalog.list_tables("test") == []
        with pytest.raises(SqlError) as caught:
            await catalog.create_table(schema("t"))
        assert caught.value.code == 1050
        await catalog.publish_table("test", "t")
        assert [info.table_id for info in await catalog.list_tables("test")] == [made.table_id]

    asyncio.run(run())


def _range(value: bytes) -> tuple[bytes, bytes]:
    note = Note.from_bytes(value)
    assert (note.passes, note.claimed) == (0, False)
    return note.start, note.end


def test_dropping_and_truncating_put_the_old_keys_on_the_list_of_what_is_removed() -> None:
    async def run() -> None:
        store, clock = FakeStore(), Clock()
        catalog, _ = await front_end(store, clock)
        await catalog.create_database("d")
        made = [await catalog.create_table(schema(name, "d")) for name in "abc"]
        fresh = await catalog.truncate_table("d", "a")
        await catalog.drop_table("d", "b")
        notes = meta_key("delete_range")
        listed = {_range(value) for _, value in store.scan(notes, prefix_next(notes), store.clock)}
        assert listed == {range_of_table(info.table_id) for info in made[:2]}
        await catalog.drop_database("d")
        listed = {_range(value) for _, value in store.scan(notes, prefix_next(notes), store.clock)}
        assert listed == {range_of_table(info.table_id) for info in (*made, fresh)}

    asyncio.run(run())


def test_ranges_of_ids_do_not_overlap() -> None:
    async def run() -> None:
        store = FakeStore()
        one, two = IdAllocator(FakeClient(store)), IdAllocator(FakeClient(store))
        key = auto_increment_key(7)
        assert await one.take(key) == 1
        assert await two.take(key) == RANGE_SIZE + 1
        assert await one.take(key, 10) == 2
        assert await one.take(key, RANGE_SIZE) == 2 * RANGE_SIZE + 1
        assert await two.take(key) == RANGE_SIZE + 2

    asyncio.run(run())


def test_explicit_ids_move_the_counter() -> None:
    async def run() -> None:
        allocator = IdAllocator(FakeClient(FakeStore()))
        key = auto_increment_key(7)
        await allocator.rebase(key, 10)
        assert await allocator.take(key) == 11
        await allocator.rebase(key, 5)
        assert await allocator.take(key) == 12
        await allocator.rebase(key, 10 * RANGE_SIZE)
        assert await allocator.take(key) == 10 * RANGE_SIZE + 1

    asyncio.run(run())


def test_concurrent_takers_get_different_ids() -> None:
    async def run() -> None:
        store = FakeStore()
        allocators = [IdAllocator(FakeClient(store)) for _ in range(3)]
        key = auto_increment_key(7)
        taken = await asyncio.gather(*(allocators[number % 3].take(key, 7) for number in range(60)))
        ids = {first + offset for first in taken for offset in range(7)}
        assert len(ids) == 60 * 7

    asyncio.run(run())
