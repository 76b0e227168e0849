"""What clients learn of the database: objects, schemas, keys, types, the server."""

from __future__ import annotations

import adbc_driver_flightsql.dbapi as adbc
import pyarrow as pa
import pytest
from flight_world import FlightWorld
from google.protobuf.message import Message
from pyarrow import flight

from rutile.flight.wire import pack
from rutile_proto import flightsqlpb_pb2 as pb


@pytest.fixture(autouse=True, scope="module")
def tables(world: FlightWorld) -> None:
    with world.sql as sql:
        sql.execute("CREATE TABLE shift (day DATE, person VARCHAR(20), hours DECIMAL(4, 2), PRIMARY KEY (day, person))")
        sql.execute("CREATE TABLE plain (x BIGINT UNSIGNED NOT NULL, j JSON)")
        sql.execute("CREATE DATABASE other")
        sql.execute("CREATE TABLE other.shift (id INT PRIMARY KEY)")


def ask(world: FlightWorld, command: Message) -> pa.Table:
    """A command's rows, their schema compared with what was told."""
    with world.client() as client:
        descriptor = flight.FlightDescriptor.for_command(pack(command))
        info = client.get_flight_info(descriptor)
        table = client.do_get(info.endpoints[0].ticket).read_all()
        assert table.schema.equals(info.schema) and table.schema.equals(client.get_schema(descriptor).schema)
        return table


def test_objects_in_depth(connection: adbc.Connection) -> None:
    (catalog,) = connection.adbc_get_objects(depth="all").read_all().to_pylist()
    assert catalog["catalog_name"] == "def"
    schemas = {each["db_schema_name"]: each["db_schema_tables"] for each in catalog["catalog_db_schemas"]}
    assert sorted(schemas) == ["information_schema", "other", "test"]
    found = {each["table_name"]: each for each in schemas["test"]}
    assert [column["column_name"] for column in found["shift"]["table_columns"]] == ["day", "person", "hours"]
    assert found["shift"]["table_type"] == "BASE TABLE"


def test_table_schemas(connection: adbc.Connection) -> None:
    schema = connection.adbc_get_table_schema("plain", db_schema_filter="test")
    assert schema.names == ["x", "j"]
    assert (schema.field("x").type, schema.field("x").nullable) == (pa.uint64(), False)
    assert connection.adbc_get_table_types() == ["BASE TABLE", "SYSTEM VIEW"]
    with pytest.raises(adbc.Error):
        connection.adbc_get_table_schema("missing", db_schema_filter="test")


def test_filters(world: FlightWorld) -> None:
    assert ask(world, pb.CommandGetCatalogs()).to_pylist() == [{"catalog_name": "def"}]
    assert ask(world, pb.CommandGetDbSchemas(db_schema_filter_pattern="t%")).column(1).to_pylist() == ["test"]
    assert ask(world, pb.CommandGetDbSchemas(catalog="none")).num_rows == 0
    found = ask(world, pb.CommandGetTables(table_name_filter_pattern="sh_ft", table_types=["BASE TABLE"]))
    assert found.select([1, 2]).to_pylist() == [
        {"db_schema_name": "other", "table_name": "shift"},
        {"db_schema_name": "test", "table_name": "shift"},
    ]
    assert ask(world, pb.CommandGetTables(table_types=["VIEW"])).num_rows == 0
    system = ask(world, pb.CommandGetTables(table_types=["SYSTEM VIEW"], include_schema=True)).to_pylist()
    assert "tables" in [each["table_name"].lower() for each in system]
    assert "TABLE_NAME" in pa.ipc.read_schema(pa.py_buffer(system[1]["table_schema"])).names


def test_keys(world: FlightWorld) -> None:
    keys = ask(world, pb.CommandGetPrimaryKeys(db_schema="test", table="shift")).to_pylist()
    assert [(key["column_name"], key["key_sequence"]) for key in keys] == [("day", 1), ("person", 2)]
    assert ask(world, pb.CommandGetPrimaryKeys(table="plain")).num_rows == 0
    assert ask(world, pb.CommandGetImportedKeys(table="shift")).num_rows == 0
    assert ask(world, pb.CommandGetExportedKeys(table="shift")).num_rows == 0
    assert ask(world, pb.CommandGetCrossReference(pk_table="shift", fk_table="plain")).num_rows == 0


def test_the_server_and_its_types(world: FlightWorld, connection: adbc.Connection) -> None:
    assert connection.adbc_get_info()["vendor_name"] == "Rutile"
    some = ask(world, pb.CommandGetSqlInfo(info=[0, 3, 8, 508, 9999]))
    assert dict(zip(*map(pa.ChunkedArray.to_pylist, some.columns), strict=True))[8] == 2
    types = ask(world, pb.CommandGetXdbcTypeInfo()).column("type_name").to_pylist()
    assert {"BIGINT", "VARCHAR", "DECIMAL", "JSON"} <= set(types)
    assert ask(world, pb.CommandGetXdbcTypeInfo(data_type=12)).column("type_name").to_pylist() == ["VARCHAR"]


def test_what_is_not_served_says_so(world: FlightWorld) -> None:
    with world.client() as client:
        for descriptor, says in [
            (flight.FlightDescriptor.for_path("a"), "no paths"),
            (flight.FlightDescriptor.for_command(b"hello"), "not a Flight SQL message"),
            (flight.FlightDescriptor.for_command(pack(pb.DoPutUpdateResult())), "DoPutUpdateResult"),
        ]:
            with pytest.raises(flight.FlightError, match=says) as caught:
                client.get_flight_info(descriptor)
            assert "Traceback" not in str(caught.value)
        with pytest.raises(flight.FlightError, match="Shutdown"):
            list(client.do_action(flight.Action("Shutdown", b"")))
        assert "BeginTransaction" in [action.type for action in client.list_actions()]
