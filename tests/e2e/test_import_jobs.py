"""Imports that die, that are cancelled, and that meet a bad file: gone on with, or nothing is left of them."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pa_parquet
import pytest

import rutile
from rutile.ingest.csv_source import CsvOptions
from rutile.ingest.import_file import cancel_import, import_file, resume_import
from rutile.nodes.playground import Playground

ROWS = 250_000
FEWER = 80_000
PATIENCE_S = 120.0
SILENT_MS = 3_000
"""Of the tests' importers; a live one is heard of about every second."""


def until(found: Callable[[], object], what: str) -> object:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        if answer := found():
            return answer
    raise AssertionError(f"{what} did not come in {PATIENCE_S:.0f} s")


def wide_rows(path: Path, rows: int = FEWER, *, duplicate: bool = False) -> Path:
    """Rows of about 300 bytes with a unique number and an indexed text, in no order of the key."""
    random = np.random.default_rng(5)
    ids = random.permutation(rows)
    unique = ids * 3
    if duplicate:
        unique[-1] = unique[7]
    words = pa.array([f"word {number % 1000}" for number in range(rows)])
    filler = pa.array([bytes(row).hex() for row in random.integers(0, 255, (rows, 120), np.uint8)])
    pa_parquet.write_table(pa.table({"id": ids, "u": unique, "word": words, "filler": filler}), path)
    return path


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return wide_rows(tmp_path_factory.mktemp("files") / "wide.parquet", ROWS)


CREATE = "(id BIGINT PRIMARY KEY, u BIGINT UNIQUE, word VARCHAR(20), filler TEXT, KEY by_word (word))"


def importer(target: str, table: str, file: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "rutile", "import", table, str(file), "--target", target]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def job_of(connection: rutile.Connection, table: str) -> tuple[object, ...] | None:
    jobs = connection.execute("SHOW IMPORT JOBS").fetchall()
    return next((job for job in reversed(jobs) if job[2] == f"`test`.`{table}`"), None)


def kill_in_the_middle(target: str, connection: rutile.Connection, table: str, file: Path) -> tuple[int, int]:
    """(job, rows that are in) of an import whose process was killed."""
    process = importer(target, table, file)
    try:
        until(lambda: (job := job_of(connection, table)) and job[7], "a checkpoint")
    finally:
        process.kill()
        process.wait()
    job = job_of(connection, table)
    assert job is not None and job[5] == "running", "it was over before it could be killed"
    return int(str(job[0])), int(str(job[7]))


def resumed(target: str, job: int) -> int:
    """The job's rows, once its importer has been silent for long enough."""

    def attempt() -> int:
        try:
            return resume_import(target, job, silent_ms=SILENT_MS)
        except rutile.ProgrammingError as error:
            assert "is running" in str(error)
            return 0

    return int(str(until(attempt, "the end of the import")))


def check_all_rows(connection: rutile.Connection, table: str) -> None:
    sums = f"SELECT COUNT(*), SUM(id), SUM(u), COUNT(DISTINCT word) FROM {table}"
    total = ROWS * (ROWS - 1) // 2
    assert connection.execute(sums).fetchall() == [(ROWS, total, 3 * total, 1000)]
    assert connection.execute(f"SELECT id FROM {table} WHERE u = 3000").fetchall() == [(1000,)]
    assert connection.execute(f"SELECT COUNT(*) FROM {table} WHERE word = 'word 7'").fetchall() == [(ROWS // 1000,)]


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_a_killed_importer_is_gone_on_with_and_another_cleaned_up(playground: Playground, file: Path) -> None:
    target = f"pd://{playground.pd_address}"
    with rutile.connect(playground.sql_address) as connection:
        connection.execute(f"CREATE TABLE resumed {CREATE}")
        job, done = kill_in_the_middle(target, connection, "resumed", file)
        assert 0 < done < ROWS
        with pytest.raises(rutile.DatabaseError):
            connection.execute("SELECT * FROM resumed")
        assert resumed(target, job) == ROWS
        check_all_rows(connection, "resumed")
        assert job_of(connection, "resumed")[5:8:2] == ("finished", ROWS)  # type: ignore[index]
        connection.execute(f"CREATE TABLE dropped {CREATE}")
        job, _ = kill_in_the_middle(target, connection, "dropped", file)
        connection.execute(f"CANCEL IMPORT JOB {job}")
        assert connection.execute("SELECT * FROM dropped LIMIT 1").fetchall() == []
        with pytest.raises(rutile.ProgrammingError, match="nothing to resume"):
            resume_import(target, job, silent_ms=0)
        assert import_file(target, "test", "dropped", file) == ROWS
        check_all_rows(connection, "dropped")


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_stores_that_are_killed_in_the_middle_cost_no_row(playground: Playground, file: Path) -> None:
    target = f"pd://{playground.pd_address}"
    with rutile.connect(playground.sql_address) as connection:
        connection.execute(f"CREATE TABLE shaken {CREATE}")
        process = importer(target, "shaken", file)
        try:
            for store in range(3):
                until(lambda: (job := job_of(connection, "shaken")) and (job[7] or job[5] != "running"), "a checkpoint")
                playground.stores[store].kill()
                playground.restart_store(store)
            assert process.wait(PATIENCE_S) == 0
        finally:
            process.kill()
            process.wait()
        check_all_rows(connection, "shaken")


def test_a_cancelled_import_stops_where_it_runs(tmp_path: Path) -> None:
    target = str(tmp_path / "db")
    path = wide_rows(tmp_path / "wide.parquet")
    with rutile.connect(target) as connection, rutile.connect(target) as other:
        connection.execute(f"CREATE TABLE t {CREATE}")
        connection.execute(f"IMPORT INTO t FROM '{path}' WITH detached")
        job = job_of(other, "t")
        assert job is not None and job[5] == "running"
        cancel_import(target, int(str(job[0])))
        assert job_of(other, "t")[5] == "cancelled"  # type: ignore[index]
        assert other.execute("SELECT COUNT(*) FROM t").fetchall() == [(0,)]
        other.execute("INSERT INTO t VALUES (1, 1, 'a', 'b')")
        with pytest.raises(rutile.ProgrammingError, match="8171"):
            cancel_import(target, int(str(job[0])))


def test_large_files_with_a_duplicate_far_apart(tmp_path: Path) -> None:
    target = str(tmp_path / "db")
    path = wide_rows(tmp_path / "wide.parquet", duplicate=True)
    with rutile.connect(target) as connection:
        connection.execute(f"CREATE TABLE t {CREATE}")
        with pytest.raises(rutile.IntegrityError, match=rf"for key 'u' \(rows 8 and {FEWER}\)"):
            import_file(target, "test", "t", path)
        assert connection.execute("SELECT COUNT(*) FROM t").fetchall() == [(0,)]


def test_a_truncated_file(tmp_path: Path) -> None:
    whole = wide_rows(tmp_path / "wide.parquet")
    cut = tmp_path / "cut.parquet"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    with rutile.connect(str(tmp_path / "db")) as connection:
        with pytest.raises(rutile.DataError, match=r"cut\.parquet"):
            import_file(str(tmp_path / "db"), "test", "t", cut, create=True)
        damaged = bytearray(whole.read_bytes())
        damaged[len(damaged) // 2 : len(damaged) // 2 + 4096] = bytes(4096)
        cut.write_bytes(damaged)
        with pytest.raises(rutile.DataError):
            import_file(str(tmp_path / "db"), "test", "t", cut, create=True)
        assert connection.execute("SHOW TABLES").fetchall() == []


def test_bad_lines_are_told_and_left_out_if_that_is_asked_for(tmp_path: Path) -> None:
    target = str(tmp_path / "db")
    path = tmp_path / "t.csv"
    with rutile.connect(target) as connection:
        connection.execute("CREATE TABLE t (id INT, n INT, at DATE)")
        path.write_text("id,n,at\n1,1,2020-01-01\n2,many,2020-01-01\n")
        with pytest.raises(rutile.DataError, match=r"line 3 .*column n: .*many"):
            import_file(target, "test", "t", path)
        path.write_text("id,n,at\n1,1,2020-01-01\n2,many,2020-01-01\n3,3\n4,4,2020-02-30\n5,5,2020-01-01\n")
        with pytest.raises(rutile.DataError, match=r"line 4 .*Expected 3 columns, got 2"):
            import_file(target, "test", "t", path)
        with pytest.raises(rutile.DataError, match="line 4: 2 fields where 3 belong"):
            import_file(target, "test", "t", path, csv=CsvOptions(escape="\\"))
        with pytest.raises(rutile.DataError, match="after 2 others"):
            import_file(target, "test", "t", path, csv=CsvOptions(skip_bad=2))
        assert connection.execute("SELECT COUNT(*) FROM t").fetchall() == [(0,)]
        assert import_file(target, "test", "t", path, csv=CsvOptions(skip_bad=3)) == 2
        assert connection.execute("SELECT id FROM t ORDER BY id").fetchall() == [(1,), (5,)]
        message = str(job_of(connection, "t")[8])  # type: ignore[index]
        assert "3 bad lines" in message and "line 3: column n: 'many'" in message and "line 5: column at" in message


def test_a_value_that_does_not_fit_names_column_and_row(tmp_path: Path) -> None:
    target = str(tmp_path / "db")
    pa_parquet.write_table(pa.table({"id": [1, 2, 300], "s": ["a", "b", "c"]}), tmp_path / "t.parquet")
    with rutile.connect(target) as connection:
        connection.execute("CREATE TABLE t (id TINYINT, s VARCHAR(5))")
        with pytest.raises(rutile.DataError, match=r"column id.*300.*\(row 3\)"):
            import_file(target, "test", "t", tmp_path / "t.parquet")
        connection.execute("CREATE TABLE u (id INT, s INT)")
        with pytest.raises(rutile.DataError, match="column s"):
            import_file(target, "test", "u", tmp_path / "t.parquet")
        connection.execute("CREATE TABLE v (id INT, s VARCHAR(5), c INT NOT NULL)")
        with pytest.raises(rutile.DatabaseError, match="Field 'c'"):
            import_file(target, "test", "v", tmp_path / "t.parquet")
        assert connection.execute("SELECT COUNT(*) FROM t").fetchall() == [(0,)]
