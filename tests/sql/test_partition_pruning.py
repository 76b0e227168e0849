"""No row that meets a condition is in a partition that pruning leaves out; what can be told exactly is."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as hs

from rutile.catalog.model import TableInfo
from rutile.ddl.create_table import read_definition
from rutile.errors import SqlError
from rutile.expressions import semantics
from rutile.expressions.compile import Environment, Scope, compile_evaluate
from rutile.parse import statements as st
from rutile.parse.parser import parse
from rutile.parse.tree import parse_expression
from rutile.planner.bounds import conjuncts
from rutile.planner.partitions import pruned
from rutile.planner.table_columns import TableColumns
from rutile.rows.access import TableAccess
from rutile_coprocessor.schema import Scalar

BY = [
    "HASH (a) PARTITIONS 3",
    "HASH (a * 2 - b) PARTITIONS 3",
    "RANGE (a) (PARTITION p VALUES LESS THAN (-1), PARTITION q VALUES LESS THAN (2), PARTITION r VALUES LESS THAN (9))",
    "RANGE (a MOD 3) (PARTITION p VALUES LESS THAN (0), PARTITION q VALUES LESS THAN (2), PARTITION r VALUES LESS THAN"
    " MAXVALUE)",
    "RANGE COLUMNS (a, b) (PARTITION p VALUES LESS THAN (0, 1), PARTITION q VALUES LESS THAN (0, 3),"
    " PARTITION r VALUES LESS THAN (1, 0), PARTITION s VALUES LESS THAN MAXVALUE)",
    "RANGE COLUMNS (d) (PARTITION p VALUES LESS THAN ('2020-01-01'), PARTITION q VALUES LESS THAN MAXVALUE)",
    "RANGE (YEAR(d)) (PARTITION p VALUES LESS THAN (2020), PARTITION q VALUES LESS THAN (2021),"
    " PARTITION r VALUES LESS THAN MAXVALUE)",
    "RANGE (TO_DAYS(d)) (PARTITION p VALUES LESS THAN (TO_DAYS('2020-01-01')), PARTITION q VALUES LESS THAN MAXVALUE)",
    "LIST (a) (PARTITION p VALUES IN (NULL, 0, 3), PARTITION q VALUES IN (-2, -1, 1, 2))",
    "LIST (MONTH(d)) (PARTITION p VALUES IN (NULL, 1), PARTITION q VALUES IN (6, 12))",
    "LIST COLUMNS (b, a) (PARTITION p VALUES IN ((0, 0), (NULL, NULL), (1, 2)),"
    " PARTITION q VALUES IN ((2, 1), (0, 1)))",
]
NUMBERS = [None, -2, -1, 0, 1, 2, 3]
DATES = [None, date(2019, 12, 31), date(2020, 1, 1), date(2020, 6, 1), date(2020, 12, 31), date(2021, 1, 1)]
GRID: list[tuple[Scalar, ...]] = list(itertools.product(NUMBERS, NUMBERS, DATES))


def access(by: str) -> TableAccess:
    statement = parse(f"CREATE TABLE t (a INT, b INT, d DATE) PARTITION BY {by}").statement
    assert isinstance(statement, st.CreateTable)
    definition = read_definition(statement.definition, "test", "t", statement.partitioning)
    return TableAccess(TableInfo(definition.schema, partitioning=definition.partitioning))


TABLES = {by: access(by) for by in BY}


@hs.composite
def _comparison(draw: hs.DrawFn) -> str:
    if draw(hs.booleans()):
        column, value = draw(hs.sampled_from("ab")), hs.integers(-3, 4).map(str)
    else:
        column, value = "d", hs.sampled_from([f"'{each}'" for each in DATES if each is not None])
    low, high = draw(value), draw(value)
    form = draw(hs.sampled_from([
        "{c} = {l}", "{c} IN ({l}, {h})", "{c} < {l}", "{c} <= {l}", "{c} > {l}", "{c} >= {l}", "{c} IS NULL",
        "{l} < {c}", "{c} BETWEEN {l} AND {h}", "{c} <> {l}", "({c} = {l} OR {c} = {h})",
    ]))  # fmt: skip
    return str(form.format(c=column, l=low, h=high))


def numbers_of(table: TableAccess, condition: str) -> set[int]:
    """The partitions of the rows of the grid that meet the condition."""
    assert table.partitions is not None
    holds = compile_evaluate(parse_expression(condition), Scope(TableColumns(table.schema)))
    met = [row for row in GRID if semantics.truth(holds(row, Environment()))]
    return {number for row in met if (number := _number(table, row)) is not None}


def _number(table: TableAccess, row: Sequence[Scalar]) -> int | None:
    assert table.partitions is not None
    try:
        return table.partitions.number_of(row)
    except SqlError:
        return None


def left(by: str, condition: str) -> set[int]:
    partitions = TABLES[by].partitions
    assert partitions is not None
    return set(pruned(partitions, list(conjuncts(parse_expression(condition)))))


@given(hs.sampled_from(BY), hs.lists(_comparison(), min_size=1, max_size=3))
def test_no_row_is_left_out(by: str, parts: list[str]) -> None:
    condition = " AND ".join(parts)
    assert numbers_of(TABLES[by], condition) <= left(by, condition), condition


@pytest.mark.parametrize(
    ("at", "condition", "wanted"),
    [
        (0, "a = 4", {1}), (1, "a = 1 AND b IN (0, 1)", {2, 1}), (2, "a < -1", {0}), (2, "a >= 2", {2}),
        (2, "a IS NULL", {0}), (2, "a > 1 AND a < 1", set()), (2, "a = 77", set()), (4, "a = 0 AND b = 2", {1}),
        (4, "a > 1", {3}), (4, "a = 0", {0, 1, 2}), (5, "d < '2020-01-01'", {0}), (6, "d = '2020-06-01'", {1}),
        (6, "d BETWEEN '2020-01-01' AND '2020-12-31'", {1}), (8, "a > 2", {0}), (8, "a IN (1, 2)", {1}),
        (10, "b = 1 AND a = 2", {0}), (10, "b = 7", set()),
    ],
)  # fmt: skip
def test_what_is_left(at: int, condition: str, wanted: set[int]) -> None:
    assert left(BY[at], condition) == wanted
