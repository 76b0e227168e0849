"""Pruning: rows outside of the bounds a fragment leaves of its scans make no difference to its answer."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rutile_coprocessor.execute import Executor
from rutile_coprocessor.fragment import Fragment, Scan
from rutile_coprocessor.pruning import Bounds, may_hold
from rutile_coprocessor.schema import Column, ColumnType, Kind, TableSchema

COLUMNS = {
    "n": ColumnType(Kind.BIGINT), "price": ColumnType(Kind.DECIMAL, precision=15, scale=2),
    "x": ColumnType(Kind.DOUBLE), "day": ColumnType(Kind.DATE), "at": ColumnType(Kind.DATETIME, precision=6),
}  # fmt: skip
SCHEMA = TableSchema(7, "t", tuple(Column(place, *each) for place, each in enumerate(COLUMNS.items(), 1)))
OTHER = TableSchema(8, "u", (Column(1, "k", ColumnType(Kind.BIGINT)),))
FIRST = date(2026, 1, 1)
NUMBERS = st.integers(-4, 9) | st.sampled_from([2**53, 2**53 + 1, -(2**63), 2**63 - 1])
ROWS = st.fixed_dictionaries({
    "n": st.none() | NUMBERS,
    "price": st.none() | st.integers(-300, 900).map(lambda cents: Decimal(cents).scaleb(-2)),
    "x": st.none() | st.sampled_from([0.1, 0.2, 0.30000000000000004, 0.3, -1.5, 4.0, 1e300]),
    "day": st.none() | st.integers(-3, 9).map(lambda days: FIRST + timedelta(days)),
    "at": st.none() | st.integers(-30, 90).map(lambda hours: datetime(2026, 1, 1) + timedelta(hours=hours)),
})  # fmt: skip
CONSTANTS = st.sampled_from([
    "3", "-2", "0.3", "CAST(0.3 AS DOUBLE)", "9007199254740993", "2.25", "(1 + 2)", "NULL", "1e2",
]) | st.integers(-4, 9).map(str)  # fmt: skip
MOMENTS = st.sampled_from([
    "CAST('2026-01-03' AS DATE)", "CAST(CAST('2026-01-01' AS DATE) + to_days(4) AS DATE)", "DATE '2025-12-31'",
    "CAST('2026-01-02 12:00:00' AS TIMESTAMP)", "CAST(NULL AS DATE)",
])  # fmt: skip


@st.composite
def conditions(draw: st.DrawFn) -> str:
    column, constants = draw(
        st.sampled_from(["n", "price", "x"]).map(lambda name: (name, CONSTANTS))
        | st.sampled_from(["day", "at"]).map(lambda name: (name, MOMENTS))
    )
    low, high = draw(constants), draw(constants)
    operator = draw(st.sampled_from(["=", "<", "<=", ">", ">=", "<>", "BETWEEN", "IN", "flipped", "NULL", "OR"]))
    match operator:
        case "BETWEEN":
            return f"t.{column} BETWEEN {low} AND {high}"
        case "IN":
            return f"t.{column} IN ({low}, {high})"
        case "flipped":
            return f"{low} <= t.{column}"
        case "NULL":
            return f"t.{column} IS NULL"
        case "OR":
            return f"(t.{column} < {low} OR t.{column} > {high})"
    return f"t.{column} {operator} {low}"


SHAPES = (
    "SELECT t.* FROM t WHERE {c}",
    "SELECT COUNT(*), SUM(t.n) FROM t WHERE {c} AND {d}",
    "SELECT u.k, t.n FROM u LEFT JOIN t ON u.k = t.n WHERE {c}",
    "SELECT u.k, t.n FROM t FULL JOIN u ON u.k = t.n AND {d} WHERE {c}",
    "SELECT u.k FROM u LEFT JOIN t ON u.k = t.n AND {c}",
    "SELECT u.k, t.n FROM u ASOF JOIN t ON u.k >= t.n WHERE {c}",
    "SELECT u.k FROM u WHERE NOT EXISTS (SELECT 1 FROM t WHERE t.n = u.k AND {c})",
    "SELECT t.n FROM t WHERE {c} UNION ALL SELECT t.n FROM t WHERE {d}",
    "WITH q AS (SELECT t.* FROM t WHERE {c}) SELECT COUNT(*) FROM q, t WHERE {d} AND q.n = t.n",
    "SELECT (SELECT MAX(t.x) FROM t) AS m, t.n FROM t WHERE {c}",
)


@pytest.fixture(scope="module")
def executor() -> Iterator[Executor]:
    executor = Executor(threads=1)
    yield executor
    executor.close()


def answer(executor: Executor, sql: str, rows: list[dict[str, Any]], others: list[int]) -> list[str]:
    fragment = fragment_of(sql)
    tables = {
        "t": [pa.RecordBatch.from_pylist(rows, schema=SCHEMA.arrow_schema(tuple(COLUMNS)))],
        "u": [pa.record_batch({"k": pa.array(others, pa.int64())})],
    }
    with executor.run(fragment, tables) as pages:
        return sorted(repr(row) for page in pages for row in page.to_pylist())


def fragment_of(sql: str) -> Fragment:
    return Fragment(sql, (Scan("t", SCHEMA, tuple(COLUMNS)), Scan("u", OTHER, ("k",))))


@given(st.lists(ROWS, max_size=8), st.lists(st.integers(-4, 9), max_size=4), st.sampled_from(SHAPES), conditions(),
       conditions())  # fmt: skip
@settings(max_examples=200, deadline=None)
def test_rows_outside_of_the_bounds_make_no_difference(
    executor: Executor, rows: list[dict[str, Any]], others: list[int], shape: str, one: str, two: str
) -> None:
    sql = shape.format(c=one, d=two)
    uses = executor.bounds(fragment_of(sql)).get("t")

    def is_wanted(row: dict[str, Any]) -> bool:
        return uses is None or any(all(meets(row[each.column], each) for each in use) for use in uses)

    wanted = [row for row in rows if is_wanted(row)]
    assert answer(executor, sql, wanted, others) == answer(executor, sql, rows, others)


def meets(value: Any, bounds: Bounds) -> bool:
    return value is not None and may_hold(bounds, value, value)


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("SELECT t.n FROM t WHERE t.n >= 3 AND 5 > t.n", (Bounds("n", 3, None), Bounds("n", None, 5))),
        ("SELECT n FROM t WHERE day BETWEEN DATE '2026-01-01' AND DATE '2026-01-01' + 1",
         (Bounds("day", FIRST, FIRST + timedelta(1)),)),
        ("SELECT a.n FROM t AS a, u WHERE (a.price IN (1, 2.50, 0) AND a.n = u.k)",
         (Bounds("price", 0, Decimal("2.50")),)),
    ],
)  # fmt: skip
def test_bounds_of_conditions(executor: Executor, sql: str, expected: tuple[Bounds, ...]) -> None:
    assert executor.bounds(fragment_of(sql)) == {"t": (expected,)}


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT t.n FROM t",
        "SELECT t.n FROM t WHERE t.n > 1 OR t.x > 2",
        "SELECT t.n FROM t WHERE t.n + 1 > 2",
        "SELECT t.n FROM t WHERE t.n > (SELECT MAX(u.k) FROM u)",
        "SELECT t.n FROM t WHERE t.n IS NOT NULL",
        "SELECT t.n FROM t WHERE t.n > 'x'",
        "SELECT t.n FROM t, u WHERE t.n > 5 UNION SELECT t.n FROM t",
        "SELECT t.n FROM u ASOF JOIN t ON u.k >= t.n WHERE t.n > 1",
    ],
)
def test_what_bounds_nothing(executor: Executor, sql: str) -> None:
    assert executor.bounds(fragment_of(sql)) == {}
