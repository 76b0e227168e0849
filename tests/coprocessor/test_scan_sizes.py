"""What DuckDB is told of the sizes of filtered scans changes no answer."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rutile_coprocessor import scan_sizes
from rutile_coprocessor.execute import Executor, locked_database
from rutile_coprocessor.filtered_scans import filtered_scans, with_limits
from rutile_coprocessor.fragment import Fragment, Scan
from rutile_coprocessor.scan_sizes import LARGE_ROWS, ScanSizes
from rutile_coprocessor.scan_source import Live, ScanSource
from rutile_coprocessor.schema import Column, ColumnType, Kind, TableSchema
from rutile_coprocessor.watchdog import CancelToken
from rutile_proto.errors import FragmentCancelled

NAMES = ("t", "u")
INTS = pa.schema([("n", pa.int64()), ("k", pa.int64())])
ROWS = st.lists(st.tuples(st.none() | st.integers(0, 30), st.none() | st.integers(0, 5)), max_size=40)
CONDITIONS = st.sampled_from([
    "t.n = 3", "t.n < 2", "t.n IN (1, 2, 29)", "t.n IS NULL", "NOT t.n > 1", "(t.n = 1 OR t.k = 2)",
    "t.n BETWEEN 4 AND 6", "u.n = 7", "u.k IS NULL", "u.n > t.n", "t.n = 31", "1 = 1",
    "u.n IN (SELECT max(t.n) FROM t)",
])  # fmt: skip
SHAPES = st.sampled_from([
    "SELECT t.n, u.n FROM t, u WHERE t.k = u.k AND {0} AND {1}",
    "SELECT * FROM t JOIN u ON t.k = u.k WHERE {0} AND {1}",
    "SELECT t.n, u.n FROM t LEFT JOIN u ON t.k = u.k WHERE {0} AND {1}",
    "SELECT t.n, u.n FROM t RIGHT JOIN u ON t.k = u.k WHERE {0} AND {1}",
    "SELECT t.n, u.n FROM t FULL JOIN u ON t.k = u.k WHERE {0} AND {1}",
    "SELECT count(*) FROM u, t WHERE u.k = t.k AND {0} AND {1}"
    " AND EXISTS (SELECT 1 FROM t WHERE t.k = u.k AND t.n = 3)",
    "SELECT u.n FROM u WHERE u.k IN (SELECT t.k FROM t WHERE t.n < 3) AND u.n NOT IN (SELECT t.n FROM t WHERE t.n = 1)",
    "SELECT u.n, (SELECT max(t.n) FROM t WHERE t.k = u.k AND t.n < 9) FROM u WHERE u.n = 2",
    "WITH c AS (SELECT t.k, max(t.n) AS n FROM t, u WHERE t.n < 4 AND u.n = 2 GROUP BY t.k) SELECT c.n, u.n FROM c, u"
    " WHERE c.k = u.k AND u.n IN (2, 3)",
    "SELECT t.n, b.n FROM t, t AS b WHERE t.k = b.k AND {0} AND b.n = 5 AND (t.k = b.n OR b.n = t.n) AND 'u' <> 'v'",
])  # fmt: skip


@pytest.fixture(scope="module")
def cursor() -> Iterator[duckdb.DuckDBPyConnection]:
    with locked_database(256 << 20, 1) as database:
        yield database


@pytest.fixture(scope="module")
def executor() -> Iterator[Executor]:
    executor = Executor(threads=1)
    executor._sizes = ScanSizes(large_rows=0)
    yield executor
    executor.close()


def source_of(rows: list[tuple[int | None, int | None]]) -> ScanSource:
    columns = [pa.array([row[place] for row in rows], pa.int64()) for place in (0, 1)]
    return ScanSource([pa.record_batch(columns, schema=INTS)], INTS)


def answer(cursor: duckdb.DuckDBPyConnection, text: str) -> list[str]:
    return sorted(map(repr, cursor.execute(text).fetchall()))


@settings(max_examples=150, deadline=None)
@given(SHAPES, CONDITIONS, CONDITIONS, ROWS, ROWS)
def test_answers_are_those_of_the_text(
    cursor: duckdb.DuckDBPyConnection,
    shape: str,
    one: str,
    other: str,
    t: list[tuple[int | None, int | None]],
    u: list[tuple[int | None, int | None]],
) -> None:
    text = shape.format(one, other)
    sources = {"t": source_of(t), "u": source_of(u)}
    for name, source in sources.items():
        cursor.register(name, source.table)
    try:
        expected = answer(cursor, text)
    except duckdb.Error:  # a table the shape does not have
        return
    sizes = ScanSizes(large_rows=0)
    for _ in range(3):
        assert answer(cursor, sizes.told(sources, cursor, text).text) == expected
    everything = tuple(len(t) + len(u) for _ in filtered_scans(text, NAMES))
    assert answer(cursor, with_limits(text, NAMES, everything)) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("SELECT 1 FROM t, u WHERE t.k = u.k AND t.n = 3 AND u.n < t.n", ["FROM t AS t WHERE t.n = 3"]),
        ("SELECT 1 FROM t WHERE t.n = 3", []),
        ("SELECT 1 FROM t LEFT JOIN u ON t.k = u.k WHERE t.n = 3 AND u.n = 1", ["FROM t AS t WHERE t.n = 3"]),
        ("SELECT 1 FROM t RIGHT JOIN u ON t.k = u.k WHERE t.n = 3", []),
        ("SELECT 1 FROM t ASOF JOIN u ON t.k >= u.k WHERE t.n = 3", []),
        ("SELECT 1 FROM t, u WHERE t.n < MYSQL_RAND()", []),
        ("SELECT 1 FROM t, u WHERE t.n = (SELECT 1)", []),
        ("SELECT 1 FROM t AS a, t AS b WHERE a.n = 1 OR b.n = 1", []),
        ("WITH t AS (SELECT * FROM u) SELECT 1 FROM t, u WHERE t.n = 3", []),
        (
            "SELECT 1 FROM t AS a, t AS b WHERE a.n = 1 AND b.n = 2 AND a.k = 3",
            ["FROM t AS a WHERE a.n = 1 AND a.k = 3", "FROM t AS b WHERE b.n = 2"],
        ),
    ],
)
def test_conditions_of_one_relation_are_found(text: str, expected: list[str]) -> None:
    found = [each.rows.replace("t WHERE", "t AS t WHERE") for each in filtered_scans(text, NAMES)]
    assert found == expected


def beside(settled: ScanSource, hidden: set[int], added: ScanSource) -> ScanSource:
    """A source made of `settled`, some rows hidden and others added."""
    marks = pa.chunked_array(
        [[None if place in hidden else 0 for place in range(settled.rows)], [0] * added.rows], pa.int8()
    )
    both = pa.concat_tables([settled.table, added.table])
    return ScanSource.of_live(both.columns, marks, Live(settled, min(len(hidden), settled.rows), added.rows))


@settings(max_examples=150, deadline=None)
@given(
    SHAPES,
    CONDITIONS,
    CONDITIONS,
    ROWS,
    st.lists(st.tuples(st.sets(st.integers(0, 39)), ROWS), min_size=3, max_size=6),
)
def test_answers_are_those_of_the_text_while_a_table_is_written_to(
    shape: str, one: str, other: str, t: list[tuple[int | None, int | None]], states: list[tuple[set[int], list[Any]]]
) -> None:
    text, sizes, settled = shape.format(one, other), ScanSizes(large_rows=0), {"t": source_of(t), "u": source_of(t)}
    with pytest.MonkeyPatch.context() as patch, locked_database(256 << 20, 1) as database:
        patch.setattr(scan_sizes, "WORTH_SHARE", 9.0)
        for hidden, added in states:
            sources = {name: beside(source, hidden, source_of(added)) for name, source in settled.items()}
            with database.cursor() as cursor:
                for name, source in sources.items():
                    source.register(cursor, name, f"{name} stored")
                try:
                    expected = answer(cursor, text)
                except duckdb.Error:  # a table the shape does not have
                    return
                assert answer(cursor, sizes.told(sources, cursor, text).text) == expected


@settings(max_examples=150, deadline=None)
@given(
    SHAPES,
    CONDITIONS,
    CONDITIONS,
    st.lists(ROWS, min_size=2, max_size=2),
    st.lists(st.tuples(st.integers(0, 1), st.sets(st.integers(0, 39)), ROWS | st.none()), min_size=3, max_size=9),
)
def test_plans_that_stay_give_the_answers_of_the_rows_there_are(
    executor: Executor,
    cursor: duckdb.DuckDBPyConnection,
    shape: str,
    one: str,
    other: str,
    tables: list[list[tuple[int | None, int | None]]],
    steps: list[tuple[int, set[int], list[Any] | None]],
) -> None:
    """One executor, over two tables that are read settled or with rows hidden and added, in any order."""
    text, settled = shape.format(one, other), [source_of(rows) for rows in tables]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scan_sizes, "WORTH_SHARE", 9.0)
        for which, hidden, added in steps:
            base = settled[which]
            source = base if added is None else beside(base, hidden, source_of(added))
            sources = dict.fromkeys(NAMES, source)
            expected = plain_answer(cursor, sources, text)
            if expected is None:  # a table the shape does not have
                break
            with executor.run(fragment_of(text), sources) as pages:
                found = sorted(
                    repr(tuple(row.values())) for page in pages for row in numbered_columns(page).to_pylist()
                )
            assert found == expected


def plain_answer(cursor: duckdb.DuckDBPyConnection, sources: dict[str, ScanSource], text: str) -> list[str] | None:
    with cursor.cursor() as own:
        for name, source in sources.items():
            source.register(own, name, f"{name} stored")
        try:
            return answer(own, text)
        except duckdb.Error:
            return None


def fragment_of(text: str) -> Fragment:
    columns = tuple(Column(place, name, ColumnType(Kind.BIGINT)) for place, name in enumerate("nk", 1))
    return Fragment(text, tuple(Scan(name, TableSchema(1, "t", columns), ("n", "k")) for name in NAMES))


def numbered_columns(page: pa.RecordBatch) -> pa.RecordBatch:
    """Rows as dictionaries lose columns of the same name."""
    return page.rename_columns([str(place) for place in range(page.num_columns)])


def told_after(sizes: ScanSizes, cursor: duckdb.DuckDBPyConnection, sources: dict[str, ScanSource], text: str) -> str:
    for name, source in sources.items():
        cursor.register(name, source.table)
    return sizes.told(sources, cursor, text).text


def numbered(count: int) -> ScanSource:
    return source_of([(number, number % 5) for number in range(count)])


TEXT = "SELECT count(*) FROM t, u WHERE t.k = u.k AND t.n < 3"


def test_the_second_time_the_size_is_told(cursor: duckdb.DuckDBPyConnection) -> None:
    sizes, sources = ScanSizes(), {"t": numbered(100), "u": numbered(LARGE_ROWS)}
    assert told_after(sizes, cursor, sources, TEXT) == TEXT
    assert "LIMIT 3" in told_after(sizes, cursor, sources, TEXT)


def test_rows_hidden_when_they_were_counted_are_allowed_for() -> None:
    sizes, settled, large = ScanSizes(), source_of([(1, 1)] * 9 + [(7, 7)] * 991), numbered(LARGE_ROWS)
    found = []
    for hidden in (set(range(9)), set(range(9)), {0}):
        with locked_database(256 << 20, 1) as cursor:
            beside(settled, hidden, source_of([])).register(cursor, "t", "stored")
            cursor.register("u", large.table)
            told = sizes.told({"t": beside(settled, hidden, source_of([])), "u": large}, cursor, TEXT).text
            found.append(("LIMIT" in told, cursor.execute(told).fetchall(), cursor.execute(TEXT).fetchall()))
    assert [(limited, one == other) for limited, one, other in found] == [(False, True), (True, True), (True, True)]


def test_a_source_that_is_new_is_not_counted(cursor: duckdb.DuckDBPyConnection) -> None:
    sizes, large = ScanSizes(), numbered(LARGE_ROWS)
    for count in (100, 200, 300):
        assert told_after(sizes, cursor, {"t": numbered(count), "u": large}, TEXT) == TEXT


def test_counts_are_those_of_their_source(cursor: duckdb.DuckDBPyConnection) -> None:
    sizes, large, small = ScanSizes(), numbered(LARGE_ROWS), source_of([(1, 1)] * 5 + [(9, 9)] * 95)
    told_after(sizes, cursor, {"t": small, "u": large}, TEXT)
    assert "LIMIT 5" in told_after(sizes, cursor, {"t": small, "u": large}, TEXT)
    del small
    gc.collect()
    other = numbered(100)
    assert told_after(sizes, cursor, {"t": other, "u": large}, TEXT) == TEXT
    assert "LIMIT 3" in told_after(sizes, cursor, {"t": other, "u": large}, TEXT)


@pytest.mark.parametrize(
    ("text", "sources"),
    [
        (TEXT, {"t": numbered(100), "u": numbered(1000)}),
        (TEXT.replace("t.n < 3", "t.n < 50"), {"t": numbered(100), "u": numbered(LARGE_ROWS)}),
        (TEXT.replace("t.n <", "CAST(concat('x', t.n) AS INT) <"), {"t": numbered(100), "u": numbered(LARGE_ROWS)}),
    ],
    ids=["nothing large", "many rows left", "a condition that fails"],
)  # fmt: skip
def test_what_is_not_worth_it_is_left_alone(
    cursor: duckdb.DuckDBPyConnection, text: str, sources: dict[str, ScanSource]
) -> None:
    sizes = ScanSizes()
    for _ in range(3):
        assert told_after(sizes, cursor, sources, text) == text


def test_the_executor_tells_and_counting_can_be_stopped() -> None:
    sources = {"t": numbered(100), "u": numbered(LARGE_ROWS)}
    fragment = fragment_of(TEXT)
    executor = Executor(threads=1)
    answers, notes = [], []
    for _ in range(3):
        with executor.run(fragment, sources) as pages:
            answers += [page.to_pydict() for page in pages]
            notes.append(pages.summary.note)
    assert answers == [answers[0]] * 3
    assert notes == ["", "filtered to 3 of t", "filtered to 3 of t"]
    cancel = CancelToken()
    cancel.cancel("killed")
    with pytest.raises(FragmentCancelled), executor.run(fragment, sources, cancel=cancel) as pages:
        list(pages)
    executor.close()
