"""Whole queries over typed columns, and what is refused."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from decimal import Decimal as D
from typing import Any

import pyarrow as pa
import pytest
import sqlglot
from sqlglot.optimizer.qualify import qualify

from rutile.errors import SqlError
from rutile.translate import duckdb_sql
from rutile_coprocessor.execute import Executor
from rutile_coprocessor.fragment import Fragment, Scan
from rutile_coprocessor.schema import Column, ColumnType, Kind, TableSchema
from rutile_proto.errors import FragmentFailed

KINDS = {
    "id": ColumnType(Kind.INT),
    "small": ColumnType(Kind.TINYINT),
    "big": ColumnType(Kind.BIGINT, unsigned=True),
    "price": ColumnType(Kind.DECIMAL, precision=15, scale=2),
    "x": ColumnType(Kind.DOUBLE),
    "name": ColumnType(Kind.VARCHAR, length=20),
    "code": ColumnType(Kind.VARCHAR, length=20),
    "raw": ColumnType(Kind.VARBINARY, length=20),
    "day": ColumnType(Kind.DATE),
    "at": ColumnType(Kind.DATETIME),
    "span": ColumnType(Kind.TIME),
    "doc": ColumnType(Kind.JSON),
}
SCHEMA = TableSchema(1, "t", tuple(Column(place + 1, name, kind) for place, (name, kind) in enumerate(KINDS.items())))
ROWS: list[tuple[Any, ...]] = [
    (1, 100, 5, D("10.10"), 0.5, "ann", "7", b"\x01", date(2024, 1, 31), datetime(2024, 1, 31, 8, 0, 5),
     timedelta(hours=30), '{"a": 1}'),
    (2, 100, 2**64 - 1, D("20.25"), 1.5, "bob", "12x", b"\x02\x03", date(2024, 2, 29),
     datetime(2024, 2, 29, 23, 59, 59), timedelta(hours=-1), "[1, 2]"),
    (3, -1, 7, D("0.05"), None, "ann", "abc", None, None, None, None, None),
    (2147483647, None, None, None, 2.0, None, None, None, date(2023, 12, 31), None, None, '"s"'),
]  # fmt: skip

QUERIES: list[tuple[str, list[tuple[Any, ...]]]] = [
    ("SELECT AVG(id), AVG(price), AVG(x) FROM t WHERE id < 4", [(D("2.0000"), D("10.133333"), 1.0)]),
    ("SELECT SUM(small), SUM(price), SUM(code) FROM t", [(D("199"), D("30.40"), 19.0)]),
    ("SELECT id + 1, small + small, small * 2 FROM t WHERE id > 3 OR id = 1 ORDER BY id",
     [(2, 200, 200), (2147483648, None, None)]),
    ("SELECT price / id, id / price, id / x FROM t WHERE id = 2", [(D("10.125000"), D("0.0988"), 2 / 1.5)]),
    ("SELECT name FROM t WHERE code = 7", [("ann",)]),
    ("SELECT id FROM t WHERE code < 10 ORDER BY id", [(1,), (3,)]),
    ("SELECT id FROM t WHERE id = '2'", [(2,)]),
    ("SELECT id FROM t WHERE day = '2024-01-31'", [(1,)]),
    ("SELECT id FROM t WHERE day < '2024-02-29 00:00:01' AND day > '2024-01-31' ", [(2,)]),
    ("SELECT id FROM t WHERE at >= '2024-02-29' AND at < DATE '2024-02-29' + INTERVAL 1 DAY", [(2,)]),
    ("SELECT id FROM t WHERE span > '29:59:59'", [(1,)]),
    ("SELECT day + INTERVAL 1 MONTH, at - INTERVAL 1 SECOND FROM t WHERE id = 1",
     [(date(2024, 2, 29), datetime(2024, 1, 31, 8, 0, 4))]),
    ("SELECT HOUR(span), MINUTE(at), span FROM t WHERE id = 1", [(30, 0, timedelta(hours=30))]),
    ("SELECT id FROM t WHERE price LIKE '20%'", [(2,)]),
    ("SELECT LENGTH(raw), LENGTH(name), HEX(raw), LENGTH(day) FROM t WHERE id = 2", [(2, 3, "0203", 10)]),
    ("SELECT CONCAT(id, '-', price, '-', x, '-', day, '-', at) FROM t WHERE id = 1",
     [("1-10.10-0.5-2024-01-31-2024-01-31 08:00:05",)]),
    ("SELECT id > 1, id = NULL FROM t WHERE small ORDER BY id LIMIT 1", [(0, None)]),
    ("SELECT name, COUNT(*) AS n FROM t GROUP BY name ORDER BY name", [(None, 1), ("ann", 2), ("bob", 1)]),
    ("SELECT name FROM t GROUP BY name ORDER BY name DESC", [("bob",), ("ann",), (None,)]),
    ("SELECT name AS who, SUM(id > 1) FROM t WHERE name IS NOT NULL GROUP BY who ORDER BY 1",
     [("ann", D(1)), ("bob", D(1))]),
    ("SELECT id FROM t ORDER BY price LIMIT 1, 2", [(3,), (1,)]),
    ("SELECT name, SUM(id) FROM t WHERE id < 4 GROUP BY name WITH ROLLUP ORDER BY 2",
     [("bob", D(2)), ("ann", D(4)), (None, D(6))]),
    ("SELECT GROUP_CONCAT(id ORDER BY id DESC SEPARATOR ';') FROM t WHERE name = 'ann'", [("3;1",)]),
    ("SELECT GROUP_CONCAT(DISTINCT name ORDER BY name) FROM t", [("ann,bob",)]),
    ("SELECT id, AVG(small) OVER (PARTITION BY name) FROM t WHERE id < 4 ORDER BY id",
     [(1, D("49.5000")), (2, D("100.0000")), (3, D("49.5000"))]),
    ("SELECT id, ROW_NUMBER() OVER (ORDER BY price) AS r FROM t WHERE id < 4 ORDER BY r", [(3, 1), (1, 2), (2, 3)]),
    ("SELECT SUM(id) OVER (PARTITION BY name ORDER BY NULL) FROM t WHERE id = 1", [(D("1"),)]),
    ("SELECT LAG(id, 1, 0) OVER (ORDER BY id) FROM t WHERE id < 3 ORDER BY id", [(0,), (1,)]),
    ("SELECT q.half FROM (SELECT id / 2 AS half, day FROM t) AS q WHERE q.half > 1.4 AND q.half < 5", [(D("1.5000"),)]),
    ("WITH q AS (SELECT day AS d FROM t WHERE day IS NOT NULL) SELECT MAX(d) + INTERVAL 1 DAY FROM q",
     [(date(2024, 3, 1),)]),
    ("SELECT id FROM t AS a WHERE price = (SELECT MAX(b.price) FROM t AS b WHERE b.name = a.name) ORDER BY id",
     [(1,), (2,)]),
    ("SELECT id FROM t WHERE id IN (SELECT id FROM t WHERE price > 10) ORDER BY id", [(1,), (2,)]),
    ("SELECT id FROM t WHERE EXISTS (SELECT 1) AND id < 2 UNION ALL SELECT id + 10 FROM t WHERE id = 2", [(1,), (12,)]),
    ("SELECT COUNT(DISTINCT name, small), COUNT(DISTINCT name) FROM t", [(3, 2)]),
    ("SELECT BIT_OR(id), BIT_AND(id), BIT_XOR(small) FROM t WHERE id < 4", [(3, 0, 2**64 - 1)]),
    ("SELECT STD(id), VAR_SAMP(id) FROM t WHERE id < 3", [(0.5, 0.5)]),
    ("SELECT IF(name = 'ann', price, x) FROM t WHERE id < 3 ORDER BY id", [(10.1,), (1.5,)]),
    ("SELECT COALESCE(code, id) FROM t WHERE id > 3", [("2147483647",)]),
    ("SELECT doc->>'$.a', JSON_LENGTH(doc) FROM t WHERE id < 3 ORDER BY id", [("1", 1), (None, 2)]),
    ("SELECT big + 0, big & 255, -small FROM t WHERE id = 1", [(5, 5, -100)]),
    ("SELECT CASE small WHEN 100 THEN 'x' WHEN -1 THEN 2 END FROM t WHERE id <= 3 ORDER BY id",
     [("x",), ("x",), ("2",)]),
    ("SELECT MIN(day), MAX(span), MIN(id > 1) FROM t", [(date(2023, 12, 31), timedelta(hours=30), 0)]),
    ("SELECT id FROM t WHERE price BETWEEN '0.05' AND 11 ORDER BY id", [(1,), (3,)]),
    ("SELECT id FROM t WHERE (id, name) IN ((1, 'ann'), (2, 'ann'))", [(1,)]),
    ("SELECT id FROM t WHERE raw = x'01'", [(1,)]),
    ("SELECT a.id FROM t AS a STRAIGHT_JOIN t AS b ON a.id = b.id AND b.small WHERE a.name = 'bob'", [(2,)]),
    ("SELECT a.id FROM t AS a LEFT JOIN t AS b ON b.id = a.id + 1 WHERE b.id IS NULL ORDER BY NULL",
     [(3,), (2147483647,)]),
    ("SELECT id FROM t USE INDEX (x) WHERE id = 1 FOR UPDATE", [(1,)]),
    ("SELECT CAST(TIMEDIFF(at, '2024-01-30 00:00:00') AS CHAR) FROM t WHERE id = 1", [("32:00:05",)]),
    ("SELECT f + 1 FROM (SELECT id > 1 AS f FROM t WHERE id < 3) AS q ORDER BY 1", [(1,), (2,)]),
    ("SELECT n FROM (SELECT DISTINCT name AS n FROM t) AS q WHERE n > '' UNION SELECT 'zed' ORDER BY 1 DESC LIMIT 2",
     [("zed",), ("bob",)]),
    ("WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r WHERE n < 3) SELECT SUM(n) / 4 FROM r",
     [(D("1.5000"),)]),
    ("SELECT `id` FROM `t` WHERE name <=> NULL", [(2147483647,)]),
    ("SELECT DATE_FORMAT(day, '%Y/%m'), WEEK(day) FROM t WHERE id = 1", [("2024/01", 4)]),
    ("SELECT ROUND(price), ROUND(price, 1), TRUNCATE(x, 0), price DIV 3, price % 3 FROM t WHERE id = 2",
     [(D("20"), D("20.3"), 1.0, 6, D("2.25"))]),
]  # fmt: skip
REFUSED = [
    ("SELECT SLEEP(1)", "SLEEP"),
    ("SELECT RAND(3)", "RAND"),
    ("SELECT STR_TO_DATE(name, name) FROM t", "STR_TO_DATE"),
    ("SELECT NO_SUCH_THING(1)", "NO_SUCH_THING"),
    ("SELECT NOW()", "NOW"),
    ("SELECT @x", "PARAMETER"),
    ("SELECT @@version", "SESSIONPARAMETER"),
    ("SELECT day + 1 FROM t", "DATE"),
    ("SELECT at - day FROM t", "DATETIME"),
    ("SELECT id FROM t WHERE day = 5.5", "date"),
    ("SELECT name COLLATE utf8mb4_general_ci FROM t", "utf8mb4_general_ci"),
    ("SELECT name + INTERVAL 1 DAY FROM t", "CAST"),
    ("SELECT MATCH (name) AGAINST ('x') FROM t", "MATCH"),
    ("SELECT id FROM t WHERE day IN (SELECT id FROM t)", "comparing"),
    ("SELECT ROUND(price, id) FROM t", "ROUND"),
]


@pytest.fixture(scope="module")
def executor() -> Iterator[Executor]:
    executor = Executor(memory_limit_bytes=64 << 20, threads=1)
    yield executor
    executor.close()


def translated(sql: str, wide_decimals: bool = False) -> str:
    columns = {"t": {name: kind.kind.value for name, kind in KINDS.items()}}
    query = qualify(sqlglot.parse_one(sql, read="mysql"), schema=columns, dialect="mysql")
    return duckdb_sql(query, {"t": SCHEMA}, wide_decimals=wide_decimals)


def run(executor: Executor, sql: str) -> list[tuple[Any, ...]]:
    arrow = SCHEMA.arrow_schema()
    arrays = [pa.array([row[place] for row in ROWS], kind) for place, kind in enumerate(arrow.types)]
    fragment = Fragment(sql, (Scan("t", SCHEMA, tuple(KINDS)),))
    with executor.run(fragment, {"t": [pa.RecordBatch.from_arrays(arrays, schema=arrow)]}) as pages:
        table = pa.Table.from_batches(list(pages), pages.schema)
    columns = [column.to_pylist() for column in table.columns]
    return list(zip(*columns, strict=True))


@pytest.mark.parametrize(("sql", "expected"), QUERIES, ids=[sql for sql, _ in QUERIES])
def test_query_over_typed_columns(executor: Executor, sql: str, expected: list[tuple[Any, ...]]) -> None:
    found = run(executor, translated(sql))
    assert found == expected
    texts = [[str(value) for value in row if isinstance(value, D)] for row in found]
    assert texts == [[str(value) for value in row if isinstance(value, D)] for row in expected]


@pytest.mark.parametrize(("sql", "named"), REFUSED, ids=[sql for sql, _ in REFUSED])
def test_what_would_mean_something_else_is_refused_by_name(sql: str, named: str) -> None:
    with pytest.raises(SqlError, match=f"(?i){named}") as refused:
        translated(sql)
    assert refused.value.code in (1235, 1305)


def test_products_of_large_decimals_overflow_loudly_and_fit_when_wide(executor: Executor) -> None:
    sql = "SELECT (price * 100000000) * (price * 100000000) FROM t WHERE id = 2"
    with pytest.raises(FragmentFailed, match="Overflow in multiplication"):
        run(executor, translated(sql))
    assert run(executor, translated(sql, wide_decimals=True)) == [(D("4100625000000000000.0000"),)]


def test_the_query_given_is_left_as_it_was() -> None:
    query = sqlglot.parse_one("SELECT 7 / 2, LENGTH('x'), NOW() IS NULL OR 1", read="mysql")
    before = query.sql("mysql")
    with pytest.raises(SqlError):
        duckdb_sql(query, {})
    assert query.sql("mysql") == before
