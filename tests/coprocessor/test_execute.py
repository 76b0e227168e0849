"""Running fragments: pages, summaries, limits, cancellation, and that nothing outside can be reached."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rutile_coprocessor.execute import CancelToken, Executor, Limits, Spill, locked_database, run_fragment
from rutile_coprocessor.fragment import Fragment, Scan
from rutile_coprocessor.pages import MAX_PAGE_BYTES
from rutile_coprocessor.schema import Column, ColumnType, Kind, TableSchema
from rutile_proto.errors import FragmentCancelled, FragmentFailed, FragmentRefused, InvalidRequest

SCHEMA = TableSchema(
    1,
    "t",
    (
        Column(1, "a", ColumnType(Kind.INT)),
        Column(2, "b", ColumnType(Kind.TEXT)),
        Column(3, "c", ColumnType(Kind.TIME)),
        Column(4, "d", ColumnType(Kind.DECIMAL, precision=10, scale=2)),
    ),
)
NAMES = tuple(column.name for column in SCHEMA.columns)
RUNAWAY = "SELECT SUM(x.a * y.a % 7 + z.a) FROM s0 x, s0 y, s0 z"


@pytest.fixture(scope="module")
def executor() -> Iterator[Executor]:
    executor = Executor(memory_limit_bytes=64 << 20, threads=2)
    yield executor
    executor.close()


def fragment(sql: str, page_rows: int = 1000) -> Fragment:
    return Fragment(sql, (Scan("s0", SCHEMA, NAMES),), page_rows=page_rows)


def batch(rows: int) -> pa.RecordBatch:
    columns = [
        list(range(rows)),
        [str(row) for row in range(rows)],
        [timedelta(hours=row - 5) for row in range(rows)],
        [row / 4 for row in range(rows)],
    ]
    arrow = SCHEMA.arrow_schema()
    arrays = [pa.array(column).cast(kind) for column, kind in zip(columns, arrow.types, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=arrow)


def test_pages_are_bounded_and_the_summary_counts(executor: Executor) -> None:
    with executor.run(fragment("SELECT a, b FROM s0 WHERE a >= 500", 1000), {"s0": [batch(3000), batch(600)]}) as pages:
        sizes = [page.num_rows for page in pages]
        assert max(sizes) <= 1000
        assert sum(sizes) == 2600
        (scan,) = pages.summary.scans
        assert pages.summary.rows_out == 2600
        assert (scan.name, scan.rows_read) == ("s0", 3600)
        assert pages.summary.run_seconds > 0


def test_pages_are_cut_by_bytes_too(executor: Executor) -> None:
    sql = "SELECT repeat(b, 40000) FROM s0 WHERE a BETWEEN 100 AND 399"
    with executor.run(fragment(sql), {"s0": [batch(400)]}) as pages:
        sizes = [page.nbytes for page in pages]
    assert len(sizes) > 2
    assert max(sizes) < MAX_PAGE_BYTES * 2


def test_an_empty_scan_answers_with_a_schema(executor: Executor) -> None:
    with executor.run(fragment("SELECT a, SUM(d) FROM s0 GROUP BY a"), {"s0": []}) as pages:
        assert pages.schema.types == [pa.int32(), pa.decimal128(38, 2)]
        assert list(pages) == []


def test_times_come_back_as_durations(executor: Executor) -> None:
    sql = "SELECT c, c + c, NULL::INTERVAL FROM s0 WHERE c > INTERVAL 20 HOUR ORDER BY c"
    with executor.run(fragment(sql), {"s0": [batch(27)]}) as pages:
        (page,) = list(pages)
    assert page.schema.types == [pa.duration("us")] * 3
    assert list(page.to_pylist()[0].values()) == [timedelta(hours=21), timedelta(hours=42), None]


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("SELECT b::INT + 1 FROM (SELECT 'x' || b AS b FROM s0)", "Conversion Error"),
        ("SELECT no_such_column FROM s0", "no_such_column"),
        ("SELECT string_agg(repeat(b, 80000), ',') FROM s0", "Out of Memory Error"),
    ],
)
def test_failures_are_typed_and_the_next_run_works(executor: Executor, sql: str, message: str) -> None:
    with pytest.raises(FragmentFailed, match=message), executor.run(fragment(sql), {"s0": [batch(500)]}) as pages:
        list(pages)
    with executor.run(fragment("SELECT COUNT(*) AS n FROM s0"), {"s0": [batch(5)]}) as pages:
        assert next(pages).to_pylist() == [{"n": 5}]


def test_a_runaway_fragment_stops_at_its_deadline(executor: Executor) -> None:
    started = time.monotonic()
    with (
        pytest.raises(FragmentCancelled, match="deadline"),
        executor.run(fragment(RUNAWAY), {"s0": [batch(3000)]}, timeout_seconds=0.2) as pages,
    ):
        list(pages)
    assert time.monotonic() - started < 5


def test_a_run_is_cancelled_from_another_thread(executor: Executor) -> None:
    cancel = CancelToken()
    threading.Timer(0.1, cancel.cancel, ["KILL 7"]).start()
    with (
        pytest.raises(FragmentCancelled, match="KILL 7"),
        executor.run(fragment(RUNAWAY), {"s0": [batch(3000)]}, cancel=cancel) as pages,
    ):
        list(pages)


def test_a_cancelled_token_stops_a_run_before_it_begins(executor: Executor) -> None:
    cancel = CancelToken()
    cancel.cancel("client gone")
    cancel.cancel("said twice")
    with pytest.raises(FragmentCancelled, match="client gone"):
        executor.run(fragment("SELECT a FROM s0"), {"s0": [batch(5)]}, cancel=cancel)


def test_closing_early_frees_the_run(executor: Executor) -> None:
    for _ in range(3):
        with executor.run(fragment("SELECT a FROM s0", 10), {"s0": [batch(5000)]}) as pages:
            assert next(pages).num_rows == 10


def test_runs_in_threads_do_not_see_each_other(executor: Executor) -> None:
    def count(rows: int, found: list[int]) -> None:
        for _ in range(5):
            with executor.run(fragment("SELECT COUNT(*) AS n FROM s0"), {"s0": [batch(rows)]}) as pages:
                found.append(next(pages).to_pylist()[0]["n"])

    found: dict[int, list[int]] = {rows: [] for rows in (10, 20, 30)}
    threads = [threading.Thread(target=count, args=item) for item in found.items()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {rows: [rows] * 5 for rows in found}


def test_refusals(executor: Executor) -> None:
    with pytest.raises(FragmentRefused):
        executor.run(fragment("SELECT * FROM read_csv('x')"), {"s0": []})
    with pytest.raises(InvalidRequest, match="no rows were given for scan s0"):
        executor.run(fragment("SELECT a FROM s0"), {})


def test_the_shared_form_takes_the_lower_memory_limit() -> None:
    small = Fragment("SELECT COUNT(*) AS n FROM s0", (Scan("s0", SCHEMA, NAMES),), memory_limit_bytes=32 << 20)
    with run_fragment(small, {"s0": [batch(7)]}, Limits(memory_limit_bytes=64 << 20, threads=1)) as pages:
        assert next(pages).to_pylist() == [{"n": 7}]


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM read_csv('/etc/hosts')", "SELECT * FROM read_text('/etc/hosts')", "SELECT * FROM glob('/*')",
        "COPY (SELECT 1) TO '/tmp/rutile-must-not-exist'", "ATTACH '/tmp/rutile-must-not-exist'",
        "SET enable_external_access = true", "SET memory_limit = '9GB'", "INSTALL httpfs", "LOAD httpfs",
        "SELECT * FROM a_python_variable", "SELECT getenv('HOME')",
    ],
)  # fmt: skip
def test_even_without_the_whitelist_the_database_is_locked(sql: str) -> None:
    a_python_variable = pa.table({"a": [1]})
    with locked_database(64 << 20, 1) as database, pytest.raises(duckdb.Error):
        database.sql(sql).fetchall()
    assert a_python_variable.num_rows == 1


comparisons = st.one_of(
    st.tuples(st.sampled_from(["=", "<>", "<", ">", ">="]), st.integers(-2, 12)).map(lambda p: f"a {p[0]} {p[1]}"),
    st.lists(st.integers(-2, 12), min_size=1, max_size=4).map(lambda v: f"a IN ({', '.join(map(str, v))})"),
    st.sampled_from(["a IS NULL", "b IS NOT NULL", "b LIKE '1%'", "b >= '5'", "b IN ('3', '11')", "c > INTERVAL 2 HOUR",
                     "d > 1.25", "d = 1.5", "d BETWEEN 0.5 AND 2", "a % 3 = 1", "a = d", "c IS NULL", "a > 2.5"]),
)  # fmt: skip
predicates = st.recursive(
    comparisons,
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["AND", "OR"]), inner).map(lambda p: f"({p[0]} {p[1]} {p[2]})"),
        inner.map(lambda p: f"NOT ({p})"),
    ),
    max_leaves=4,
)
table_rows = st.lists(
    st.tuples(
        st.none() | st.integers(-2, 12), st.none() | st.integers(0, 15).map(str),
        st.none() | st.integers(-5, 5).map(lambda hours: timedelta(hours=hours)),
        st.none() | st.decimals(-3, 3, places=2),
    ),
    max_size=12,
)  # fmt: skip


@pytest.fixture(scope="module")
def twin() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(":memory:") as database:
        yield database


@given(table_rows, predicates, st.integers(0, 12))
@settings(max_examples=80, deadline=None)
def test_filters_on_scans_agree_with_duckdbs_own_table(
    executor: Executor, twin: duckdb.DuckDBPyConnection, rows: list[tuple[object, ...]], where: str, cut: int
) -> None:
    arrow = SCHEMA.arrow_schema()
    arrays = [pa.array([row[place] for row in rows], kind) for place, kind in enumerate(arrow.types)]
    whole = pa.RecordBatch.from_arrays(arrays, schema=arrow)
    sql = f"SELECT a, b, c, d FROM s0 WHERE {where}"
    with executor.run(fragment(sql), {"s0": [whole.slice(0, cut), whole.slice(cut)]}) as pages:
        found = pa.Table.from_batches(list(pages), pages.schema).to_pylist()
    twin.register("given", pa.Table.from_batches([whole]))
    twin.execute("CREATE OR REPLACE TABLE s0 AS SELECT * FROM given")
    expected = twin.sql(sql.replace("SELECT a, b, c, d", "SELECT a, b, epoch_us(c), d")).fetchall()
    for row in found:
        row["c"] = None if row["c"] is None else row["c"] // timedelta(microseconds=1)
    assert [tuple(row.values()) for row in found] == expected


SORT = "SELECT x.a, md5(x.b || '-' || y.b) AS m FROM s0 x, s0 y ORDER BY m"


def test_what_does_not_fit_in_memory_spills_within_its_bound(tmp_path: Path) -> None:
    for limit_bytes in (1 << 30, 1 << 20):
        executor = Executor(32 << 20, 1, Spill(tmp_path / "spill", limit_bytes))
        with ExitStack() as stack:
            stack.callback(executor.close)
            if limit_bytes == 1 << 20:
                stack.enter_context(pytest.raises(FragmentFailed, match="Out of Memory"))
            with executor.run(fragment(SORT, 50_000), {"s0": [batch(900)]}) as pages:
                assert sum(page.num_rows for page in pages) == 810_000
    assert list((tmp_path / "spill").glob("*")) == []
