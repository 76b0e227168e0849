"""Rows that are counted before they are joined give the same counts."""

from __future__ import annotations

from collections.abc import Iterator

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rutile_coprocessor.counted_joins import counted_before, counted_joins
from rutile_coprocessor.execute import locked_database
from rutile_coprocessor.scan_sizes import LARGE_ROWS, WORTH_REPEATS, ScanSizes
from rutile_coprocessor.scan_source import ScanSource

NAMES = ("t", "u")
INTS = pa.schema([("n", pa.int64()), ("k", pa.int64())])
ROWS = st.lists(st.tuples(st.none() | st.integers(0, 9), st.none() | st.integers(0, 5)), max_size=30)
CONDITIONS = st.sampled_from(
    ["", " AND u.n > 3", " AND NOT (u.n IS NULL)", " AND u.n = 1 AND u.k < 4", " AND u.n = 99"]
)
SHAPES = st.sampled_from([
    "SELECT t.n, COUNT(u.n) AS c FROM t LEFT JOIN u ON t.k = u.k{0} GROUP BY t.n",
    "SELECT t.k, COUNT(u.k) AS c, COUNT(u.n) AS d FROM t LEFT OUTER JOIN u ON u.k = t.k{0} GROUP BY t.k, t.n",
    "SELECT COUNT(u.n) AS c, t.n AS m FROM t LEFT JOIN u ON t.n = u.k{0} WHERE t.k < 3 GROUP BY t.n",
    "SELECT x.c, COUNT(*) AS d FROM (SELECT t.k, COUNT(u.n) AS c FROM t LEFT JOIN u ON t.k = u.k{0} GROUP BY t.k) AS x"
    " GROUP BY x.c ORDER BY d DESC",
    "SELECT s.k, COUNT(u.n) AS c FROM (SELECT DISTINCT t.k FROM t, u) AS s LEFT JOIN u ON s.k = u.k{0} GROUP BY s.k",
    "SELECT u.k, COUNT(b.n) AS c FROM u LEFT JOIN u AS b ON u.k = b.n AND b.k = 2 GROUP BY u.k",
])  # fmt: skip
ONE = "SELECT t.k, COUNT(u.n) AS c FROM t LEFT JOIN u ON t.k = u.k GROUP BY t.k"


@pytest.fixture(scope="module")
def cursor() -> Iterator[duckdb.DuckDBPyConnection]:
    with locked_database(256 << 20, 1) as database:
        yield database


def source_of(rows: list[tuple[int | None, int | None]]) -> ScanSource:
    columns = [pa.array([row[place] for row in rows], pa.int64()) for place in (0, 1)]
    return ScanSource([pa.record_batch(columns, schema=INTS)], INTS)


def answer(cursor: duckdb.DuckDBPyConnection, text: str) -> tuple[list[str], list[str]]:
    """Rows, and what their columns are."""
    found = cursor.execute(text)
    columns = [f"{name} {kind}" for name, kind, *_ in found.description or []]
    return columns, sorted(map(repr, found.fetchall()))


@settings(max_examples=150, deadline=None)
@given(SHAPES, CONDITIONS, ROWS, ROWS)
def test_counts_are_those_of_the_text(
    cursor: duckdb.DuckDBPyConnection,
    shape: str,
    condition: str,
    t: list[tuple[int | None, int | None]],
    u: list[tuple[int | None, int | None]],
) -> None:
    text = shape.format(condition)
    for name, rows in (("t", t), ("u", u)):
        cursor.register(name, source_of(rows).table)
    places = counted_joins(text, NAMES)
    assert len(places) == 1
    assert answer(cursor, counted_before(text, NAMES, (True,))) == answer(cursor, text)
    assert answer(cursor, counted_before(text, NAMES, (False,))) == answer(cursor, text)


@pytest.mark.parametrize(
    "text",
    [
        ONE.replace("LEFT JOIN", "JOIN"),
        ONE.replace("LEFT JOIN", "FULL JOIN"),
        ONE.replace("LEFT JOIN", "ASOF LEFT JOIN"),
        ONE.replace("COUNT(u.n)", "COUNT(DISTINCT u.n)"),
        ONE.replace("COUNT(u.n)", "COUNT(*)"),
        ONE.replace("COUNT(u.n)", "SUM(u.n)"),
        ONE.replace("COUNT(u.n)", "COUNT(t.n)"),
        ONE.replace("COUNT(u.n)", "COUNT(u.n + t.n)"),
        ONE.replace("COUNT(u.n)", "COUNT(u.n) + SUM(t.n)"),
        ONE.replace("COUNT(u.n)", "COUNT(u.n) FILTER (WHERE t.n > 1)"),
        ONE.replace("COUNT(u.n)", "COUNT(u.n) OVER ()"),
        ONE.replace("t.k = u.k", "t.k = u.k AND t.n = u.n"),
        ONE.replace("t.k = u.k", "t.k = u.k AND t.n > 1"),
        ONE.replace("t.k = u.k", "t.k < u.k"),
        ONE.replace("t.k = u.k", "t.k = u.k AND u.n < MYSQL_RAND()"),
        ONE.replace("t.k = u.k", "t.k + 1 = u.k"),
        ONE.replace("ON t.k = u.k", "USING (k)"),
        ONE.replace("GROUP BY t.k", "GROUP BY t.k, u.k"),
        ONE.replace("GROUP BY t.k", "GROUP BY ROLLUP (t.k)"),
        ONE.replace("GROUP BY t.k", "GROUP BY ALL"),
        ONE.replace("GROUP BY", "WHERE u.n IS NULL GROUP BY"),
        ONE.replace("GROUP BY", "WHERE t.n IN (SELECT u.n FROM u) GROUP BY"),
        ONE + " HAVING COUNT(u.n) > 1",
        ONE + " ORDER BY c",
        ONE.replace("SELECT", "SELECT DISTINCT"),
        ONE.replace("JOIN u", "JOIN u AS b (k, n)"),
        ONE.replace("LEFT JOIN", ", u AS b LEFT JOIN"),
        "WITH u AS (SELECT 1 AS k, 2 AS n) " + ONE,
    ],
)
def test_what_looks_different_is_left_alone(text: str) -> None:
    assert counted_joins(text, NAMES) == ()


def told(rows: int, values: int, cursor: duckdb.DuckDBPyConnection) -> list[str]:
    """What is run instead of ONE the first three times, over so many rows with so many different values."""
    sources = {"t": source_of([(1, 1)]), "u": source_of([(1, number % values) for number in range(rows)])}
    for name, source in sources.items():
        cursor.register(name, source.table)
    sizes = ScanSizes()
    return [sizes.told(sources, cursor, ONE).text for _ in range(3)]


def test_rows_are_counted_before_where_many_share_a_value(cursor: duckdb.DuckDBPyConnection) -> None:
    first, *others = told(LARGE_ROWS, LARGE_ROWS // WORTH_REPEATS // 2, cursor)
    assert (first, others) == (ONE, [counted_before(ONE, NAMES, (True,))] * 2)
    assert cursor.execute(others[0]).fetchall() == cursor.execute(ONE).fetchall()


@pytest.mark.parametrize(("rows", "values"), [(LARGE_ROWS, LARGE_ROWS // 2), (LARGE_ROWS // 2, 10)])
def test_few_rows_of_a_value_or_few_at_all_are_joined_as_they_are(
    cursor: duckdb.DuckDBPyConnection, rows: int, values: int
) -> None:
    assert set(told(rows, values, cursor)) == {ONE}
