"""A partitioned table and a plain one under the same random statements: the same answers, counts and errors."""

from __future__ import annotations

import asyncio

from fake_client import FakeClient
from hypothesis import given, settings
from hypothesis import strategies as hs
from sql_runner import make_database

from rutile.errors import SqlError
from rutile.session.session import Session

KEYED = "(a INT, b INT, v INT, s VARCHAR(4), {key}, KEY kv (v), UNIQUE KEY u (s, a, b))"
PRIMARY = KEYED.format(key="PRIMARY KEY (a, b)")
HIDDEN = KEYED.format(key="KEY ka (a)")
COVERING = [
    "PARTITION BY HASH (a) PARTITIONS 3",
    "PARTITION BY HASH (a * 3 + b) PARTITIONS 4",
    "PARTITION BY RANGE (a) (PARTITION p0 VALUES LESS THAN (-1), PARTITION p1 VALUES LESS THAN (2),"
    " PARTITION p2 VALUES LESS THAN MAXVALUE)",
    "PARTITION BY RANGE COLUMNS (a, b) (PARTITION p0 VALUES LESS THAN (0, 1), PARTITION p1 VALUES LESS THAN (0, 2),"
    " PARTITION p2 VALUES LESS THAN (2, 0), PARTITION p3 VALUES LESS THAN MAXVALUE)",
    "PARTITION BY LIST (a) (PARTITION p0 VALUES IN (1, NULL, -1), PARTITION p1 VALUES IN (0, 3, -2, 5, -5),"
    " PARTITION p2 VALUES IN (2, 4, -3, -4, 6, -6, 7, -7))",
    "PARTITION BY LIST COLUMNS (b) (PARTITION p0 VALUES IN (1, NULL, -1), PARTITION p1 VALUES IN (0, 3, -2, 5, -5),"
    " PARTITION p2 VALUES IN (2, 4, -3, -4, 6, -6, 7, -7))",
]
"""Every value the statements make has its partition, so nothing may differ."""

numbers = hs.integers(-3, 4)
maybe = numbers.map(str) | hs.just("NULL")
names = hs.sampled_from(["'x'", "'y'", "'z'", "NULL"])


def _condition(draw: hs.DrawFn) -> str:
    column = draw(hs.sampled_from(["a", "b", "v"]))
    low, high = draw(numbers), draw(numbers)
    form = draw(hs.sampled_from([
        "{c} = {l}", "{c} IN ({l}, {h})", "{c} < {l}", "{c} <= {l}", "{c} > {l}", "{c} >= {l}", "{c} IS NULL",
        "{c} BETWEEN {l} AND {h}", "{c} <> {l}", "s = 'x'", "a = {l} AND b = {h}", "a = {l} OR b = {h}",
        "a >= {l} AND a < {h}", "a = {l} AND b > {h}", "{c} IS NOT NULL", "a <=> NULL", "NOT a > {l}", "1 = 1",
    ]))  # fmt: skip
    return str(form.format(c=column, l=low, h=high))


conditions = hs.composite(_condition)()


@hs.composite
def _statement(draw: hs.DrawFn) -> str:
    values = ", ".join(
        f"({draw(maybe)}, {draw(maybe)}, {draw(maybe)}, {draw(names)})" for _ in range(draw(hs.integers(1, 3)))
    )
    where, other = draw(conditions), draw(conditions)
    column, number = draw(hs.sampled_from(["a", "b", "v"])), draw(numbers)
    form = draw(hs.sampled_from([
        "INSERT INTO {t} VALUES {values}", "INSERT INTO {t} VALUES {values}", "INSERT IGNORE INTO {t} VALUES {values}",
        "REPLACE INTO {t} VALUES {values}",
        "INSERT INTO {t} VALUES {values} ON DUPLICATE KEY UPDATE {column} = {number}, s = 'z'",
        "UPDATE {t} SET {column} = {number} WHERE {where}", "UPDATE IGNORE {t} SET {column} = {number} WHERE {where}",
        "UPDATE {t} SET b = b + 1, v = a WHERE {where} ORDER BY a, b, v, s LIMIT 2", "DELETE FROM {t} WHERE {where}",
        "UPDATE {t} x JOIN {t} y ON x.a = y.b SET x.v = {number} WHERE x.v < 3",
        "INSERT IGNORE INTO {t} SELECT a + 1, b, v, 'y' FROM {t} WHERE {where} ORDER BY a, b, v, s",
        "SELECT * FROM {t} WHERE {where} ORDER BY a, b, v, s", "SELECT COUNT(*), SUM(a), MIN(b) FROM {t} WHERE {where}",
        "SELECT a, COUNT(*), MAX(s) FROM {t} WHERE {where} GROUP BY a ORDER BY a",
        "SELECT v FROM {t} WHERE {where} ORDER BY v LIMIT 2", "SELECT MAX(v), MIN(v) FROM {t}",
        "SELECT x.a, y.v FROM {t} x LEFT JOIN {t} y ON x.a = y.b AND y.v > 0 WHERE y.{where_of_y} ORDER BY 1, 2",
        "SELECT COUNT(*) FROM {t} WHERE a IN (SELECT b FROM {t} WHERE {where})",
        "SELECT v FROM {t} FORCE INDEX (kv) WHERE v > {number} ORDER BY v",
        "BEGIN", "COMMIT", "ROLLBACK", "BEGIN PESSIMISTIC",
        "SELECT a, b FROM {t} WHERE {where} ORDER BY a, b FOR UPDATE",
        "SET rutile_read_mode = 'per_store'", "SET rutile_read_mode = 'local'", "SET rutile_read_mode = 'auto'",
    ]))  # fmt: skip
    of_y = draw(hs.sampled_from(["v IS NULL", "b = 1", "a IS NULL", "b IS NULL", "a > 0"]))
    return str(
        form.format(t="{t}", values=values, where=where, other=other, column=column, number=number, where_of_y=of_y)
    )


async def outcome(session: Session, sql: str) -> object:
    try:
        result = await session.execute(sql)
    except SqlError as error:
        return error.code
    return result.rows() if result.has_rows else result.affected_rows


async def run(partitioning: str, definition: str, statements: list[str]) -> None:
    database = make_database(FakeClient())
    await database.start()
    plain, parted = await database.session("test"), await database.session("test")
    await plain.execute(f"CREATE TABLE q {definition}")
    await parted.execute(f"CREATE TABLE p {definition} {partitioning}")
    try:
        for sql in [*statements, "COMMIT", "SELECT * FROM {t} ORDER BY a, b, v, s"]:
            wanted, found = await outcome(plain, sql.format(t="q")), await outcome(parted, sql.format(t="p"))
            assert found == wanted, sql
        await parted.execute("ADMIN CHECK TABLE p")
    finally:
        await plain.close()
        await parted.close()
        await database.close()


@given(hs.sampled_from(COVERING), hs.sampled_from([PRIMARY, HIDDEN]), hs.lists(_statement(), min_size=3, max_size=14))
@settings(max_examples=25, deadline=None)
def test_a_partitioned_table_is_a_table(partitioning: str, definition: str, statements: list[str]) -> None:
    asyncio.run(run(partitioning, definition, statements))
