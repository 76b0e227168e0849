"""Large scans of a cluster: tickets brought to the stores, while regions are cut and leaders move."""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections.abc import Iterator

import adbc_driver_flightsql.dbapi as adbc
import pyarrow as pa
import pytest
from e2e_tools import regions, wait_for_replicas, wait_until
from pyarrow import flight

from rutile.flight.node import secret_from_file
from rutile.flight.wire import pack
from rutile.nodes.playground import Playground
from rutile_coprocessor.schema import TableSchema
from rutile_kv.client.client import Client
from rutile_proto import flightsqlpb_pb2 as pb
from rutile_proto import ticketpb_pb2 as ticketpb
from rutile_proto.keys import int_handle, record_key
from rutile_proto.signing import Purpose, Signer

ROWS = 30_000


@pytest.fixture(scope="module")
def table_id(playground: Playground) -> int:
    """`part` with ROWS rows in nine regions, each on three stores."""
    with adbc.connect(playground.flight_location, autocommit=True) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE part (id BIGINT PRIMARY KEY, name VARCHAR(40), n INT)")
        ids = pa.array(range(ROWS))
        rows = pa.table({"id": ids, "name": ids.cast(pa.string()), "n": pa.array([i % 7 for i in range(ROWS)])})
        cursor.adbc_ingest("part", rows.to_reader(max_chunksize=5000), mode="append")
    (endpoint, *_) = info(playground).endpoints
    found = TableSchema.from_bytes(opened(playground, endpoint).fragment.scans[0].schema).table_id
    split(playground, found, [ROWS * part // 9 for part in range(1, 9)])
    wait_for_replicas(playground, 3)
    return found


@pytest.fixture
def client(playground: Playground, table_id: int) -> Iterator[flight.FlightClient]:
    with flight.connect(playground.flight_location) as opened:
        yield opened


def info(playground: Playground, sql: str = "SELECT * FROM part") -> flight.FlightInfo:
    with flight.connect(playground.flight_location) as client:
        command = pack(pb.CommandStatementQuery(query=sql))
        return client.get_flight_info(flight.FlightDescriptor.for_command(command))


def opened(playground: Playground, endpoint: flight.FlightEndpoint) -> ticketpb.ScanTicket:
    secret = secret_from_file(playground.data_dir / "flight.secret")
    return ticketpb.ScanTicket.FromString(Signer(secret).open(Purpose.SCAN, endpoint.ticket.ticket, 0))


def split(playground: Playground, table_id: int, ids: list[int]) -> None:
    async def run() -> None:
        async with await Client.connect([playground.pd_address]) as client:
            await client.split_regions([record_key(table_id, int_handle(each)) for each in ids])

    asyncio.run(run())


def fetch(endpoint: flight.FlightEndpoint) -> pa.Table:
    with flight.connect(endpoint.locations[0]) as client:
        return client.do_get(endpoint.ticket).read_all()


def fetch_all(told: flight.FlightInfo) -> list[int]:
    """The ids of all parts, sorted."""
    return sorted(each for endpoint in told.endpoints for each in fetch(endpoint).column("id").to_pylist())


def test_three_stores_share_a_scan(playground: Playground, table_id: int) -> None:
    told = info(playground)
    assert len({endpoint.locations[0].uri for endpoint in told.endpoints}) == 3
    assert fetch_all(told) == list(range(ROWS))
    parts = [fetch(endpoint).num_rows for endpoint in told.endpoints]
    assert min(parts) > ROWS // 9


def test_adbc_reads_partitions_and_all_at_once(playground: Playground, table_id: int) -> None:
    with adbc.connect(playground.flight_location, autocommit=True) as connection, connection.cursor() as cursor:
        parts, schema = cursor.adbc_execute_partitions("SELECT n, id * 2 AS twice FROM part WHERE n < 3")
        assert len(parts) == 3 and schema.names == ["n", "twice"]
        total = 0
        for part in parts:
            cursor.adbc_read_partition(part)
            total += cursor.fetch_arrow_table().num_rows
        assert total == sum(i % 7 < 3 for i in range(ROWS))
        cursor.execute("SELECT id FROM part")
        assert sorted(cursor.fetch_arrow_table().column(0).to_pylist()) == list(range(ROWS))


def test_a_scan_is_of_one_moment(playground: Playground, table_id: int) -> None:
    told = info(playground)
    with adbc.connect(playground.flight_location, autocommit=True) as connection, connection.cursor() as cursor:
        cursor.execute("DELETE FROM part WHERE id < 100")
        cursor.execute("INSERT INTO part VALUES (-1, 'new', 0)")
        assert fetch_all(told) == list(range(ROWS))
        assert fetch_all(info(playground)) == [-1, *range(100, ROWS)]
        cursor.execute("DELETE FROM part WHERE id = -1")
        cursor.executemany("INSERT INTO part VALUES (?, ?, ?)", [(i, str(i), i % 7) for i in range(100)])


def test_regions_cut_after_the_plan_lose_no_rows(playground: Playground, table_id: int) -> None:
    told = info(playground)
    before = len(regions(playground))
    split(playground, table_id, [100, 5_000, 12_345, 29_999])
    wait_until("the regions to be cut", lambda: len(regions(playground)) > before)
    assert fetch_all(told) == list(range(ROWS))


def test_leaders_that_move_between_plan_and_fetch_lose_no_rows(playground: Playground, table_id: int) -> None:
    """One store is killed after the plan: its part is read from another one with the very same ticket."""
    told = info(playground)
    gone = told.endpoints[0].locations[0].uri
    victim = next(index for index in range(3) if flight_uri(playground, index) == gone)
    others = [endpoint.locations[0] for endpoint in told.endpoints[1:]]
    playground.stores[victim].kill()
    try:
        with pytest.raises(flight.FlightUnavailableError):
            fetch(told.endpoints[0])
        elsewhere = flight.FlightEndpoint(told.endpoints[0].ticket, others[:1])
        found = [fetch(each).column("id").to_pylist() for each in (elsewhere, *told.endpoints[1:])]
        assert sorted(itertools.chain(*found)) == list(range(ROWS))
    finally:
        playground.restart_store(victim)
    wait_for_replicas(playground, 3)


def flight_uri(playground: Playground, index: int) -> bytes:
    return playground.stores[index].flight_location.encode()


def test_a_slow_reader_holds_nobody_up(playground: Playground, client: flight.FlightClient) -> None:
    """Its stream waits; queries on the same store go on."""
    told = info(playground)
    with flight.connect(told.endpoints[0].locations[0]) as slow:
        readers = [slow.do_get(told.endpoints[0].ticket) for _ in range(4)]
        first = [reader.read_chunk().data.num_rows for reader in readers]
        with adbc.connect(playground.flight_location, autocommit=True) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT COUNT(*), SUM(n) FROM part WHERE n > 0")
            assert cursor.fetchall()[0][0] == sum(i % 7 > 0 for i in range(ROWS))
        totals = [rows + reader.read_all().num_rows for rows, reader in zip(first, readers, strict=True)]
        assert len(set(totals)) == 1


def test_forged_tickets_are_refused_by_stores(playground: Playground, table_id: int) -> None:
    told = info(playground)
    endpoint = told.endpoints[0]
    good = endpoint.ticket.ticket
    secret = secret_from_file(playground.data_dir / "flight.secret")
    body = Signer(secret).open(Purpose.SCAN, good, 0)
    forged = {
        "not signed by this cluster": Signer(b"another cluster's secret").sign(Purpose.SCAN, body, 1 << 45),
        "expired": Signer(secret).sign(Purpose.SCAN, body, 1),
        "not a scan": Signer(secret).sign(Purpose.TOKEN, body, 1 << 45),
    }
    with flight.connect(endpoint.locations[0]) as client:
        for says, ticket in forged.items():
            with pytest.raises(flight.FlightUnauthorizedError, match=says) as caught:
                client.do_get(flight.Ticket(ticket)).read_all()
            assert "Traceback" not in str(caught.value)
        with pytest.raises(flight.FlightError, match="not served here"):
            client.get_flight_info(flight.FlightDescriptor.for_command(b"x"))


def test_what_a_ticket_asks_for_is_checked_like_any_fragment(playground: Playground, table_id: int) -> None:
    told, secret = info(playground), secret_from_file(playground.data_dir / "flight.secret")
    old = opened(playground, told.endpoints[0])
    old.fragment.sql = "SELECT * FROM read_csv('/etc/passwd')"
    del old.plain_columns[:]
    ticket = flight.Ticket(Signer(secret).sign(Purpose.SCAN, old.SerializeToString(), 1 << 45))
    with (
        flight.connect(told.endpoints[0].locations[0]) as client,
        pytest.raises(flight.FlightServerError, match="FragmentRefused"),
    ):
        client.do_get(ticket).read_all()


def test_clients_in_parallel(playground: Playground, table_id: int) -> None:
    results: list[list[int]] = []
    threads = [threading.Thread(target=lambda: results.append(fetch_all(info(playground)))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [list(range(ROWS))] * 4


def test_cancelling_by_the_info_ends_the_scans_at_the_stores(
    playground: Playground, client: flight.FlightClient
) -> None:
    """Also of one that a client reads just now, more than gRPC holds on the way."""
    with adbc.connect(playground.flight_location, autocommit=True) as connection, connection.cursor() as cursor:
        wide = pa.table({"id": range(60_000), "text": ["x" * 600] * 60_000})
        cursor.adbc_ingest("wide_part", wide.to_reader(max_chunksize=5000), mode="create")
    told = info(playground, "SELECT * FROM wide_part")
    other = info(playground, "SELECT * FROM wide_part")
    (endpoint, *_) = told.endpoints
    with flight.connect(endpoint.locations[0]) as store:
        reader = store.do_get(endpoint.ticket)
        reader.read_chunk()
        body = pb.CancelFlightInfoRequest(info=told.serialize()).SerializeToString()
        (result,) = client.do_action(flight.Action("CancelFlightInfo", body))
        answer = pb.ActionCancelQueryResult.FromString(result.body.to_pybytes()).result
        assert answer == pb.ActionCancelQueryResult.CANCEL_RESULT_CANCELLED
        with pytest.raises(flight.FlightServerError, match="was cancelled"):
            reader.read_all()
        with pytest.raises(flight.FlightServerError, match="was cancelled"):
            store.do_get(endpoint.ticket).read_all()
        with pytest.raises(flight.FlightServerError, match="not served"):
            list(store.do_action(flight.Action("CreatePreparedStatement", b"")))
    assert sum(fetch(each).num_rows for each in other.endpoints) == 60_000
