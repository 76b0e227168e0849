"""The entries of an index are those its rows should have, whatever statements made the rows; the codec keeps order."""

from __future__ import annotations

import asyncio
from decimal import Decimal

from fake_client import FakeClient
from hypothesis import given, settings
from hypothesis import strategies as hs
from sql_runner import make_database

from rutile.errors import SqlError
from rutile.rows.access import TableAccess
from rutile.session.engine import Database
from rutile_coprocessor.index_entries import IndexCodec
from rutile_coprocessor.schema import Column, ColumnType, Kind
from rutile_proto.keys import table_prefix

COLUMNS = [
    (Column(1, "i", ColumnType(Kind.INT)), None),
    (Column(2, "s", ColumnType(Kind.VARCHAR, length=20)), None),
    (Column(3, "u", ColumnType(Kind.BIGINT, unsigned=True)), None),
    (Column(4, "d", ColumnType(Kind.DECIMAL, precision=6, scale=2)), None),
    (Column(5, "x", ColumnType(Kind.DOUBLE)), None),
    (Column(6, "b", ColumnType(Kind.BLOB, length=100)), 3),
]
optional = hs.tuples(
    hs.none() | hs.integers(-5, 5),
    hs.none() | hs.text("ab\0é", max_size=9),
    hs.none() | hs.integers(0, 2**64 - 1),
    hs.none() | hs.integers(-999, 999).map(lambda unscaled: Decimal(unscaled) / 100),
    hs.none() | hs.floats(-4, 4),
    hs.none() | hs.binary(max_size=3),
)


def order_of(values: tuple[object, ...]) -> list[tuple[bool, object]]:
    """NULL first, then by value; texts by their UTF-8; zero has no sign."""
    return [(value is not None, _plain(value)) for value in values]


def _plain(value: object) -> object:
    if isinstance(value, str):
        return value.encode()
    return value + 0.0 if isinstance(value, float) else value if value is not None else 0


@given(optional, optional)
def test_entries_sort_as_their_values_and_decode_to_them(left: tuple[object, ...], right: tuple[object, ...]) -> None:
    codec = IndexCodec(COLUMNS)
    first, second = codec.encode(left), codec.encode(right)  # type: ignore[arg-type]
    assert (first < second) == (order_of(left) < order_of(right))  # type: ignore[operator]
    assert codec.decode(b"xx" + first + b"handle", 2) == (list(left), 2 + len(first))
    assert first.startswith(codec.encode(left[:2]))  # type: ignore[arg-type]


def test_prefix_columns_keep_characters_of_texts_and_bytes_of_binaries() -> None:
    text = IndexCodec([(Column(1, "s", ColumnType(Kind.TEXT, length=100)), 2)])
    assert text.encode(["éèê"]) == text.encode(["éè"]) != text.encode(["é"])


small = hs.none() | hs.integers(0, 3)
rows = hs.tuples(hs.integers(0, 4), small, small, hs.sampled_from(["NULL", "'a'", "'ab'", "'abc'", "'abd'"]))
statements = hs.one_of(
    hs.tuples(hs.sampled_from(["INSERT", "INSERT IGNORE", "REPLACE"]), hs.lists(rows, min_size=1, max_size=3)).map(
        lambda each: f"{each[0]} INTO t VALUES {listed(each[1])}"
    ),
    rows.map(
        lambda row: f"INSERT INTO t VALUES {listed([row])} ON DUPLICATE KEY UPDATE a = VALUES(a), s = CONCAT(s, 'x')"
    ),
    hs.tuples(hs.integers(0, 4), small).map(lambda each: f"UPDATE t SET b = {shown(each[1])} WHERE id = {each[0]}"),
    hs.tuples(hs.integers(0, 3), small).map(lambda each: f"UPDATE t SET a = {shown(each[1])} WHERE b = {each[0]}"),
    hs.integers(0, 4).map(lambda key: f"UPDATE t SET id = id + 1, s = 'abcdef' WHERE id = {key}"),
    hs.integers(0, 3).map(lambda value: f"DELETE FROM t WHERE a = {value}"),
    hs.sampled_from(["BEGIN", "COMMIT", "ROLLBACK", "UPDATE t SET a = a + 1 ORDER BY a DESC"]),
)


def shown(value: object) -> str:
    return "NULL" if value is None else str(value)


def listed(given_rows: list[tuple[object, ...]]) -> str:
    return ", ".join(f"({', '.join(map(shown, row))})" for row in given_rows)


def check_table(database: Database, client: FakeClient) -> None:
    """Every pair under the table's prefix is a row or one of the entries its rows should have."""
    catalog = database.catalog.cached()
    assert catalog is not None
    info = catalog.table("test", "t")
    assert info is not None
    table = TableAccess(info)
    prefix = table_prefix(info.table_id)
    pairs = {key: value for key, value in client.store.scan(b"t", b"u", client.store.clock) if key.startswith(prefix)}
    wanted: dict[bytes, bytes] = {}
    for key, value in pairs.items():
        if key.startswith(table.prefix):
            wanted[key] = value
            for index in table.indexes:
                entry = index.entry(table.rows.decode_row(value), table.handle_of(key))
                assert entry.key not in wanted, "a unique key is there twice"
                wanted[entry.key] = entry.value
    assert pairs == wanted


async def run(script: list[str], key: str) -> None:
    client = FakeClient()
    database = make_database(client)
    await database.start()
    session = await database.session("test")
    await session.execute(
        f"CREATE TABLE t (id INT{key}, a INT UNIQUE, b INT, s VARCHAR(30), KEY (b, s(2)), UNIQUE KEY (b, s))"
    )
    for sql in script:
        try:
            await session.execute(sql)
        except SqlError as error:
            assert error.code in (1062, 1048), (sql, error)
    await session.execute("COMMIT")
    check_table(database, client)
    await session.close()
    await database.close()


@given(hs.lists(statements, max_size=12), hs.sampled_from([" PRIMARY KEY", ""]))
@settings(max_examples=25, deadline=None)
def test_the_index_is_what_the_rows_say(script: list[str], key: str) -> None:
    asyncio.run(run(script, key))
