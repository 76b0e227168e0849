"""Table schemas: JSON round trip, MySQL's type names, layouts."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from decimal import Decimal

import pyarrow as pa
import pytest

from rutile_coprocessor.schema import HIDDEN_HANDLE, Column, ColumnType, Kind, Scalar, TableSchema
from rutile_proto.errors import InvalidRequest

ID = Column(1, "id", ColumnType(Kind.BIGINT), nullable=False, auto_increment=True)


@pytest.mark.parametrize(
    "value",
    [None, 1, 1.5, "é", b"\x00\xff", Decimal("1.50"), date(2024, 2, 29), datetime(2024, 2, 29, 1), timedelta(hours=-9)],
    ids=repr,
)
def test_schema_round_trips_as_json_with_any_default(value: Scalar) -> None:
    column = Column(2, "v", ColumnType(Kind.VARCHAR, length=5), default=value, comment="it's")
    schema = TableSchema(3, "t", (ID,), (1,), "int", database="d").add_column(column).drop_column("v")
    again = TableSchema.from_bytes(schema.to_bytes())
    assert again == schema
    assert type(again.dropped[0].default) is type(value)


def test_malformed_schema_bytes_are_refused() -> None:
    for data in (b"", b"{", b"[]", b"{}", b'{"columns": 3}'):
        with pytest.raises(InvalidRequest):
            TableSchema.from_bytes(data)


@pytest.mark.parametrize(
    ("kind", "name", "arrow"),
    [
        (ColumnType(Kind.BOOL), "tinyint(1)", pa.int8()),
        (ColumnType(Kind.BIGINT, unsigned=True), "bigint unsigned", pa.uint64()),
        (ColumnType(Kind.DECIMAL, precision=15, scale=2), "decimal(15,2)", pa.decimal128(15, 2)),
        (ColumnType(Kind.VARCHAR, length=25), "varchar(25)", pa.string()),
        (ColumnType(Kind.TEXT), "text", pa.string()),
        (ColumnType(Kind.BLOB, length=2**32 - 1), "longblob", pa.binary()),
        (ColumnType(Kind.DATETIME, scale=6), "datetime(6)", pa.timestamp("us")),
        (ColumnType(Kind.TIME), "time", pa.duration("us")),
        (ColumnType(Kind.MEDIUMINT), "mediumint", pa.int32()),
    ],
)
def test_type_names_and_arrow_types(kind: ColumnType, name: str, arrow: pa.DataType) -> None:
    assert kind.mysql_name() == name
    assert kind.arrow_type == arrow


def test_bounds_of_types_are_named() -> None:
    for kind, fields in ((Kind.DECIMAL, {"precision": 39}), (Kind.TIME, {"scale": 7}), (Kind.CHAR, {"length": 256})):
        with pytest.raises(InvalidRequest):
            ColumnType(kind, **fields)


def test_inconsistent_schemas_are_refused() -> None:
    with pytest.raises(InvalidRequest, match="name is used twice"):
        TableSchema(1, "t", (ID, Column(2, "ID", ID.type)))
    with pytest.raises(InvalidRequest, match="handle and key do not agree"):
        TableSchema(1, "t", (ID,), (1,), "hidden")
    with pytest.raises(InvalidRequest, match="one integer column"):
        TableSchema(1, "t", (Column(1, "s", ColumnType(Kind.TEXT)),), (1,), "int")
    with pytest.raises(InvalidRequest, match="belongs to the primary key"):
        TableSchema(1, "t", (ID,), (1,), "int").drop_column("id")


def test_names_are_found_in_any_case_and_the_hidden_handle_can_be_scanned() -> None:
    schema = TableSchema(1, "t", (Column(1, "Name", ColumnType(Kind.TEXT)),))
    assert schema.column("NAME").id == 1
    assert schema.arrow_schema(["name", HIDDEN_HANDLE]).names == ["Name", HIDDEN_HANDLE]
    with pytest.raises(InvalidRequest, match="no column nope"):
        schema.column("nope")
