"""Fragments that mean harm: each is refused, fails or is stopped, with the reason, and the next one runs.

What reaches out is refused before it runs. What is merely too much (time, memory, depth, width) ends at a limit.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from rutile_coprocessor.execute import Executor
from rutile_coprocessor.fragment import Fragment, Scan
from rutile_coprocessor.inputs import MAX_INPUT_BYTES, MAX_INPUT_ROWS, MAX_INPUTS, Input
from rutile_coprocessor.schema import Column, ColumnType, Kind, TableSchema
from rutile_coprocessor.watchdog import own_memory_bytes
from rutile_proto.errors import FragmentCancelled, FragmentFailed, FragmentRefused, InvalidRequest

SCHEMA = TableSchema(1, "t", (Column(1, "a", ColumnType(Kind.INT)), Column(2, "b", ColumnType(Kind.TEXT))))
ROWS = 2000
SECONDS = 0.5
GIB = 1 << 30

REFUSED = {
    "reads a file": "SELECT * FROM read_text('{file}')",
    "reads a file as a table": "SELECT * FROM '{file}'",
    "reads a csv": "SELECT * FROM read_csv_auto('{file}')",
    "reads parquet": "SELECT * FROM parquet_scan('{file}')",
    "reads a blob": "SELECT content FROM read_blob('{file}')",
    "lists files": "SELECT * FROM glob('/*')",
    "writes a file": "COPY (SELECT * FROM s0) TO '{file}'",
    "exports": "EXPORT DATABASE '{file}'",
    "imports": "IMPORT DATABASE '{file}'",
    "attaches": "ATTACH '{file}' AS other",
    "attaches another engine": "ATTACH 'host=localhost' AS pg (TYPE postgres)",
    "detaches": "DETACH memory",
    "loads an extension": "LOAD httpfs",
    "installs an extension": "INSTALL httpfs FROM 'http://localhost/'",
    "a pragma": "PRAGMA database_size",
    "a setting": "SET memory_limit = '100GB'",
    "resets a setting": "RESET memory_limit",
    "unlocks": "SET GLOBAL lock_configuration = false",
    "asks a setting": "SELECT current_setting('memory_limit')",
    "asks the environment": "SELECT getenv('PATH')",
    "a variable": "SELECT getvariable('x')",
    "sets a variable": "SET VARIABLE x = 1",
    "a sequence": "SELECT nextval('q')",
    "another table": "SELECT * FROM t",
    "the catalogue": "SELECT * FROM information_schema.tables",
    "the engine's views": "SELECT * FROM duckdb_settings()",
    "secrets": "SELECT * FROM duckdb_secrets()",
    "a table function": "SELECT * FROM range(1000000000000)",
    "a series as a table": "SELECT * FROM generate_series(1, 1000000000000)",
    "text as a query": "SELECT * FROM query('SELECT 1')",
    "a table by its name": "SELECT * FROM query_table('s0')",
    "python's variables": "SELECT * FROM batch",
    "creates": "CREATE TABLE x AS SELECT 1",
    "creates a macro": "CREATE MACRO f(x) AS x",
    "creates a secret": "CREATE SECRET s (TYPE s3)",
    "drops": "DROP TABLE s0",
    "inserts": "INSERT INTO s0 VALUES (1, 'x')",
    "deletes": "DELETE FROM s0",
    "updates": "UPDATE s0 SET a = 1",
    "calls": "CALL force_checkpoint()",
    "checkpoints": "CHECKPOINT",
    "begins": "BEGIN TRANSACTION",
    "prepares": "PREPARE p AS SELECT 1",
    "two statements": "SELECT 1; DROP TABLE s0",
    "a statement in a comment": "SELECT 1 /* */; COPY s0 TO '{file}' --",
    "the clock": "SELECT now()",
    "chance": "SELECT random()",
    "sleeps": "SELECT sleep(1000)",
    "writes to the log": "SELECT write_log('x')",
    "deep parentheses": "SELECT " + "(" * 5000 + "1" + ")" * 5000,
    "deep operators": "SELECT " + "NOT " * 20000 + "TRUE",
    "deep cases": "SELECT " + "CASE WHEN a > 1 THEN " * 3000 + "1" + " END" * 3000 + " FROM s0",
    "a long text": "SELECT '" + "x" * (2 << 20) + "'",
    "a text that doubles": "SELECT list_reduce(['x', 'y', 'z'], (a, b) -> a || b || a) FROM s0",
    "a list that doubles": "SELECT list_reduce([[1], [2], [3]], lambda p, q: p + p) FROM s0",
    "many makers": "SELECT " + ", ".join(["range(1000000)"] * 200),
    "nested repeats": "SELECT repeat(repeat(repeat(repeat(b, 9), 9), 9), 9) FROM s0",
}

STOPPED = {
    "a cross join": "SELECT COUNT(*) FROM s0 x, s0 y, s0 z, s0 w WHERE x.a + y.a + z.a + w.a % 7 = 3",
    "a result without end": "SELECT x.a FROM s0 x, s0 y, s0 z",
    "recursion without end": "WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t) SELECT COUNT(*) FROM t",
    "recursion that grows": "WITH RECURSIVE t(s) AS (SELECT 'x' UNION ALL SELECT s || s FROM t) SELECT COUNT(*) FROM t",
    "nested CTEs": "WITH " + ", ".join(
        f"c{n} AS (SELECT x.a FROM {'s0' if n == 0 else f'c{n - 1}'} x, {'s0' if n == 0 else f'c{n - 1}'} y)"
        for n in range(12)
    ) + " SELECT COUNT(*) FROM c11",
    "repeat": "SELECT repeat('x', 1000000000000) FROM s0",
    "repeat just below the engine's own limit": "SELECT length(repeat('x', 3000000000)) FROM s0",
    "repeat twice": "SELECT length(repeat(repeat(b, 1000), 1000000)) FROM s0",
    "repeat by a column": "SELECT max(length(repeat(b, a * 1000000))) FROM s0",
    "lpad": "SELECT lpad('x', 2000000000, 'y') FROM s0",
    "rpad by a column": "SELECT max(length(rpad(b, a * 10000000, 'y'))) FROM s0",
    "printf": "SELECT length(printf('%2000000000d', a)) FROM s0",
    "printf with a star": "SELECT length(printf('%*d', 2000000000, a)) FROM s0",
    "format": "SELECT length(format('{:>2000000000}', b)) FROM s0",
    "format by an argument": "SELECT length(format('{:>{}}', b, 2000000000)) FROM s0",
    "a list of a trillion": "SELECT len(range(1000000000000)) FROM s0",
    "a list of a billion": "SELECT len(generate_series(1, 1000000000)) FROM s0",
    "a sum of a list": "SELECT list_sum(range(100000000)) FROM s0",
    "rows from a list": "SELECT COUNT(*) FROM (SELECT UNNEST(generate_series(1, 1000000000000)) FROM s0)",
    "microseconds of ten thousand years":
        "SELECT len(generate_series(DATE '0001-01-01', DATE '9999-01-01', INTERVAL 1 MICROSECOND)) FROM s0",
    "a fold of a list": "SELECT list_reduce(range(100000000), (x, y) -> x + y) FROM s0",
    "lists in lists": "SELECT list_transform(range(900000), x -> list_transform(range(900000), y -> x * y)) FROM s0",
    "lists by rows": "SELECT len(range(a + 500000)) FROM s0",
    "lists of lists, joined":
        "SELECT len(flatten(list_transform(range(a + 30000), x -> range(30000)))) FROM s0",
    "lists of lists of lists": "SELECT list_transform(range(200), x -> list_transform(range(200), y -> range(a + 200)))"
        " FROM s0",
    "texts in lists": "SELECT list_transform(range(30000), x -> repeat(b, 30000)) FROM s0",
    "a list given back for each element":
        "WITH c AS (SELECT range(a + 20000) AS l FROM s0) SELECT flatten(list_transform(l, x -> c.l)) FROM c",
    "a text given back for each element":
        "WITH c AS (SELECT range(a + 20000) AS l, repeat(b, 50000) AS s FROM s0)"
        " SELECT list_transform(l, x -> c.s) FROM c",
    "a list resized": "SELECT list_resize([1], 10000000000, 1) FROM s0",
    "texts joined": "SELECT string_agg(repeat(b, 100000), ',') FROM s0",
    "texts gathered": "SELECT list(repeat(b, 100000)) FROM s0",
    "many groups": "SELECT x.a, y.a, x.b || y.b, COUNT(*) FROM s0 x, s0 y GROUP BY 1, 2, 3",
    "a long sort": "SELECT x.b || y.b FROM s0 x, s0 y ORDER BY md5(x.b || y.b)",
    "distinct": "SELECT DISTINCT x.a * 3000 + y.a, x.b || y.b FROM s0 x, s0 y",
    "a wide window":
        "SELECT SUM(x.a) OVER (ORDER BY y.a ROWS BETWEEN 1000000 PRECEDING AND 1 FOLLOWING) FROM s0 x, s0 y",
    "a histogram": "SELECT histogram(x.a * 3000 + y.a) FROM s0 x, s0 y, s0 z",
    "a greedy expression": "SELECT regexp_matches(repeat('a', 100000000), '(a+)+$') FROM s0",
    "an expression that explodes": "SELECT regexp_matches(b, '((((a{1,100}){1,100}){1,100}){1,100})') FROM s0",
    "all matches": "SELECT regexp_extract_all(repeat('ab', 10000000), '(a)(b)') FROM s0",
    "replacing by more": "SELECT replace(repeat('x', 1000000), 'x', repeat('y', 1000000)) FROM s0",
    "replacing by more by expression":
        "SELECT regexp_replace(repeat('x', 1000000), 'x', repeat('y', 1000000), 'g') FROM s0",
    "a distance of letters": "SELECT levenshtein(repeat('a', 100000), repeat('b', 100000)) FROM s0",
    "another distance": "SELECT damerau_levenshtein(repeat('a', 50000), repeat('b', 50000)) FROM s0",
    "a factorial": "SELECT factorial(100000) FROM s0",
    "a number too large": "SELECT pow(10, 100000)::DECIMAL(38, 0) FROM s0",
    "a hash of much": "SELECT md5(repeat('x', 1500000000)) FROM s0",
    "many bits": "SELECT bitstring_agg(a, 0, 2000000000) FROM s0",
    "brackets": "SELECT CAST(repeat('[', 100000) AS INT[]) FROM s0",
    "json brackets": "SELECT json_extract(repeat('[', 1000000), '$') FROM s0",
}  # fmt: skip


@pytest.fixture(scope="module")
def executor() -> Iterator[Executor]:
    executor = Executor(memory_limit_bytes=64 << 20, threads=2)
    yield executor
    executor.close()


def batch() -> pa.RecordBatch:
    return pa.record_batch({"a": pa.array(range(ROWS), pa.int32()), "b": pa.array([str(row) for row in range(ROWS)])})


def run(executor: Executor, sql: str, timeout_seconds: float = SECONDS) -> int:
    """The rows that come out."""
    fragment = Fragment(sql, (Scan("s0", SCHEMA, ("a", "b")),))
    with executor.run(fragment, {"s0": [batch()]}, timeout_seconds=timeout_seconds) as pages:
        return sum(page.num_rows for page in pages)


def is_alive(executor: Executor) -> bool:
    return run(executor, "SELECT * FROM s0 WHERE a < 10", 60) == 10


@pytest.mark.parametrize("what", REFUSED)
def test_what_reaches_out_is_refused(executor: Executor, tmp_path: Path, what: str) -> None:
    secret = tmp_path / "secret.csv"
    secret.write_text("kept")
    with pytest.raises(FragmentRefused) as refused:
        run(executor, REFUSED[what].replace("{file}", str(secret)))
    assert len(str(refused.value)) > 10
    assert [path.read_text() for path in tmp_path.iterdir()] == ["kept"]


@pytest.mark.parametrize("what", STOPPED)
def test_what_is_too_much_is_stopped(executor: Executor, what: str) -> None:
    before, began = own_memory_bytes(), time.monotonic()
    with pytest.raises((FragmentFailed, FragmentCancelled)) as stopped:
        run(executor, STOPPED[what])
    assert len(str(stopped.value)) > 10
    assert time.monotonic() - began < 30
    assert own_memory_bytes() - before < GIB
    assert is_alive(executor)


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT list_transform(range(a % 10), x -> x + a + length(repeat(b, 3))) FROM s0",
        "SELECT list_filter([1, 2, a], x -> x < a AND list_contains([a, 3], x)) FROM s0",
        "SELECT list_transform(string_split(b, '1'), x -> x || b) FROM s0",
        "SELECT list_reduce([1, 2, a], (p, q) -> CASE WHEN p > q THEN p ELSE q END) FROM s0",
        "SELECT list_transform(range(3), x -> list_transform(range(x), y -> x * y + a)), len(range(a)) FROM s0",
        "SELECT repeat(b, 1000), lpad(b, 2000, 'x'), replace(b, '1', 'one') FROM s0",
    ],
)
def test_what_means_no_harm_runs(executor: Executor, sql: str) -> None:
    assert run(executor, sql, 60) == ROWS


# --- inputs -----------------------------------------------------------------------------------------------------------


def stream(table: pa.Table, compression: str | None = None) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema, options=pa.ipc.IpcWriteOptions(compression=compression)) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())


def longer(data: bytes) -> bytes:
    """The stream, its batch of a thousand rows saying that it has a trillion."""
    return data.replace((1000).to_bytes(8, "little"), (1 << 40).to_bytes(8, "little"))


def joined(executor: Executor, *inputs: Input) -> int:
    """The rows of a join with the inputs, as a store would take them."""
    fragment = Fragment("SELECT s0.a FROM s0 JOIN q ON q.k = s0.a", (Scan("s0", SCHEMA, ("a", "b")),), inputs=inputs)
    with executor.run(Fragment.from_proto(fragment.to_proto()), {"s0": [batch()]}) as pages:
        return sum(page.num_rows for page in pages)


KEYS = pa.table({"k": pa.array(range(1000), pa.int32()), "t": ["text"] * 1000})
OFFSETS = pa.Array.from_buffers(
    pa.string(), 2, [None, pa.py_buffer(b"\0\0\0\0\xff\xff\xff\x7f\0\0\0\0"), pa.py_buffer(b"x")]
)
NOT_TEXT = pa.Array.from_buffers(pa.string(), 1, [None, pa.py_buffer(b"\0\0\0\0\1\0\0\0"), pa.py_buffer(b"\xff")])
INPUTS = {
    "nothing": b"",
    "no stream": b"SELECT 1",
    "cut off": stream(KEYS)[:-500],
    "cut in its head": stream(KEYS)[:90],
    "compressed": stream(KEYS, "zstd"),
    "compressed otherwise": stream(KEYS, "lz4"),
    "a bomb": stream(pa.table({"k": pa.array(np.zeros(64 << 20, np.int8))}), "zstd"),
    "rows without bytes": longer(stream(pa.table({"k": pa.nulls(1000)}))),
    "more rows than bytes": longer(stream(KEYS)),
    "rows of bits": stream(pa.table({"k": pa.array(np.zeros(MAX_INPUT_ROWS + 1, bool))})),
    "no columns": stream(pa.table({})),
    "lists": stream(pa.table({"k": [[1], [2]]})),
    "structs": stream(pa.table({"k": [{"a": 1}]})),
    "a dictionary": stream(pa.table({"k": pa.array(["a"]).dictionary_encode()})),
    "text that points elsewhere": stream(pa.table({"k": OFFSETS})),
    "text that is none": stream(pa.table({"k": NOT_TEXT})),
}


@pytest.mark.parametrize("what", INPUTS)
def test_inputs_that_mean_harm_are_refused(executor: Executor, what: str) -> None:
    before = own_memory_bytes()
    with pytest.raises(InvalidRequest, match="input"):
        joined(executor, Input("q", INPUTS[what]))
    assert own_memory_bytes() - before < GIB
    assert joined(executor, Input.of("q", KEYS)) == 1000


def test_inputs_with_flipped_bytes_do_no_harm(executor: Executor) -> None:
    sound, refused = stream(KEYS), 0
    for at in range(0, 600, 3):
        for mask in (0xFF, 0x01):
            flipped = bytearray(sound)
            flipped[at] ^= mask
            try:
                Input("q", bytes(flipped)).table()
            except InvalidRequest:
                refused += 1
    assert refused > 100
    assert is_alive(executor)


def test_inputs_are_bounded_and_have_names_of_their_own(executor: Executor) -> None:
    one = Input.of("q", KEYS)
    for inputs, why in (
        ([Input(f"q{number}", one.data) for number in range(MAX_INPUTS + 1)], "the limit is"),
        ([Input("q", bytes(MAX_INPUT_BYTES + 1))], "the limit is"),
        ([one, one], "names of their own"),
        ([one, Input("S0", one.data)], "names of their own"),
    ):
        with pytest.raises(InvalidRequest, match=why):
            joined(executor, *inputs)
    for name in ("duckdb_settings", "sqlite_master", "pg_class"):
        with pytest.raises(FragmentRefused, match="of the engine's own"):
            joined(executor, one, Input(name, one.data))
