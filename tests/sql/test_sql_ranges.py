"""Key ranges never lose a row: the twin checks every row of a small table against the conditions themselves."""

from __future__ import annotations

import itertools

import sqlglot
from hypothesis import given, settings
from hypothesis import strategies as hs
from sqlglot import exp

from rutile.catalog.model import TableInfo
from rutile.expressions.compile import Environment, Scope, compile_evaluate
from rutile.planner.bounds import conjuncts
from rutile.planner.ranges import key_ranges, merge_ranges
from rutile.planner.table_columns import TableColumns
from rutile.rows.access import TableAccess
from rutile_coprocessor.schema import Column, ColumnType, Kind, TableSchema

COLUMNS = (
    Column(1, "a", ColumnType(Kind.INT), nullable=False),
    Column(2, "b", ColumnType(Kind.VARCHAR, length=5), nullable=False),
    Column(3, "c", ColumnType(Kind.INT)),
)
COMPOSITE = TableSchema(7, "t", COLUMNS, primary_key=(1, 2), handle="common", database="d")
SINGLE = TableSchema(8, "t", COLUMNS, primary_key=(1,), handle="int", database="d")
ROWS = [(a, b, c) for a, b, c in itertools.product(range(-2, 4), ("", "a", "ab", "b"), (0, 1))]

numbers = hs.integers(-3, 4).map(str) | hs.sampled_from(["1.5", "'2'", "NULL", "0.0", "-1e0"])
texts = hs.sampled_from(["''", "'a'", "'ab'", "'b'", "'zz'"])
operators = hs.sampled_from(["=", "<", "<=", ">", ">="])
number_conditions = hs.one_of(
    hs.tuples(hs.just("a"), operators, numbers).map(" ".join),
    hs.tuples(numbers, operators, hs.just("a")).map(" ".join),
    hs.tuples(numbers, numbers).map(lambda pair: f"a BETWEEN {pair[0]} AND {pair[1]}"),
    hs.lists(numbers, min_size=1, max_size=4).map(lambda values: f"a IN ({', '.join(values)})"),
    hs.lists(numbers, min_size=2, max_size=3).map(lambda values: "(" + " OR ".join(f"a = {v}" for v in values) + ")"),
)
text_conditions = hs.one_of(
    hs.tuples(hs.just("b"), operators, texts).map(" ".join),
    hs.lists(texts, min_size=1, max_size=3).map(lambda values: f"b IN ({', '.join(values)})"),
)
conditions = hs.lists(number_conditions | text_conditions | hs.just("c = 1"), min_size=1, max_size=4)


@given(conditions, hs.sampled_from([COMPOSITE, SINGLE]))
@settings(max_examples=300, deadline=None)
def test_every_matching_row_is_in_a_range(parts: list[str], schema: TableSchema) -> None:
    condition = sqlglot.parse_one(" AND ".join(parts), read="mysql")
    matches = compile_evaluate(condition, Scope(TableColumns(schema)))
    ranges = key_ranges(schema, conjuncts(condition))
    table = TableAccess(TableInfo(schema))
    for row in ROWS:
        key = table.key_of_row(row)
        inside = ranges is None or any(low <= key < high for low, high in ranges)
        assert inside or not matches(row, Environment()), (row, ranges)


def test_equalities_fix_a_prefix_and_bounds_close_it() -> None:
    table = TableAccess(TableInfo(COMPOSITE))
    condition = sqlglot.parse_one("a IN (1, 2) AND b > 'a' AND b <= 'b'", read="mysql")
    ranges = key_ranges(COMPOSITE, conjuncts(condition))
    assert ranges is not None
    assert len(ranges) == 2
    inside = [(a, b) for a, b, c in ROWS if c == 0 and any(x <= table.key_of((a, b)) < y for x, y in ranges)]
    assert inside == [(1, "ab"), (1, "b"), (2, "ab"), (2, "b")]


def test_contradictions_read_nothing() -> None:
    assert key_ranges(SINGLE, conjuncts(sqlglot.parse_one("a = 1 AND a = 2", read="mysql"))) == []


def test_other_columns_give_no_range() -> None:
    assert key_ranges(SINGLE, [exp.column("c").eq(1)]) is None


@given(hs.lists(hs.tuples(hs.binary(max_size=2), hs.binary(max_size=2)).filter(lambda pair: pair[0] < pair[1])))
def test_merged_ranges_hold_the_same_keys(ranges: list[tuple[bytes, bytes]]) -> None:
    merged = merge_ranges(ranges)
    assert all(low[1] < high[0] for low, high in itertools.pairwise(merged))
    for key in (bytes([first, second]) for first in range(0, 256, 51) for second in range(0, 256, 51)):
        assert any(low <= key < high for low, high in ranges) == any(low <= key < high for low, high in merged)
