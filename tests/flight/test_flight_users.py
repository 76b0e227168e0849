"""Users of the catalogue over Flight SQL: who comes in, and what they may fetch, change, ingest and see."""

from __future__ import annotations

from collections.abc import Iterator

import adbc_driver_flightsql.dbapi as adbc
import pyarrow as pa
import pytest
from flight_world import FlightWorld, flight_world


@pytest.fixture(scope="module")
def world() -> Iterator[FlightWorld]:
    """Root has a password; ann may read one table."""
    with flight_world() as found, found.sql as sql:
        for statement in (
            "CREATE TABLE seen (id INT PRIMARY KEY)", "INSERT INTO seen VALUES (1), (2)",
            "CREATE TABLE hidden (id INT PRIMARY KEY)", "CREATE USER ann IDENTIFIED BY 'pw'",
            "GRANT SELECT ON test.seen TO ann", "ALTER USER root IDENTIFIED BY 'rootpw'",
        ):  # fmt: skip
            sql.execute(statement)
        yield found


def test_passwords_of_the_catalogue_open(world: FlightWorld) -> None:
    with world.connect(username="ann", password="pw") as connection, connection.cursor() as cursor:
        cursor.execute("SELECT id FROM seen ORDER BY id")
        assert cursor.fetchall() == [(1,), (2,)]
    for user, password in (("ann", "guess"), ("root", ""), ("nobody", "")):
        with pytest.raises(adbc.Error, match=r"(?i)unauth.*Access denied"):
            world.connect(username=user, password=password).close()
    with pytest.raises(adbc.Error, match=r"(?i)unauth"), world.connect() as connection, connection.cursor() as cursor:
        cursor.execute("SELECT 1")


@pytest.mark.parametrize(
    "sql", ["SELECT * FROM hidden", "SELECT COUNT(*) FROM hidden", "INSERT INTO seen VALUES (9)", "DROP TABLE seen"]
)
def test_what_is_not_granted_is_refused(world: FlightWorld, sql: str) -> None:
    with (
        world.connect(username="ann", password="pw") as connection,
        connection.cursor() as cursor,
        pytest.raises(adbc.Error, match="command denied to user 'ann'"),
    ):
        cursor.execute(sql)


def test_ingest_and_metadata_ask_too(world: FlightWorld) -> None:
    rows = pa.table({"id": pa.array([5], pa.int32())})
    with world.connect(username="ann", password="pw") as connection, connection.cursor() as cursor:
        for table, mode in (("seen", "append"), ("fresh", "create"), ("seen", "replace")):
            with pytest.raises(adbc.Error, match="command denied to user 'ann'"):
                cursor.adbc_ingest(table, rows, mode=mode)
        objects = connection.adbc_get_objects(depth="tables", db_schema_filter="test").read_all().to_pylist()
        tables = [table["table_name"] for table in objects[0]["catalog_db_schemas"][0]["db_schema_tables"]]
        assert tables == ["seen"]
    with world.sql as sql:
        assert sql.execute("SELECT COUNT(*) FROM seen").fetchall() == [(2,)]
