"""Statements through the ADBC driver: queries, parameters, updates, transactions, errors, cancel."""

from __future__ import annotations

import datetime
import threading
from decimal import Decimal

import adbc_driver_flightsql.dbapi as adbc
import pyarrow as pa
import pytest
from flight_world import FlightWorld, act, end_transaction, update, wait_until
from pyarrow import flight

from rutile_proto import flightsqlpb_pb2 as pb

ENDLESS = "WITH RECURSIVE n AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM n WHERE i < 100000000) SELECT MAX(i) FROM n"


@pytest.fixture
def item(world: FlightWorld, connection: adbc.Connection) -> adbc.Cursor:
    """A cursor, and a new table `item`."""
    with world.sql as sql:
        sql.execute("DROP TABLE IF EXISTS item")
        sql.execute("CREATE TABLE item (id INT PRIMARY KEY, name VARCHAR(20), price DECIMAL(10, 2))")
        sql.execute("INSERT INTO item VALUES (1, 'a', 1.5), (2, 'b', 2.5), (3, 'c', NULL)")
    return connection.cursor()


@pytest.mark.parametrize(
    ("sql", "rows"),
    [
        ("SELECT 1 AS one, 'x' AS x", [(1, "x")]),
        ("SELECT * FROM item", [(1, "a", Decimal("1.50")), (2, "b", Decimal("2.50")), (3, "c", None)]),
        ("SELECT name, id, name FROM item", [("a", 1, "a"), ("b", 2, "b"), ("c", 3, "c")]),
        ("SELECT id + 1 AS next, UPPER(name) FROM item WHERE price > 2", [(3, "B")]),
        ("SELECT price * 2 FROM item WHERE id < 2", [(Decimal("3.00"),)]),
        ("SELECT name FROM item WHERE id = 2", [("b",)]),
        ("SELECT id FROM item ORDER BY id DESC LIMIT 2", [(3,), (2,)]),
        ("SELECT COUNT(*), SUM(price) FROM item", [(3, Decimal("4.00"))]),
        ("SELECT a.id FROM item a JOIN item b ON a.id = b.id + 2", [(3,)]),
        ("SELECT id FROM item WHERE id > 100", []),
        ("SELECT TABLE_NAME FROM information_schema.tables WHERE TABLE_SCHEMA = 'test' AND TABLE_NAME = 'item'",
         [("item",)]),
        ("SHOW TABLES LIKE 'item'", [("item",)]),
    ],
)  # fmt: skip
def test_queries_of_every_kind(item: adbc.Cursor, sql: str, rows: list[tuple[object, ...]]) -> None:
    item.execute(sql)
    assert item.fetchall() == rows


def test_types_come_as_arrow(world: FlightWorld, connection: adbc.Connection) -> None:
    with world.sql as sql:
        sql.execute("CREATE TABLE kinds (u BIGINT UNSIGNED, d DATE, m DATETIME(6), t TIME, b BLOB, f BOOL, x DOUBLE)")
        sql.execute("INSERT INTO kinds VALUES (18446744073709551615, '2026-02-28', '2026-02-28 01:02:03.000004',"
                    " '-01:00:00', x'00ff', TRUE, 0.5)")  # fmt: skip
    with connection.cursor() as cursor:
        table = cursor.execute("SELECT * FROM kinds").fetch_arrow_table()
    assert [field.type for field in table.schema] == [
        pa.uint64(), pa.date32(), pa.timestamp("us"), pa.duration("us"), pa.binary(), pa.int8(), pa.float64()
    ]  # fmt: skip
    assert table.to_pylist()[0] == {
        "u": 2**64 - 1, "d": datetime.date(2026, 2, 28), "m": datetime.datetime(2026, 2, 28, 1, 2, 3, 4),
        "t": datetime.timedelta(hours=-1), "b": b"\x00\xff", "f": 1, "x": 0.5,
    }  # fmt: skip


def test_updates_tell_how_many_rows_they_changed(item: adbc.Cursor) -> None:
    item.execute("UPDATE item SET price = 9 WHERE id >= 2")
    assert item.rowcount == 2
    item.execute("DELETE FROM item WHERE id = ?", (1,))
    assert item.rowcount == 1
    item.execute("CREATE TABLE IF NOT EXISTS item (id INT PRIMARY KEY)")
    item.execute("SELECT id, price FROM item")
    assert item.fetchall() == [(2, Decimal("9.00")), (3, Decimal("9.00"))]


def test_parameters_of_every_type(item: adbc.Cursor) -> None:
    values = (7, "naïve ' \\", Decimal("12.34"))
    item.execute("INSERT INTO item VALUES (?, ?, ?)", values)
    item.execute("SELECT * FROM item WHERE id = ? AND name = ?", values[:2])
    assert item.fetchall() == [values]
    moment = pa.table({"m": pa.array([datetime.datetime(2026, 1, 1, 12)], pa.timestamp("ns", "Europe/Berlin"))})
    item.execute("SELECT CAST(? AS DATETIME) AS m", moment.to_batches()[0])
    assert item.fetchall() == [(datetime.datetime(2026, 1, 1, 12),)]


def test_several_rows_of_parameters(item: adbc.Cursor) -> None:
    item.executemany("INSERT INTO item VALUES (?, ?, ?)", [(i, f"n{i}", i) for i in range(10, 20)])
    assert item.rowcount == 10
    with pytest.raises(adbc.Error, match="1062"):
        item.executemany("INSERT INTO item VALUES (?, 'x', 0)", [(30,), (31,), (30,)])
    item.execute("SELECT COUNT(*) FROM item")
    assert item.fetchall() == [(13,)]
    item.execute("SELECT name FROM item WHERE id = ?", pa.record_batch({"id": [1, 3]}))
    assert item.fetchall() == [("a",), ("c",)]


def test_a_prepared_statement_tells_its_parameters_and_columns(item: adbc.Cursor) -> None:
    schema = item.adbc_prepare("SELECT id, price * ? FROM item WHERE name = ?")
    assert schema is not None and len(schema) == 2
    schema = item.adbc_execute_schema("SELECT id + 1 AS next, name FROM item")
    assert schema.names == ["next", "name"] and pa.types.is_integer(schema.field("next").type)


def test_transactions_isolate_commit_and_roll_back(world: FlightWorld, item: adbc.Cursor) -> None:
    with world.connect(autocommit=False) as mine, mine.cursor() as cursor:
        cursor.execute("INSERT INTO item VALUES (4, 'd', 0)")
        cursor.execute("SELECT COUNT(*) FROM item")
        assert cursor.fetchall() == [(4,)]
        item.execute("SELECT COUNT(*) FROM item")
        assert item.fetchall() == [(3,)]
        mine.rollback()
        cursor.execute("SELECT id FROM item WHERE id >= 3")
        assert cursor.fetchall() == [(3,)]
        cursor.execute("INSERT INTO item VALUES (5, 'e', 0)")
        mine.commit()
        item.execute("SELECT COUNT(*) FROM item")
        assert item.fetchall() == [(4,)]


def test_a_scan_in_a_transaction_stays_at_its_snapshot(world: FlightWorld, item: adbc.Cursor) -> None:
    with world.connect(autocommit=False) as mine, mine.cursor() as cursor:
        cursor.execute("SELECT * FROM item")
        first = cursor.fetchall()
        item.execute("DELETE FROM item WHERE id = 1")
        cursor.execute("SELECT * FROM item")
        assert cursor.fetchall() == first


def test_a_lost_conflict_is_told(world: FlightWorld, item: adbc.Cursor) -> None:
    with world.connect(autocommit=False) as mine, mine.cursor() as cursor:
        cursor.execute("SET tidb_txn_mode = 'optimistic'")
        cursor.execute("UPDATE item SET price = price + 1 WHERE id = 1")
        item.execute("UPDATE item SET price = price + 10 WHERE id = 1")
        with pytest.raises(adbc.Error, match="9007"):
            mine.commit()


@pytest.mark.parametrize(
    ("sql", "says"),
    [
        ("SELEC 1", "1064"),
        ("SELECT * FROM nowhere", r"1146 \(42S02\): Table 'test.nowhere' doesn't exist"),
        ("SELECT nothing FROM item", "1054"),
        ("INSERT INTO item VALUES (1, 'again', 0)", "1062"),
        ("SELECT * FROM nowhere.item", "1049"),
    ],
)
def test_errors_are_plain(item: adbc.Cursor, sql: str, says: str) -> None:
    with pytest.raises(adbc.Error, match=says) as caught:
        item.execute(sql)
    assert "Traceback" not in str(caught.value)
    item.execute("SELECT 1")
    assert item.fetchall() == [(1,)]


def test_the_database_of_a_call_is_in_its_headers(world: FlightWorld) -> None:
    with world.sql as sql:
        sql.execute("CREATE DATABASE IF NOT EXISTS elsewhere")
        sql.execute("CREATE TABLE IF NOT EXISTS elsewhere.here (id INT PRIMARY KEY)")
    header = {"adbc.flight.sql.rpc.call_header.database": "elsewhere"}
    with world.connect(**header) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT DATABASE(), COUNT(*) FROM here")
        assert cursor.fetchall() == [("elsewhere", 0)]


def test_a_running_statement_can_be_cancelled(world: FlightWorld, item: adbc.Cursor) -> None:
    sessions = world.shared.database.sessions

    def cancel() -> None:
        wait_until(lambda: any(each.activity.statement == ENDLESS for each in list(sessions.values())))
        item.adbc_cancel()

    canceller = threading.Thread(target=cancel)
    canceller.start()
    with pytest.raises(adbc.Error, match=r"(?i)cancel"):
        item.execute(ENDLESS)
    canceller.join()
    item.execute("SELECT 1")
    assert item.fetchall() == [(1,)]


def test_savepoints(world: FlightWorld, item: adbc.Cursor) -> None:
    with world.client() as client:
        transaction = act(client, "BeginTransaction", pb.ActionBeginTransactionRequest()).transaction_id
        assert update(client, "INSERT INTO item VALUES (50, 's', 0)", transaction) == 1
        point = act(client, "BeginSavepoint", pb.ActionBeginSavepointRequest(transaction_id=transaction, name="p"))
        assert update(client, "INSERT INTO item VALUES (51, 's', 0)", transaction) == 1
        back = pb.ActionEndSavepointRequest.END_SAVEPOINT_ROLLBACK
        act(client, "EndSavepoint", pb.ActionEndSavepointRequest(savepoint_id=point.savepoint_id, action=back))
        end_transaction(client, transaction, commit=True)
        with pytest.raises(flight.FlightError, match="no such transaction"):
            update(client, "INSERT INTO item VALUES (52, 's', 0)", transaction)
    item.execute("SELECT id FROM item WHERE id >= 50")
    assert item.fetchall() == [(50,)]


def test_a_definition_does_not_end_the_transaction(world: FlightWorld, item: adbc.Cursor) -> None:
    with world.connect(autocommit=False) as mine, mine.cursor() as cursor:
        cursor.execute("CREATE TABLE IF NOT EXISTS made (id INT PRIMARY KEY)")
        cursor.execute("INSERT INTO made VALUES (1)")
        mine.rollback()
        item.execute("SELECT COUNT(*) FROM made")
        assert item.fetchall() == [(0,)]
