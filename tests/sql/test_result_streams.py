"""Results taken batch by batch: what is read when, what stays in memory, how a stream ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing
from typing import Any

import pyarrow as pa
import pytest

import rutile
import rutile.aio
from rutile.nodes.local import LocalBackend, SharedDatabase, shared_database
from rutile_kv.client.ticket_scan import TicketScan
from rutile_proto import ticketpb_pb2 as ticketpb

ROWS, REGIONS = 1_000_000, 20


class CountedScan:
    """A scan that tells how many regions have been read."""

    def __init__(self, world: World, scan: TicketScan) -> None:
        self._world, self._scan = world, scan
        self.schema = scan.schema

    async def parts(self) -> AsyncGenerator[Sequence[pa.RecordBatch], None]:
        try:
            async with aclosing(self._scan.parts()) as parts:
                async for part in parts:
                    self._world.regions_read += 1
                    yield part
        finally:
            self._world.scans_ended += 1


class CountingClient:
    """The client, its ticket scans counted."""

    def __init__(self, world: World, client: Any) -> None:
        self._world, self._client = world, client

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def ticket_scan(self, ticket: ticketpb.ScanTicket) -> CountedScan:
        return CountedScan(self._world, self._client.ticket_scan(ticket))


class World:
    """A database with a large table in many regions."""

    def __init__(self, shared: SharedDatabase) -> None:
        self.shared = shared
        self.regions_read = self.scans_ended = 0
        self.client = shared.database.client
        shared.database.client = CountingClient(self, self.client)

    def connect(self) -> rutile.Connection:
        return rutile.Connection(LocalBackend(self.shared.acquire(), "test"))

    def holds(self) -> int:
        """Timestamps that are kept from garbage collection."""
        return sum(each.oldest_ts is not None for each in self.client.cluster.gc_hold._running)


@pytest.fixture(scope="module")
def opened() -> Iterator[World]:
    shared = shared_database(None)
    try:
        world = World(shared)
        with world.connect() as connection:
            table = pa.table({"id": range(ROWS), "v": pa.array(range(ROWS), pa.int32())})
            connection.insert_arrow("big", table, mode="create", primary_key=["id"])
            connection.execute(f"SPLIT TABLE big BETWEEN (0) AND ({ROWS}) REGIONS {REGIONS}")
        yield world
    finally:
        shared.release()


@pytest.fixture
def world(opened: World) -> World:
    opened.regions_read = opened.scans_ended = 0
    return opened


@pytest.fixture
def connection(world: World) -> Iterator[rutile.Connection]:
    with world.connect() as opened:
        yield opened


def test_a_million_rows_a_region_at_a_time(world: World, connection: rutile.Connection) -> None:
    largest, rows, total = 0, 0, 0
    with connection.stream("SELECT id, v FROM big WHERE v >= 0") as batches:
        assert batches.schema.names == ["id", "v"] and world.regions_read == 0
        for batch in batches:
            largest, rows = max(largest, batch.num_rows), rows + batch.num_rows
            total += pa.compute.sum(batch["v"]).as_py()
            assert rows > (world.regions_read - 1) * ROWS // REGIONS * 0.9, "a region ahead of what was taken"
    assert (rows, total) == (ROWS, ROWS * (ROWS - 1) // 2)
    assert world.regions_read >= REGIONS and largest <= ROWS // REGIONS * 1.1
    assert world.scans_ended == 1 and world.holds() == 0


def test_closed_half_way_the_rest_is_not_read(world: World, connection: rutile.Connection) -> None:
    with connection.stream("SELECT id FROM big") as batches:
        next(batches)
        assert world.holds() > 0
    assert world.regions_read == 1 and world.scans_ended == 1 and world.holds() == 0
    batches.close()
    with pytest.raises(StopIteration):
        next(batches)


def test_forgotten_half_way(world: World, connection: rutile.Connection) -> None:
    reader = connection.stream("SELECT id FROM big").reader()
    reader.read_next_batch()
    assert world.holds() > 0
    del reader
    connection.execute("SELECT 1")  # the loop has had its turn
    assert world.regions_read == 1 and world.holds() == 0


def test_it_shows_one_moment_and_leaves_the_session_free(world: World, connection: rutile.Connection) -> None:
    connection.insert_arrow("few", pa.table({"id": range(8000)}), mode="replace", primary_key=["id"])
    connection.execute("SPLIT TABLE few BETWEEN (0) AND (8000) REGIONS 4")
    with connection.stream("SELECT id FROM few") as batches:
        first = next(batches).num_rows
        connection.execute("DELETE FROM few")
        with world.connect() as other:
            other.execute("INSERT INTO few VALUES (9000)")
        assert first + sum(batch.num_rows for batch in batches) == 8000
    assert connection.execute("SELECT COUNT(*) FROM few").fetchall() == [(1,)]


def test_in_a_transaction_with_its_own_writes(world: World, connection: rutile.Connection) -> None:
    connection.execute("CREATE TABLE mine (id INT PRIMARY KEY)")
    with connection.transaction():
        connection.execute("INSERT INTO mine VALUES (1), (2)")
        with connection.stream("SELECT id FROM mine") as batches:
            assert pa.Table.from_batches(batches)["id"].to_pylist() == [1, 2]
    assert world.regions_read == 0


@pytest.mark.parametrize(
    "sql",
    ["SELECT COUNT(*) AS n FROM big", "SELECT 1 AS n", "SELECT v AS n FROM big WHERE id = 7", "SHOW TABLES LIKE 'big'",
     "SELECT id FROM big ORDER BY id DESC LIMIT 3", "SELECT a.id FROM big a JOIN big b ON a.id = b.v WHERE a.id < 3"],
)  # fmt: skip
def test_what_is_made_whole_first(world: World, connection: rutile.Connection, sql: str) -> None:
    with connection.stream(sql) as batches:
        assert batches.reader().read_all().to_pylist() == connection.sql(sql).arrow().to_pylist()
    assert world.regions_read == 0


def test_errors_and_ends(world: World) -> None:
    with world.connect() as connection:
        with pytest.raises(rutile.ProgrammingError, match="1146"):
            connection.stream("SELECT * FROM missing")
        with pytest.raises(rutile.ProgrammingError, match="1054"):
            connection.stream("SELECT missing FROM big")
        assert list(connection.stream("SET @x = 1")) == []
        left = connection.stream("SELECT id FROM big")
        next(left)
    assert world.holds() == 0
    with pytest.raises(rutile.OperationalError, match="1317"):
        next(left)
    left.close()


def test_other_libraries_read_it(world: World, connection: rutile.Connection) -> None:
    polars = pytest.importorskip("polars")
    assert polars.DataFrame(connection.stream("SELECT id FROM big WHERE id < 70000")).height == 70_000
    assert connection.insert_arrow("copy", connection.stream("SELECT id FROM big WHERE id < 100"), mode="create") == 100


def test_with_await() -> None:
    async def run() -> None:
        async with rutile.aio.connect() as connection:
            await connection.execute("CREATE TABLE t (id INT PRIMARY KEY)")
            await connection.execute("INSERT INTO t VALUES (1), (2)")
            async with await connection.stream("SELECT id FROM t") as batches:
                assert batches.schema.names == ["id"]
                assert [batch["id"].to_pylist() async for batch in batches] == [[1, 2]]
            with pytest.raises(rutile.ProgrammingError, match="1146"):
                await connection.stream("SELECT id FROM missing")

    asyncio.run(run())
