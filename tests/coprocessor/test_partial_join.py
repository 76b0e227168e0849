"""Split joins: fragments over any partition of the spread table, the others whole in each, merged, give the answer."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import duckdb
import pyarrow as pa
import pytest
import sqlglot
from hypothesis import given, settings
from hypothesis import strategies as st

from rutile_coprocessor.execute import Executor
from rutile_coprocessor.fragment import Fragment, Scan
from rutile_coprocessor.inputs import Input
from rutile_coprocessor.partial import MERGE_INPUT, split_join
from rutile_coprocessor.prelude import install
from rutile_coprocessor.schema import Column, ColumnType, Kind, TableSchema

BIG = TableSchema(1, "big", tuple(Column(at, name, ColumnType(Kind.INT)) for at, name in enumerate("kvw", start=1)))
SMALL = pa.schema([("k", pa.int32()), ("name", pa.string())])
OTHER = pa.schema([("k", pa.int32()), ("n", pa.int32())])
SPLIT = [
    "SELECT s.name, SUM(b.v) AS v, COUNT(*) AS n FROM big AS b JOIN small AS s ON b.k = s.k GROUP BY s.name",
    "SELECT COUNT(*), MIN(s.name), VAR_POP(b.v) FROM big AS b, small AS s WHERE b.k = s.k AND b.v > 1",
    "SELECT b.k, COUNT(s.name), COUNT(DISTINCT s.name) FROM big AS b LEFT JOIN small AS s ON b.k = s.k GROUP BY b.k",
    "SELECT b.v, s.name, b.k FROM small AS s RIGHT JOIN big AS b ON b.k = s.k AND s.name > 'a'",
    "SELECT b.v, s.name FROM big AS b JOIN small AS s ON b.k <=> s.k ORDER BY b.v, s.name LIMIT 3 OFFSET 1",
    "SELECT DISTINCT b.k, o.n FROM big AS b JOIN other AS o ON b.v = o.n LEFT JOIN small AS s ON s.k = o.k",
    "SELECT b.k, b.v FROM big AS b WHERE b.k IN (SELECT s.k FROM small AS s)",
    "SELECT b.k, b.v FROM big AS b WHERE b.k NOT IN (SELECT s.k FROM small AS s)",
    "SELECT COUNT(*) FROM big AS b WHERE EXISTS (SELECT 1 FROM small AS s WHERE s.k = b.k AND s.name <> 'b')",
    "SELECT COUNT(*), SUM(b.w) FROM big AS b WHERE NOT EXISTS (SELECT 1 FROM small AS s WHERE s.k = b.k)",
    "SELECT b.v FROM big AS b WHERE b.v > (SELECT AVG(o.n) FROM other AS o WHERE o.k = b.k)",
    "SELECT COUNT(*) FROM big AS b SEMI JOIN small AS s ON b.k = s.k",
    "SELECT COUNT(*) FROM big AS b ANTI JOIN small AS s ON b.k = s.k",
    "SELECT q.m, COUNT(*) FROM big AS b JOIN (SELECT o.k, MAX(o.n) AS m FROM other AS o GROUP BY o.k) AS q"
    " ON q.k = b.k GROUP BY q.m HAVING COUNT(*) > 1",
    "SELECT COUNT(*), SUM(b.v) FROM small AS s FULL JOIN other AS o ON s.k = o.k JOIN big AS b ON b.k = o.n",
    "SELECT COUNT(*), SUM(s.k) FROM big AS b CROSS JOIN small AS s",
]
NOT_SPLIT = [
    "SELECT COUNT(*) FROM small AS s LEFT JOIN big AS b ON b.k = s.k",
    "SELECT COUNT(*) FROM big AS b RIGHT JOIN small AS s ON b.k = s.k",
    "SELECT COUNT(*) FROM big AS b FULL JOIN small AS s ON b.k = s.k",
    "SELECT COUNT(*) FROM small AS s SEMI JOIN big AS b ON b.k = s.k",
    "SELECT COUNT(*) FROM small AS s ANTI JOIN big AS b ON b.k = s.k",
    "SELECT COUNT(*) FROM small AS s WHERE s.k IN (SELECT b.k FROM big AS b)",
    "SELECT COUNT(*) FROM big AS b JOIN big AS c ON b.k = c.v",
    "SELECT COUNT(*) FROM big AS b WHERE b.v > (SELECT AVG(c.v) FROM big AS c)",
    "SELECT b.k, (SELECT MAX(s.name) FROM small AS s) FROM big AS b",
    "SELECT COUNT(*) FROM big AS b JOIN (SELECT s.k FROM small AS s LIMIT 1) AS q ON q.k = b.k",
    "SELECT COUNT(*) FROM big AS b WHERE b.k = (SELECT FIRST(s.k) FROM small AS s)",
    "SELECT COUNT(*) FROM big AS b ASOF JOIN small AS s ON b.k >= s.k",
    "SELECT b.v FROM big AS b JOIN small AS s ON s.k = b.k UNION ALL SELECT 1",
    "SELECT q.v FROM (SELECT b.v FROM big AS b) AS q JOIN small AS s ON s.k = q.v",
    "WITH c AS (SELECT s.k FROM small AS s) SELECT b.v FROM big AS b JOIN c ON c.k = b.k",
    "SELECT MEDIAN(b.v) FROM big AS b JOIN small AS s ON s.k = b.k",
]
number = st.none() | st.integers(0, 4)
big_rows = st.lists(st.tuples(number, number, st.integers(-(2**31), 2**31 - 1)), max_size=12)
small_rows = st.lists(st.tuples(number, st.none() | st.sampled_from(["a", "b", "B", ""])), max_size=6)
other_rows = st.lists(st.tuples(number, number), max_size=5)


@pytest.fixture(scope="module")
def database() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(":memory:") as connection:
        install(connection)
        yield connection


@pytest.fixture(scope="module")
def executor() -> Iterator[Executor]:
    executor = Executor(64 << 20, 1)
    yield executor
    executor.close()


def table(rows: list[tuple[Any, ...]], schema: pa.Schema) -> pa.Table:
    return pa.Table.from_arrays(
        [pa.array([row[place] for row in rows], field.type) for place, field in enumerate(schema)], schema=schema
    )


def canonical(found: pa.Table) -> list[Any]:
    rows = zip(*(column.to_pylist() for column in found.columns), strict=True)
    rounded = [tuple(float(f"{each:.9g}") if isinstance(each, float) else each for each in row) for row in rows]
    return sorted(rounded, key=repr)


@pytest.mark.parametrize("sql", SPLIT, ids=[sql[:70] for sql in SPLIT])
@given(big=big_rows, small=small_rows, other=other_rows, cuts=st.lists(st.integers(0, 12), max_size=2))
@settings(max_examples=8, deadline=None)
def test_stores_that_join_their_part_give_the_whole_join(
    database: duckdb.DuckDBPyConnection,
    executor: Executor,
    sql: str,
    big: list[tuple[Any, ...]],
    small: list[tuple[Any, ...]],
    other: list[tuple[Any, ...]],
    cuts: list[int],
) -> None:
    sql = sql.replace("<=>", "IS NOT DISTINCT FROM")
    tables = {"big": table(big, BIG.arrow_schema()), "small": table(small, SMALL), "other": table(other, OTHER)}
    plan = split_join(sqlglot.parse_one(sql, read="duckdb"), "big")
    assert plan is not None
    assert not plan.rowwise
    inputs = tuple(Input.of(name, tables[name]) for name in ("small", "other"))
    fragment = Fragment.from_proto(
        Fragment(plan.fragment_sql, (Scan("big", BIG, ("k", "v", "w")),), inputs=inputs).to_proto()
    )
    bounds = [0, *sorted(min(cut, len(big)) for cut in cuts), len(big)]
    answers = []
    for start, end in pairwise(bounds):
        with executor.run(fragment, {"big": tables["big"].slice(start, end - start).to_batches()}) as pages:
            answers.append(pa.Table.from_batches(list(pages), pages.schema))
    with database.cursor() as cursor:
        for name, rows in (tables | {MERGE_INPUT: pa.concat_tables(answers)}).items():
            cursor.register(name, rows)
        merged = cursor.sql(plan.merge_sql or f"FROM {MERGE_INPUT}").to_arrow_table()
        expected = cursor.sql(sql).to_arrow_table()
    assert merged.schema.types == expected.schema.types
    assert canonical(merged) == canonical(expected)


@pytest.mark.parametrize("sql", NOT_SPLIT, ids=[sql[:70] for sql in NOT_SPLIT])
def test_joins_in_which_a_row_meets_rows_of_other_stores_are_not_split(sql: str) -> None:
    assert split_join(sqlglot.parse_one(sql, read="duckdb"), "big") is None
