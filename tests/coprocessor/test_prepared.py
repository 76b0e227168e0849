"""A cursor with a plan serves the same text over sources of the same shape, each run with its own rows."""

import gc
import weakref
from collections.abc import Iterator

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rutile_coprocessor import prepared
from rutile_coprocessor.execute import Executor
from rutile_coprocessor.fragment import Fragment, Scan
from rutile_coprocessor.scan_sizes import Told
from rutile_coprocessor.scan_source import ScanSource
from rutile_coprocessor.schema import Column, ColumnType, Kind, TableSchema
from rutile_coprocessor.watchdog import CancelToken
from rutile_proto.errors import CoprocessorError, FragmentCancelled, FragmentFailed

SCHEMA = TableSchema(1, "t", (Column(1, "a", ColumnType(Kind.BIGINT)),), handle="hidden")
NEARLY_ALL = (1 << 63) - 1 - 7
"""So much that a BIGINT has room for seven more."""
TEXTS = (
    "SELECT a FROM s0 ORDER BY a",
    "SELECT sum(a) AS a FROM s0",
    f"SELECT a + {NEARLY_ALL} AS a FROM s0 ORDER BY a",
)


@pytest.fixture(scope="module")
def executor() -> Iterator[Executor]:
    executor = Executor(threads=1)
    yield executor
    executor.close()


def source_of(values: list[int]) -> ScanSource:
    schema = pa.schema([("a", pa.int64())])
    return ScanSource([pa.record_batch([pa.array(values, pa.int64())], schema=schema)], schema)


def fragment(text: str = TEXTS[0]) -> Fragment:
    return Fragment(text, (Scan("s0", SCHEMA, ("a",)),))


def run(executor: Executor, text: str, source: ScanSource) -> list[int] | str:
    try:
        with executor.run(fragment(text), {"s0": source}) as pages:
            return [row["a"] for page in pages for row in page.to_pylist()]
    except CoprocessorError as error:
        return type(error).__name__


def expected(text: str, values: list[int]) -> list[int] | str:
    if text == TEXTS[1]:
        return [sum(values)]
    if text == TEXTS[2]:
        return "FragmentFailed" if max(values) > 7 else [NEARLY_ALL + value for value in sorted(values)]
    return sorted(values)


STEPS = st.lists(
    st.tuples(st.sampled_from(["run", "run", "run", "new"]), st.integers(0, 2), st.sampled_from(TEXTS)), max_size=30
)


@settings(max_examples=60, deadline=None)
@given(STEPS, st.lists(st.lists(st.integers(0, 9), min_size=1, max_size=5), min_size=1, max_size=9))
def test_every_run_gives_the_answer_of_its_own_source(
    executor: Executor, steps: list[tuple[str, int, str]], tables: list[list[int]]
) -> None:
    held = [(values, source_of(values)) for values in (tables * 3)[:3]]
    made = 0
    for verb, place, text in steps:
        if verb == "new":
            made += 1
            values = tables[made % len(tables)]
            held[place] = values, source_of(values)
        else:
            values, source = held[place]
            assert run(executor, text, source) == expected(text, values)


def test_the_third_run_only_executes(monkeypatch: pytest.MonkeyPatch) -> None:
    executor, source, statements = Executor(threads=1), source_of([3, 1, 2]), list[str]()
    plain = prepared.Planned.statement

    def noted(planned: prepared.Planned, tell: prepared.Tell) -> str:
        statements.append(plain(planned, tell))
        return statements[-1]

    monkeypatch.setattr(prepared.Planned, "statement", noted)
    assert [run(executor, TEXTS[0], source) for _ in range(3)] == [[1, 2, 3]] * 3
    assert run(executor, TEXTS[0], source_of([6, 4])) == [4, 6], "two rows have as many bits as three"
    assert run(executor, TEXTS[0], source_of([8, 7, 6, 5])) == [5, 6, 7, 8], "four have more"
    verbs = ["SELECT", "EXECUTE", "EXECUTE", "EXECUTE", "SELECT"]
    assert [each.partition(" ")[0] for each in statements] == verbs
    executor.close()


def test_what_is_told_of_the_rows_is_told_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """A plan with a LIMIT that was true of other rows would lose some."""
    executor, told = Executor(threads=1), iter(["SELECT 1 AS a", "SELECT 2 AS a", "SELECT 2 AS a", "SELECT 3 AS a"])
    monkeypatch.setattr(executor._sizes, "told", lambda sources, cursor, text: Told(next(told)))
    assert [run(executor, TEXTS[0], source_of([0])) for _ in range(4)] == [[1], [2], [2], [3]]
    executor.close()


def test_a_cursor_that_waits_keeps_no_rows(executor: Executor) -> None:
    before, source = len(executor._planned), source_of([1] * 99)
    for _ in range(3):
        assert run(executor, TEXTS[1], source) == [99]
    assert len(executor._planned) == before + 1
    rows = weakref.ref(source.table)
    del source
    gc.collect()
    assert rows() is None
    assert len(executor._planned) == before + 1
    assert run(executor, TEXTS[1], source_of([2] * 99)) == [198]


def test_the_number_of_rows_is_known_to_plans(executor: Executor) -> None:
    cursor = executor._database.cursor()
    stand_in = source_of([1] * 500).register(cursor, "s0", "stored")
    assert "~500 rows" in explained(cursor)
    stand_in.stand_for(source_of([1] * 300).table)
    assert "~300 rows" in explained(cursor)
    assert cursor.execute("SELECT count(*) FROM s0").fetchone() == (300,)
    cursor.close()


def explained(cursor: duckdb.DuckDBPyConnection) -> str:
    return "".join(row[1] for row in cursor.execute("EXPLAIN SELECT a FROM s0").fetchall())


def test_runs_side_by_side_have_cursors_of_their_own(executor: Executor) -> None:
    source = source_of(list(range(5)))
    for _ in range(3):
        with (
            executor.run(fragment(), {"s0": source}) as one,
            executor.run(fragment(), {"s0": source}) as two,
            executor.run(fragment(), {"s0": source}) as three,
        ):
            found = [[row["a"] for page in pages for row in page.to_pylist()] for pages in (one, two, three)]
        assert found == [list(range(5))] * 3
    assert max(map(len, executor._planned._idle.values())) == prepared.MAX_IDLE


def test_what_failed_was_stopped_left_or_is_long_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    executor, source, cancel = Executor(threads=1), source_of([1, 2, 9]), CancelToken()
    with pytest.raises(FragmentFailed), executor.run(fragment(TEXTS[2]), {"s0": source}) as pages:
        list(pages)
    cancel.cancel("enough")
    with pytest.raises(FragmentCancelled), executor.run(fragment(), {"s0": source}, cancel=cancel) as pages:
        list(pages)
    executor.run(fragment(), {"s0": source}).close()
    monkeypatch.setattr(prepared, "FEW_ROWS", 2)
    assert run(executor, TEXTS[0], source) == [1, 2, 9]
    assert len(executor._planned) == 0
    executor.close()


def test_texts_beyond_the_limit_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prepared, "MAX_STATEMENTS", 3)
    executor, source = Executor(threads=1), source_of([1])
    for number in range(6):
        assert run(executor, f"SELECT a + {number} AS a FROM s0", source) == [1 + number]
    assert len(executor._planned) == 3
    executor.close()
