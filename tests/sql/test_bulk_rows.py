"""Rows encoded in bulk are byte for byte those that INSERT writes, index entries with them."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from rutile.catalog.indexes import IndexColumn, IndexInfo
from rutile.catalog.model import TableInfo
from rutile.ingest.bulk_rows import BulkEncoder
from rutile.rows.access import TableAccess
from rutile_coprocessor.column_types import ColumnType, Kind
from rutile_coprocessor.schema import Column, TableSchema
from rutile_kv.client.bulk import encode_puts
from rutile_kv.client.bulk_load import CommittedRows
from rutile_proto.keys import storage_key

COLUMNS = (
    Column(1, "id", ColumnType(Kind.BIGINT, unsigned=True), nullable=False),
    Column(2, "name", ColumnType(Kind.VARCHAR, length=400)),
    Column(3, "price", ColumnType(Kind.DECIMAL, precision=24, scale=2)),
    Column(4, "small", ColumnType(Kind.DECIMAL, precision=9, scale=3)),
    Column(5, "weight", ColumnType(Kind.DOUBLE)),
    Column(6, "day", ColumnType(Kind.DATE)),
    Column(7, "long", ColumnType(Kind.TIME, scale=6)),
    Column(8, "data", ColumnType(Kind.BLOB)),
)
INDEXES = (
    IndexInfo(1, "by_all", tuple(IndexColumn(column.id) for column in COLUMNS[:7])),
    IndexInfo(2, "by_name", (IndexColumn(2, 3), IndexColumn(8, 2)), unique=True),
    IndexInfo(3, "by_day", (IndexColumn(6),), unique=True),
)
ROWS = st.lists(
    st.tuples(
        st.integers(0, 2**64 - 1),
        st.none() | st.text(max_size=300),
        st.none() | st.decimals(-(10**20), 10**20, places=2),
        st.none() | st.decimals(-(10**5), 10**5, places=3),
        st.none() | st.floats(allow_nan=False, allow_infinity=False),
        st.none() | st.dates(date(1000, 1, 1)),
        st.none() | st.timedeltas(timedelta(hours=-838), timedelta(hours=838)),
        st.none() | st.binary(max_size=20),
    ),
    max_size=12,
    unique_by=lambda row: row[0],
)


def access(handle: str) -> TableAccess:
    key = {"int": (1,), "common": (3, 1), "hidden": ()}[handle]
    columns = tuple(Column(each.id, each.name, each.type, each.id not in key) for each in COLUMNS)
    return TableAccess(TableInfo(TableSchema(77, "t", columns, key, handle), indexes=INDEXES))  # type: ignore[arg-type]


@given(ROWS, st.sampled_from(["int", "common", "hidden"]))
def test_in_bulk_as_one_by_one(rows: list[tuple[object, ...]], handle: str) -> None:
    table = access(handle)
    rows = [
        tuple(Decimal(1) if handle == "common" and at == 2 and v is None else v for at, v in enumerate(r)) for r in rows
    ]
    columns = [pa.array([row[at] for row in rows], field.type) for at, field in enumerate(table.schema.arrow_schema())]
    batch = pa.record_batch(columns, table.schema.arrow_schema())
    encoded = BulkEncoder(table, 5, 7).encode(batch, 100)
    expected = []
    for number, row in enumerate(rows):
        key = table.key_of_row(row, 100 + number if handle == "hidden" else None)
        expected.append((storage_key(key), table.rows.encode_row(row)))
        entries = [index.entry(row, table.handle_of(key)) for index in table.indexes]
        expected += [(storage_key(entry.key), entry.value) for entry in entries]
    found = list(zip(encoded.rows.storage_keys.to_pylist(), encoded.rows.values.to_pylist(), strict=True))
    assert sorted(found) == sorted(expected)
    assert [key for key, _ in found] == sorted(key for key, _ in expected)
    again, distinct = BulkEncoder(table, 5, 7).keys(batch, 100)
    assert again == encoded.keys and distinct == encoded.distinct
    alone = {storage_key(entry.key) for row in rows for index in table.unique_indexes
             for entry in [index.entry(row, b"")] if entry.distinct}  # fmt: skip
    assert {key.as_py() for keys in distinct for key in keys if key.is_valid} == alone


@given(st.dictionaries(st.binary(min_size=1, max_size=9), st.binary(max_size=300), max_size=20))
def test_committed_rows_are_what_single_puts_are(pairs: dict[bytes, bytes]) -> None:
    ordered = sorted(pairs.items())
    rows = CommittedRows.of([storage_key(key) for key, _ in ordered], [value for _, value in ordered], 5, 7)
    entries, expected = rows.entries(), encode_puts(ordered, 5, 7)
    assert entries == expected
