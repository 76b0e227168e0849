"""Ingestion: every mode, few rows and many, in transactions, empty, too large, wrong."""

from __future__ import annotations

import adbc_driver_flightsql.dbapi as adbc
import pyarrow as pa
import pytest
from flight_world import FlightWorld, act, end_transaction, ingest_into

from rutile.flight import ingest
from rutile.ingest.arrow_ingest import BULK_ROWS
from rutile_proto import flightsqlpb_pb2 as pb

FEW = pa.table({"id": [1, 2, 3], "name": ["a", "b", None]})


def count(cursor: adbc.Cursor, table: str) -> int:
    cursor.execute(f"SELECT COUNT(*) FROM {table}")
    return int(cursor.fetchall()[0][0])


def many(rows: int = BULK_ROWS + 5000, start: int = 0) -> pa.RecordBatchReader:
    """Enough rows for the bulk path."""
    ids = pa.array(range(start, start + rows))
    return pa.table({"id": ids, "name": ids.cast(pa.string())}).to_reader(max_chunksize=8000)


@pytest.fixture
def cursor(connection: adbc.Connection, request: pytest.FixtureRequest) -> adbc.Cursor:
    with connection.cursor() as opened:
        opened.execute("DROP TABLE IF EXISTS t")
        yield opened


def test_the_four_modes(cursor: adbc.Cursor) -> None:
    assert cursor.adbc_ingest("t", FEW, mode="create") == 3
    with pytest.raises(adbc.Error, match="1050"):
        cursor.adbc_ingest("t", FEW, mode="create")
    assert cursor.adbc_ingest("t", FEW, mode="append") == 3
    assert cursor.adbc_ingest("t", FEW, mode="create_append") == 3
    assert count(cursor, "t") == 9
    assert cursor.adbc_ingest("t", pa.table({"other": [1.5]}), mode="replace") == 1
    cursor.execute("SELECT * FROM t")
    assert cursor.fetch_arrow_table().to_pylist() == [{"other": 1.5}]
    cursor.execute("DROP TABLE t")
    with pytest.raises(adbc.Error, match="1146"):
        cursor.adbc_ingest("t", FEW, mode="append")
    assert cursor.adbc_ingest("t", FEW, mode="create_append") == 3


@pytest.mark.parametrize("mode", ["create", "replace", "append", "create_append"])
def test_many_rows(cursor: adbc.Cursor, mode: str) -> None:
    if mode != "create":
        cursor.execute("CREATE TABLE t (id BIGINT PRIMARY KEY, name VARCHAR(20))")
    assert cursor.adbc_ingest("t", many(), mode=mode) == BULK_ROWS + 5000
    cursor.execute("SELECT COUNT(*), MIN(id), MAX(id), COUNT(DISTINCT name) FROM t")
    assert cursor.fetchall() == [(25_000, 0, 24_999, 25_000)]


def test_many_rows_into_a_table_with_rows(cursor: adbc.Cursor) -> None:
    cursor.execute("CREATE TABLE t (id BIGINT PRIMARY KEY, name VARCHAR(20))")
    cursor.execute("INSERT INTO t VALUES (-1, 'first')")
    assert cursor.adbc_ingest("t", many(), mode="append") == 25_000
    with pytest.raises(adbc.Error, match="1062"):
        cursor.adbc_ingest("t", many(start=24_999), mode="append")
    assert count(cursor, "t") == 25_001


def test_a_duplicate_among_many_leaves_nothing(cursor: adbc.Cursor) -> None:
    cursor.execute("CREATE TABLE t (id BIGINT PRIMARY KEY, name VARCHAR(20))")
    twice = pa.concat_tables([many().read_all(), many(1).read_all()]).to_reader(max_chunksize=8000)
    with pytest.raises(adbc.Error, match="1062"):
        cursor.adbc_ingest("t", twice, mode="append")
    assert count(cursor, "t") == 0


def test_within_a_transaction(world: FlightWorld, cursor: adbc.Cursor) -> None:
    cursor.execute("CREATE TABLE t (id BIGINT PRIMARY KEY, name VARCHAR(20))")
    with world.client() as client:  # ADBC's driver does not say in which transaction it ingests
        for commit, expected in [(False, 0), (True, 3)]:
            transaction = act(client, "BeginTransaction", pb.ActionBeginTransactionRequest()).transaction_id
            assert ingest_into(client, "t", FEW, transaction_id=transaction) == 3
            assert count(cursor, "t") == 0
            end_transaction(client, transaction, commit=commit)
            assert count(cursor, "t") == expected


def test_fewer_columns_than_the_table_has(cursor: adbc.Cursor) -> None:
    cursor.execute("CREATE TABLE t (id BIGINT PRIMARY KEY AUTO_INCREMENT, name VARCHAR(20), n INT DEFAULT 7)")
    assert cursor.adbc_ingest("t", pa.table({"NAME": ["x", "y"]}), mode="append") == 2
    cursor.execute("SELECT id, name, n FROM t")
    assert cursor.fetchall() == [(1, "x", 7), (2, "y", 7)]


def test_into_another_database(cursor: adbc.Cursor) -> None:
    cursor.execute("CREATE DATABASE IF NOT EXISTS other")
    assert cursor.adbc_ingest("t", FEW, mode="replace", db_schema_name="other") == 3
    assert count(cursor, "other.t") == 3
    with pytest.raises(adbc.Error, match="1049"):
        cursor.adbc_ingest("t", FEW, mode="create", db_schema_name="missing")
    with pytest.raises(adbc.Error, match="1049"):
        cursor.adbc_ingest("t", FEW, mode="create", catalog_name="missing")


def test_what_cannot_be_ingested(cursor: adbc.Cursor, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(adbc.Error, match="temporary table"):
        cursor.adbc_ingest("t", FEW, mode="create", temporary=True)
    with pytest.raises(adbc.Error, match="no SQL type"):
        cursor.adbc_ingest("t", pa.table({"x": [[1, 2]]}), mode="create")
    monkeypatch.setattr(ingest, "MAX_BATCH_BYTES", 1000)
    with pytest.raises(adbc.Error, match=r"1153.*smaller batches"):
        cursor.adbc_ingest("t", pa.table({"x": range(1000)}), mode="create")
    with pytest.raises(adbc.Error, match="1146"):
        count(cursor, "t")


def test_wrong_values_change_nothing(cursor: adbc.Cursor) -> None:
    cursor.execute("CREATE TABLE t (id TINYINT PRIMARY KEY)")
    with pytest.raises(adbc.Error, match=r"1264|1366"):
        cursor.adbc_ingest("t", pa.table({"id": [1, 1000]}), mode="append")
    with pytest.raises(adbc.Error, match="1054"):
        cursor.adbc_ingest("t", pa.table({"nothing": [1]}), mode="append")
    assert count(cursor, "t") == 0


def test_no_rows_make_an_empty_table(cursor: adbc.Cursor) -> None:
    empty = pa.RecordBatchReader.from_batches(FEW.schema, [pa.RecordBatch.from_pylist([], schema=FEW.schema)])
    assert cursor.adbc_ingest("t", empty, mode="create") == 0
    cursor.execute("SELECT * FROM t")
    assert cursor.fetch_arrow_table().schema.names == ["id", "name"]


def test_a_key_for_the_new_table(world: FlightWorld) -> None:
    """CommandStatementIngest's options name it; the Python driver cannot send any."""
    table = pa.table({"id": [1, 2], "name": ["a", "b"]})
    with world.client() as client:
        assert ingest_into(client, "keyed", table, options={"primary_key": "id, name"}) == 2
    with world.sql as sql:
        assert "PRIMARY KEY (`id`,`name`)" in sql.execute("SHOW CREATE TABLE keyed").fetchall()[0][1]
