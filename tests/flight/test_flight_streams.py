"""Results on their way: bounds, clients that go away, cancelling what has not been fetched."""

from __future__ import annotations

import adbc_driver_flightsql.dbapi as adbc
import pyarrow as pa
import pytest
from flight_world import FlightWorld, wait_until
from pyarrow import flight

from rutile.errors import SqlError
from rutile.flight.held_results import LIFE_S, HeldResults
from rutile.flight.wire import pack, unpack
from rutile_proto import flightsqlpb_pb2 as pb


@pytest.fixture(scope="module", autouse=True)
def wide(world: FlightWorld) -> None:
    with world.connect() as connection, connection.cursor() as cursor:
        table = pa.table({"id": range(200_000), "text": ["x" * 200] * 200_000})
        cursor.adbc_ingest("wide", table.to_reader(max_chunksize=20_000), mode="create")


def info_of(client: flight.FlightClient, sql: str) -> flight.FlightInfo:
    return client.get_flight_info(flight.FlightDescriptor.for_command(pack(pb.CommandStatementQuery(query=sql))))


def test_batches_fit_a_message(world: FlightWorld) -> None:
    with world.client() as client:
        reader = client.do_get(info_of(client, "SELECT * FROM wide").endpoints[0].ticket)
        sizes = [chunk.data.nbytes for chunk in reader]
        assert sum(sizes) > 40_000_000 and max(sizes) < 8 << 20
        ordered = info_of(client, "SELECT * FROM wide ORDER BY id")
        assert ordered.total_records == 200_000 and ordered.ordered
        assert max(chunk.data.nbytes for chunk in client.do_get(ordered.endpoints[0].ticket)) < 8 << 20


def test_a_client_that_goes_away_leaves_nothing_behind(world: FlightWorld) -> None:
    held = world.shared.database.client.cluster.gc_hold
    with world.client() as client:
        ticket = info_of(client, "SELECT * FROM wide").endpoints[0].ticket
        ours = len(held._running)
        reader = client.do_get(ticket)
        reader.read_chunk()
        wait_until(lambda: len(held._running) > ours)
        reader.cancel()
        wait_until(lambda: sum(each.oldest_ts is not None for each in held._running) <= ours)
        assert client.do_get(ticket).read_all().num_rows == 200_000


@pytest.mark.parametrize("kind", ["CancelFlightInfo", "CancelQuery"])
def test_a_result_can_be_given_up(world: FlightWorld, kind: str) -> None:
    with world.client() as client:
        info = info_of(client, "SELECT COUNT(*) FROM wide")
        if kind == "CancelQuery":
            body = pack(pb.ActionCancelQueryRequest(info=info.serialize()))
        else:
            body = pb.CancelFlightInfoRequest(info=info.serialize()).SerializeToString()
        (result,) = client.do_action(flight.Action(kind, body))
        data = result.body.to_pybytes()
        told = unpack(data) if kind == "CancelQuery" else pb.ActionCancelQueryResult.FromString(data)
        assert told.result == pb.ActionCancelQueryResult.CANCEL_RESULT_CANCELLED
        with pytest.raises(flight.FlightError, match="run the query again"):
            client.do_get(info.endpoints[0].ticket).read_all()


def cancelled(client: flight.FlightClient, info: flight.FlightInfo) -> int:
    """Cancel by a FlightInfo; the result's number."""
    body = pb.CancelFlightInfoRequest(info=info.serialize()).SerializeToString()
    (result,) = client.do_action(flight.Action("CancelFlightInfo", body))
    return int(pb.ActionCancelQueryResult.FromString(result.body.to_pybytes()).result)


def test_a_scan_is_cancelled_by_its_info(world: FlightWorld) -> None:
    server = world.node._server
    held = world.shared.database.client.cluster.gc_hold
    with world.client() as client:
        before = sum(each.oldest_ts is not None for each in held._running)
        info = info_of(client, "SELECT * FROM wide")
        reader = client.do_get(info.endpoints[0].ticket)
        reader.read_chunk()
        assert len(server._cancels.scans) == 1
        assert cancelled(client, info) == pb.ActionCancelQueryResult.CANCEL_RESULT_CANCELLED
        with pytest.raises(flight.FlightServerError, match=r"1317.*was cancelled"):
            reader.read_all()
        wait_until(lambda: len(server._cancels.scans) == 0)
        wait_until(lambda: sum(each.oldest_ts is not None for each in held._running) <= before)
        with pytest.raises(flight.FlightServerError, match="run it again"):
            client.do_get(info.endpoints[0].ticket).read_all()
        assert cancelled(client, info) == pb.ActionCancelQueryResult.CANCEL_RESULT_CANCELLED
        assert info_of(client, "SELECT * FROM wide").endpoints[0].ticket != info.endpoints[0].ticket


def test_adbc_cancels_a_scan(world: FlightWorld) -> None:
    scans = world.node._server._cancels.scans
    with world.connect() as connection, connection.cursor() as cursor:
        cursor.execute("SELECT * FROM wide")
        reader = cursor.fetch_record_batch()
        reader.read_next_batch()
        assert len(scans) == 1
        cursor.adbc_cancel()
        wait_until(lambda: len(scans) == 0)
        with pytest.raises((adbc.Error, OSError), match=r"(?i)cancel"):
            reader.read_all()


def test_what_is_cancelled_without_its_reader_lets_go_at_once(world: FlightWorld) -> None:
    """The client takes nothing more, so the thread that sends to it waits; what it held is free all the same."""
    held = world.shared.database.client.cluster.gc_hold
    with world.client() as client:
        before = sum(each.oldest_ts is not None for each in held._running)
        info = info_of(client, "SELECT * FROM wide")
        reader = client.do_get(info.endpoints[0].ticket)
        reader.read_chunk()
        cancelled(client, info)
        wait_until(lambda: sum(each.oldest_ts is not None for each in held._running) <= before)
        reader.cancel()


def test_what_cannot_be_cancelled(world: FlightWorld) -> None:
    with world.client() as client:
        info = info_of(client, "SELECT * FROM wide")
        forged = flight.Ticket(info.endpoints[0].ticket.ticket[:-1] + b"x")
        wrong = flight.FlightInfo(info.schema, info.descriptor, [flight.FlightEndpoint(forged, [])], -1, -1)
        with pytest.raises(flight.FlightUnauthorizedError, match="refused"):
            cancelled(client, wrong)
        with pytest.raises(flight.FlightError, match="not a FlightInfo"):
            body = pb.CancelFlightInfoRequest(info=b"nonsense").SerializeToString()
            list(client.do_action(flight.Action("CancelFlightInfo", body)))
        nothing = flight.FlightInfo(info.schema, info.descriptor, [], -1, -1)
        assert cancelled(client, nothing) == pb.ActionCancelQueryResult.CANCEL_RESULT_NOT_CANCELLABLE
        elsewhere = flight.FlightEndpoint(info.endpoints[0].ticket, ["grpc://127.0.0.1:1"])
        named = flight.FlightInfo(info.schema, info.descriptor, [elsewhere], -1, -1)
        assert (
            cancelled(client, named) == pb.ActionCancelQueryResult.CANCEL_RESULT_CANCELLED
        )  # no store of ours: not asked


def test_held_results_are_bounded_in_bytes_number_and_age() -> None:
    now = [0.0]
    held = HeldResults(lambda: now[0], max_bytes=1000)
    table = pa.table({"x": pa.array(range(50))})  # 400 bytes
    first, second, third = (held.put(table, "root") for _ in range(3))
    with pytest.raises(SqlError, match="run the query again"):
        held.get(first, "root")
    assert held.get(second, "root") is table and held.get(third, "root") is table
    with pytest.raises(SqlError):
        held.get(third, "eve")
    big = held.put(pa.table({"x": pa.array(range(1000))}), "root")
    assert len(held) == 1 and held.get(big, "root").num_rows == 1000
    now[0] = LIFE_S
    held.drop_old()
    assert len(held) == 0
