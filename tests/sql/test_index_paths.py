"""Every query gives the same through an index and without one: random rows, predicates and orders, in and outside of
transactions that have written to the table."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from fake_client import FakeClient
from hypothesis import given, settings
from hypothesis import strategies as hs
from sql_runner import make_database

from rutile.execution import index_read
from rutile.session.session import Session

INDEXES = ("k_ab", "k_s", "k_d", "u_ba")
numbers = hs.integers(-2, 4).map(str) | hs.sampled_from(["NULL", "1.5", "'2'"])
texts = hs.sampled_from(["''", "'a'", "'ab'", "'abc'", "'abd'", "'b'", "NULL"])
dates = hs.sampled_from(["'2026-01-01'", "'2026-01-02'", "'2026-01-01 12:00:00'"])
operators = hs.sampled_from(["=", "<", "<=", ">", ">=", "<>"])
columns = hs.sampled_from(["a", "b", "id"])
conditions = hs.one_of(
    hs.tuples(columns, operators, numbers).map(" ".join),
    hs.tuples(hs.just("s"), operators, texts).map(" ".join),
    hs.tuples(hs.just("d"), operators, dates).map(" ".join),
    hs.tuples(columns, numbers, numbers).map(lambda each: f"{each[0]} BETWEEN {each[1]} AND {each[2]}"),
    hs.tuples(columns, hs.lists(numbers, min_size=1, max_size=3)).map(
        lambda each: f"{each[0]} IN ({','.join(each[1])})"
    ),
    hs.sampled_from(["a IS NULL", "a IS NOT NULL", "s IS NULL", "s LIKE 'a%'", "a + 1 = 2", "a = b", "1 = 0"]),
    hs.tuples(numbers, numbers).map(lambda each: f"(a = {each[0]} OR a = {each[1]})"),
)
wheres = hs.lists(conditions, max_size=3).map(lambda parts: " WHERE " + " AND ".join(parts) if parts else "")
queries = hs.one_of(
    hs.sampled_from(["SELECT * FROM t", "SELECT id, a, b FROM t", "SELECT s FROM t", "SELECT COUNT(*), SUM(b) FROM t"]),
    hs.sampled_from(["a", "b", "s", "d", "id"]).map(lambda column: f"SELECT MIN({column}) FROM t"),
    hs.sampled_from(["a", "b", "s", "d", "id"]).map(lambda column: f"SELECT MAX({column}) FROM t"),
)
orders = hs.sampled_from(
    ["", " ORDER BY a, b, id LIMIT 3", " ORDER BY a DESC, b DESC, id DESC LIMIT 2", " ORDER BY b, id LIMIT 2 OFFSET 1"]
)


class Tables:
    """A database kept for all examples; its table is filled with rows of every kind."""

    def __init__(self) -> None:
        self._runner = asyncio.Runner()
        self._database = make_database(FakeClient())
        self.session = self._runner.run(self._open())

    async def _open(self) -> Session:
        await self._database.start()
        session = await self._database.session("test")
        await session.execute(
            "CREATE TABLE t (id INT PRIMARY KEY, a INT, b INT, s VARCHAR(9), d DATE,"
            " KEY k_ab (a, b), KEY k_s (s(2)), KEY k_d (d, s), UNIQUE KEY u_ba (b, a, id))"
        )
        values = ["NULL", "''", "'a'", "'ab'", "'abc'", "'abd'", "'b'"]
        for at in range(40):
            a = "NULL" if at % 7 == 0 else str(at % 5 - 1)
            day = "NULL" if at % 11 == 0 else f"'2026-01-0{at % 3 + 1}'"
            await session.execute(f"INSERT INTO t VALUES ({at - 5}, {a}, {at * 3 % 8 - 2}, {values[at % 7]}, {day})")
        return session

    def rows(self, sql: str) -> list[tuple[object, ...]]:
        return self._runner.run(self.session.execute(sql)).rows()

    def close(self) -> None:
        self._runner.run(self.session.close())
        self._runner.run(self._database.close())
        self._runner.close()


@pytest.fixture(scope="module")
def tables() -> Iterator[Tables]:
    opened = Tables()
    yield opened
    opened.close()


def sorted_rows(rows: list[tuple[object, ...]]) -> list[tuple[object, ...]]:
    return sorted(rows, key=repr)


@given(queries, wheres, orders, hs.booleans())
@settings(max_examples=120, deadline=None)
def test_with_and_without_an_index(tables: Tables, query: str, where: str, order: str, dirty: bool) -> None:
    order = "" if "MIN" in query or "MAX" in query or "COUNT" in query else order
    if dirty:
        tables.rows("BEGIN OPTIMISTIC")
        tables.rows("UPDATE t SET a = a + 1, s = CONCAT(s, 'x') WHERE id % 3 = 0")
        tables.rows("DELETE FROM t WHERE id % 10 = 4")
        tables.rows("INSERT INTO t VALUES (100, 1, 1, 'ab', '2026-01-01'), (101, NULL, 2, 'zz', NULL)")
    plain = query.replace("FROM t", f"FROM t IGNORE INDEX (PRIMARY, {', '.join(INDEXES)})") + where + order
    expected = sorted_rows(tables.rows(plain))
    for index in (*INDEXES, None):
        hint = f"FROM t FORCE INDEX ({index})" if index else "FROM t"
        sql = query.replace("FROM t", hint) + where + order
        assert sorted_rows(tables.rows(sql)) == expected, sql
    tables.rows("ROLLBACK")


def test_too_many_entries_are_left_to_the_stores(monkeypatch: pytest.MonkeyPatch, tables: Tables) -> None:
    monkeypatch.setattr(index_read, "MAX_LOOKUPS", 3)
    plan = tables.rows("EXPLAIN SELECT s FROM t WHERE a >= 0")
    assert "StoreReader" in str(plan[0])
    assert "IndexLookUp" in str(tables.rows("EXPLAIN SELECT s FROM t WHERE a >= 0 AND b = -2 AND a <= 0"))
    assert "IndexLookUp" in str(tables.rows("EXPLAIN SELECT s FROM t FORCE INDEX (k_ab) WHERE a >= 0"))
