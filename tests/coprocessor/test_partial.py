"""Split queries: fragments over any partition of the rows, merged, give what the query gives on all rows."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from itertools import pairwise
from typing import Any

import duckdb
import pyarrow as pa
import pytest
import sqlglot
from hypothesis import given, settings
from hypothesis import strategies as st

from rutile_coprocessor.fragment import check_fragment
from rutile_coprocessor.partial import MERGE_INPUT, split_query
from rutile_coprocessor.prelude import install

ARROW = pa.schema(
    [("k", pa.int32()), ("name", pa.string()), ("price", pa.decimal128(15, 2)), ("x", pa.float64()), ("n", pa.int64())]
)
QUERIES = [
    ("aggregate", "SELECT t.k, SUM(t.price) AS s, COUNT(*) AS n, AVG(t.n) AS a FROM t GROUP BY t.k"),
    ("aggregate", "SELECT t.name, MIN(t.n), MAX(t.price) FROM t WHERE t.n > 3 GROUP BY 1 HAVING COUNT(*) > 1"),
    ("aggregate", "SELECT COUNT(*), COUNT(t.n), SUM(t.n), AVG(t.price), MAX(t.name), SUM(t.x) FROM t"),
    ("aggregate", "SELECT COUNT(*), SUM(t.price * (1 - t.price)) FROM t WHERE t.n > 1000"),
    ("aggregate", "SELECT COUNT(DISTINCT t.k) AS a, COUNT(*) AS b, SUM(DISTINCT t.n) AS c, AVG(t.n) AS d FROM t"),
    ("aggregate", "SELECT t.k, COUNT(DISTINCT t.name, t.n) AS a, MIN(t.x) AS b FROM t GROUP BY t.k"),
    ("aggregate", "SELECT t.k % 2 AS q, SUM(t.n) AS s FROM t GROUP BY q ORDER BY s DESC, q LIMIT 1"),
    ("aggregate", "SELECT SUM(t.n) FILTER (WHERE t.k = 1) AS a, AVG(t.n) FILTER (WHERE t.k > 1) AS b FROM t"),
    ("aggregate", "SELECT t.k + 1 AS k1, (SUM(t.n) + COUNT(*)) * 2 AS v FROM t GROUP BY t.k + 1 ORDER BY v, k1"),
    ("aggregate", "SELECT DISTINCT COUNT(*) AS c FROM t GROUP BY t.k"),
    ("aggregate", "SELECT t.k FROM t GROUP BY t.k ORDER BY t.k DESC LIMIT 2 OFFSET 1"),
    ("rowwise", "SELECT t.k + 1 AS a, t.name FROM t WHERE t.n BETWEEN 1 AND 5 OR t.k IS NULL"),
    ("rowwise", "SELECT * FROM t WHERE t.name LIKE 'a%'"),
    ("sorted", "SELECT t.k, t.n FROM t ORDER BY t.n DESC NULLS LAST, t.k, t.x, t.price LIMIT 3 OFFSET 1"),
    ("sorted", "SELECT t.k AS a, t.k AS a FROM t ORDER BY 1, t.n"),
    ("sorted", "SELECT DISTINCT t.k FROM t ORDER BY t.k NULLS FIRST LIMIT 2"),
    (
        "filter",
        "SELECT t.k, ROW_NUMBER() OVER (PARTITION BY t.k ORDER BY t.n) AS r FROM t WHERE t.n > 9",
    ),
    ("aggregate", "SELECT t.k, VAR_POP(t.x), VAR_SAMP(t.n) AS v, STDDEV_POP(t.price) FROM t GROUP BY t.k"),
    ("aggregate", "SELECT STDDEV(t.x) AS a, STDDEV_SAMP(t.k) AS b, VARIANCE(t.x + 1000000) AS c, COUNT(t.x) FROM t"),
    ("aggregate", "SELECT VAR_POP(t.x) FILTER (WHERE t.k > 1) AS a, COUNT_IF(t.n > 2) AS c FROM t HAVING COUNT(*) > 1"),
    ("aggregate", "SELECT t.k, APPROX_COUNT_DISTINCT(t.name) AS a, SUM(t.n) AS s FROM t GROUP BY t.k"),
    (
        "aggregate",
        "SELECT t.k, STRING_AGG(DISTINCT t.name, ';' ORDER BY t.name DESC), MAX(t.n) FROM t GROUP BY t.k",
    ),
    ("aggregate", "SELECT BIT_XOR(t.n) AS x, BIT_OR(t.k) AS o, BIT_AND(t.n) FILTER (WHERE t.n > 0) AS a FROM t"),
    ("filter", "SELECT VAR_POP(t.n) AS v, MEDIAN(t.k) AS m FROM t"),
    ("filter", "SELECT CORR(t.n, t.x) AS v, STRING_AGG(t.name, ',' ORDER BY t.name) AS s FROM t WHERE t.k < 0"),
    ("filter", "SELECT t.k, SUM(t.n) AS s FROM t GROUP BY ROLLUP (t.k)"),
    ("filter", "SELECT STRING_AGG(t.name, ',' ORDER BY t.name) AS names FROM t WHERE t.k > 0"),
]
rows = st.lists(
    st.tuples(
        st.none() | st.integers(0, 4),
        st.none() | st.sampled_from(["a", "ab", "b", ""]),
        st.none() | st.decimals(Decimal("-999999"), Decimal("999999"), places=2),
        st.none() | st.floats(-100, 100),
        st.none() | st.integers(-5, 9) | st.just(2**62),
    ),
    max_size=14,
)


@pytest.fixture(scope="module")
def database() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(":memory:") as connection:
        install(connection)
        yield connection


def run(database: duckdb.DuckDBPyConnection, sql: str, name: str, table: pa.Table) -> pa.Table:
    with database.cursor() as cursor:
        cursor.register(name, table)
        return cursor.sql(sql).to_arrow_table()


def canonical(table: pa.Table, in_order: bool) -> list[Any]:
    """Rows, with doubles rounded to what any order of summing gives, sorted unless the order counts."""
    found = [tuple(column[row].as_py() for column in table.columns) for row in range(table.num_rows)]
    found = [tuple(float(f"{value:.9g}") if isinstance(value, float) else value for value in row) for row in found]
    return found if in_order else sorted(found, key=repr)


@pytest.mark.parametrize(("kind", "sql"), QUERIES, ids=[sql[:60] for _, sql in QUERIES])
@given(data=rows, cuts=st.lists(st.integers(0, 14), max_size=3))
@settings(max_examples=6, deadline=None)
def test_fragments_and_merge_equal_the_whole(
    database: duckdb.DuckDBPyConnection, kind: str, sql: str, data: list[tuple[Any, ...]], cuts: list[int]
) -> None:
    arrays = [pa.array([row[place] for row in data], field.type) for place, field in enumerate(ARROW)]
    whole = pa.Table.from_arrays(arrays, schema=ARROW)
    plan = split_query(sqlglot.parse_one(sql, read="duckdb"))
    assert plan is not None
    assert (plan.kind, plan.rowwise) == (kind, kind == "rowwise")
    bounds = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    parts = [whole.slice(start, end - start) for start, end in pairwise(bounds)]
    fragment = check_fragment(plan.fragment_sql, ("t",))
    merged = pa.concat_tables([run(database, fragment, "t", part) for part in parts])
    if plan.merge_sql is not None:
        merged = run(database, plan.merge_sql, MERGE_INPUT, merged)
    expected = run(database, check_fragment(sql, ("t",)), "t", whole)
    assert merged.schema.types == expected.schema.types
    ordered = sqlglot.parse_one(sql, read="duckdb").args.get("order") is not None
    assert canonical(merged, ordered) == canonical(expected, ordered)


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT a FROM t JOIN u USING (a)",
        "SELECT 1",
        "SELECT a FROM t WHERE a IN (SELECT b FROM u)",
        "WITH q AS (SELECT 1) SELECT a FROM t",
        "SELECT a FROM (SELECT a FROM t)",
        "SELECT a FROM t UNION ALL SELECT a FROM t",
    ],
)
def test_joins_and_nested_queries_are_not_split(sql: str) -> None:
    assert split_query(sqlglot.parse_one(sql, read="duckdb")) is None


def test_names_of_result_columns_are_kept() -> None:
    for sql, names in (
        ("SELECT t.k, COUNT(*) AS n, SUM(t.x) FROM t GROUP BY t.k", ['AS "k"', 'AS "n"', 'AS "SUM(t.x)"']),
        ("SELECT t.k, t.n AS m FROM t ORDER BY t.x LIMIT 1", ["AS k", "AS m"]),
    ):
        plan = split_query(sqlglot.parse_one(sql, read="duckdb"))
        assert plan is not None
        assert plan.merge_sql is not None
        assert all(name in plan.merge_sql for name in names)


def test_limits_reach_the_stores() -> None:
    plan = split_query(sqlglot.parse_one("SELECT t.k FROM t ORDER BY t.n LIMIT 3 OFFSET 4", read="duckdb"))
    assert plan is not None
    assert plan.fragment_sql.endswith("LIMIT 7")
