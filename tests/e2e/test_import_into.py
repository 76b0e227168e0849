"""IMPORT INTO, import jobs, and INTO OUTFILE, as statements."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pa_parquet
import pytest

import rutile
from rutile.nodes.local import shared_database
from rutile.session.file_access import FileAccess


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[rutile.Connection]:
    with rutile.connect(str(tmp_path_factory.mktemp("db"))) as connection:
        yield connection


@pytest.fixture
def connection(database: rutile.Connection) -> rutile.Connection:
    for (name,) in database.execute("SHOW TABLES").fetchall():
        database.execute(f"DROP TABLE `{name}`")
    return database


def csv(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def rows(connection: rutile.Connection, sql: str) -> list[tuple[object, ...]]:
    return connection.execute(sql).fetchall()


def failure(connection: rutile.Connection, sql: str) -> rutile.DatabaseError:
    with pytest.raises(rutile.DatabaseError) as caught:
        connection.execute(sql)
    return caught.value


def test_a_csv_file_as_tidb_reads_it(connection: rutile.Connection, tmp_path: Path) -> None:
    connection.execute("CREATE TABLE t (id INT PRIMARY KEY, name VARCHAR(20), n INT DEFAULT 7)")
    file = csv(tmp_path / "t.csv", 'junk,junk\n1,"a, b",10\n2,\\N,\n'.replace(",\n", ",\\N\n"))
    (job,) = rows(connection, f"IMPORT INTO t FROM '{file}' WITH skip_rows = 1")
    assert (job[1], job[2], job[4], job[5], job[7]) == (str(file), "`test`.`t`", "", "finished", 2)
    assert rows(connection, "SELECT * FROM t ORDER BY id") == [(1, "a, b", 10), (2, None, None)]
    assert rows(connection, f"SHOW IMPORT JOB {job[0]}") == [job]
    assert job in rows(connection, "SHOW IMPORT JOBS")


def test_columns_are_named_or_left_out(connection: rutile.Connection, tmp_path: Path) -> None:
    connection.execute("CREATE TABLE t (id INT PRIMARY KEY AUTO_INCREMENT, name VARCHAR(20), n INT DEFAULT 7)")
    file = csv(tmp_path / "t.tsv", "x\tskipped\ny\tskipped\n")
    connection.execute(f"IMPORT INTO t (name, @skip) FROM '{file}' FORMAT 'csv' WITH fields_terminated_by='\\t'")
    assert rows(connection, "SELECT * FROM t ORDER BY id") == [(1, "x", 7), (2, "y", 7)]
    connection.execute("INSERT INTO t (name) VALUES ('z')")
    assert rows(connection, "SELECT COUNT(DISTINCT id) FROM t") == [(3,)]


def test_escapes_and_long_separators(connection: rutile.Connection, tmp_path: Path) -> None:
    connection.execute("CREATE TABLE t (id INT, text VARCHAR(50))")
    file = csv(tmp_path / "t.txt", "1||a\\|\\|b\n2||\\N\n3||line\\nbreak\n")
    options = "fields_terminated_by='||', fields_escaped_by='\\\\', fields_enclosed_by=''"
    connection.execute(f"IMPORT INTO t FROM '{file}' FORMAT 'csv' WITH {options}")
    assert rows(connection, "SELECT text FROM t ORDER BY id") == [("a||b",), (None,), ("line\nbreak",)]


def test_a_parquet_file_and_a_query(connection: rutile.Connection, tmp_path: Path) -> None:
    connection.execute("CREATE TABLE t (id BIGINT PRIMARY KEY, name VARCHAR(20))")
    pa_parquet.write_table(pa.table({"name": ["a", "b"], "id": [1, 2]}), tmp_path / "t.parquet")
    connection.execute(f"IMPORT INTO t FROM '{tmp_path}/t.parquet'")
    connection.execute("CREATE TABLE copy (id BIGINT PRIMARY KEY, name VARCHAR(20))")
    (job,) = rows(connection, "IMPORT INTO copy FROM SELECT id + 10, UPPER(name) FROM t")
    assert job[1] == "query"
    assert rows(connection, "SELECT * FROM copy ORDER BY id") == [(11, "A"), (12, "B")]
    swapped = pa.table({"first": ["c"], "second": [3]})
    pa_parquet.write_table(swapped, tmp_path / "named.parquet")
    connection.execute("TRUNCATE TABLE copy")
    connection.execute(f"IMPORT INTO copy (name, id) FROM '{tmp_path}/named.parquet' FORMAT 'parquet'")
    assert rows(connection, "SELECT * FROM copy") == [(3, "c")]


@pytest.mark.parametrize(
    ("statement", "code"),
    [
        ("IMPORT INTO t FROM '/nowhere/x.csv'", 1105),
        ("IMPORT INTO nothing FROM 'x.csv'", 1146),
        ("IMPORT INTO t FROM 'x.xml' FORMAT 'xml'", 1235),
        ("IMPORT INTO t FROM 'x.csv' WITH thread=8", 1235),
        ("IMPORT INTO t FROM 'x.csv' WITH skip_row=8", 8163),
        ("IMPORT INTO t FROM 'x.csv' WITH skip_rows='a'", 8164),
        ("IMPORT INTO t FROM 'x.csv' WITH skip_rows=1, skip_rows=1", 8165),
        ("IMPORT INTO t FROM 'x.csv' WITH character_set='latin1'", 1235),
        ("IMPORT INTO t (id, nothing) FROM SELECT 1, 2", 1136),
        ("IMPORT INTO t FROM SELECT 1, 2, 3", 1136),
        ("IMPORT INTO t FROM UPDATE t SET id = 1", 1064),
        ("SHOW IMPORT JOB 999999", 8170),
        ("CANCEL IMPORT JOB 999999", 8170),
        ("CANCEL BACKUP", 1235),
        ("CREATE FUNCTION f (x INT) RETURNS INT LANGUAGE PYTHON AS 'return x'", 1235),
    ],
)
def test_what_is_refused(connection: rutile.Connection, statement: str, code: int) -> None:
    connection.execute("CREATE TABLE t (id INT PRIMARY KEY, n INT)")
    assert failure(connection, statement).code == code
    assert rows(connection, "SELECT * FROM t") == []


def test_only_an_empty_table_and_no_transaction(connection: rutile.Connection) -> None:
    connection.execute("CREATE TABLE t (id INT PRIMARY KEY)")
    connection.execute("INSERT INTO t VALUES (1)")
    assert failure(connection, "IMPORT INTO t FROM SELECT 2").code == 8173
    assert rows(connection, "SELECT * FROM t") == [(1,)]
    connection.execute("BEGIN")
    assert failure(connection, "IMPORT INTO t FROM SELECT 2").code == 1179
    connection.execute("ROLLBACK")


def test_duplicates_are_told_with_their_rows_and_the_job_says_so(connection: rutile.Connection) -> None:
    connection.execute("CREATE TABLE t (id INT PRIMARY KEY, u INT, UNIQUE KEY by_u (u))")
    twice = failure(connection, "IMPORT INTO t FROM SELECT 1, 1 UNION ALL SELECT 2, NULL UNION ALL SELECT 1, NULL")
    assert twice.code == 1062 and "'1' for key 'PRIMARY' (rows 1 and 3)" in twice.message
    twice = failure(connection, "IMPORT INTO t FROM SELECT 1, 5 UNION ALL SELECT 2, 6 UNION ALL SELECT 3, 5")
    assert twice.code == 1062 and "'5' for key 'by_u' (rows 1 and 3)" in twice.message
    job = rows(connection, "SHOW IMPORT JOBS")[-1]
    assert job[5] == "failed" and "by_u" in str(job[8])
    assert rows(connection, "SELECT * FROM t") == []
    connection.execute("IMPORT INTO t FROM SELECT 1, 5")
    assert rows(connection, "SELECT * FROM t WHERE u = 5") == [(1, 5)]


def test_a_detached_import_is_a_job_at_once(connection: rutile.Connection, tmp_path: Path) -> None:
    connection.execute("CREATE TABLE t (id INT)")
    file = csv(tmp_path / "t.csv", "1\n2\n")
    (job,) = rows(connection, f"IMPORT INTO t FROM '{file}' WITH detached")
    for _ in range(10_000):
        (now,) = rows(connection, f"SHOW IMPORT JOB {job[0]}")
        if now[5] != "running":
            break
    assert now[5] == "finished" and now[7] == 2
    assert failure(connection, f"CANCEL IMPORT JOB {job[0]}").code == 8171


def test_into_outfile_and_back(connection: rutile.Connection, tmp_path: Path) -> None:
    connection.execute("CREATE TABLE t (id INT PRIMARY KEY, text VARCHAR(50), data BLOB, day DATE)")
    connection.execute(
        "INSERT INTO t VALUES (1, 'a\\tb\"\\\\', 'x', '2020-02-29'), (2, NULL, NULL, NULL), (3, '', '', NULL)"
    )
    before = rows(connection, "SELECT * FROM t ORDER BY id")
    cursor = connection.execute(f"SELECT * FROM t INTO OUTFILE '{tmp_path}/t.parquet'")
    assert cursor.rowcount == 3
    connection.execute(f"SELECT * FROM t ORDER BY id INTO OUTFILE '{tmp_path}/t.txt'")
    assert (tmp_path / "t.txt").read_bytes() == b'1\ta\\\tb"\\\\\tx\t2020-02-29\n2\t\\N\t\\N\t\\N\n3\t\t\t\\N\n'
    form = "FIELDS TERMINATED BY ',' OPTIONALLY ENCLOSED BY '\"' LINES TERMINATED BY ';'"
    connection.execute(f"SELECT id, text INTO OUTFILE '{tmp_path}/t.csv' {form} FROM t WHERE id < 3 ORDER BY id")
    assert (tmp_path / "t.csv").read_bytes() == b'1,"a\tb\\"\\\\";2,\\N;'
    assert failure(connection, f"SELECT 1 INTO OUTFILE '{tmp_path}/t.txt'").code == 1086
    assert failure(connection, f"SELECT 1 INTO OUTFILE '{tmp_path}/none/t.txt'").code == 1105
    connection.execute("CREATE TABLE back LIKE t")
    connection.execute(f"IMPORT INTO back FROM '{tmp_path}/t.parquet'")
    assert rows(connection, "SELECT * FROM back ORDER BY id") == before
    connection.execute("TRUNCATE TABLE back")
    options = "fields_terminated_by='\\t', fields_enclosed_by='', fields_escaped_by='\\\\'"
    connection.execute(f"IMPORT INTO back FROM '{tmp_path}/t.txt' FORMAT 'csv' WITH {options}")
    assert rows(connection, "SELECT * FROM back ORDER BY id") == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["t.csv", "t.parquet", "t.txt"]


def test_files_are_used_only_where_that_is_allowed(tmp_path: Path) -> None:
    (tmp_path / "open").mkdir()
    outside = csv(tmp_path / "secret.csv", "1\n")
    (tmp_path / "open" / "link.csv").symlink_to(outside)
    inside = csv(tmp_path / "open" / "t.csv", "1\n")
    target = str(tmp_path / "db")
    with rutile.connect(target) as connection:
        connection.execute("CREATE TABLE t (id INT)")
        shared = shared_database(target)
        try:
            assert rows(connection, "SELECT @@secure_file_priv") == [("",)]
            shared.database.files = FileAccess(None)
            assert rows(connection, "SELECT @@global.secure_file_priv") == [(None,)]
            for path in (inside, outside):
                assert failure(connection, f"IMPORT INTO t FROM '{path}'").code == 1290
                assert failure(connection, f"SELECT 1 INTO OUTFILE '{path}.new'").code == 1290
            shared.database.files = FileAccess(str(tmp_path / "open"))
            for name in ("link.csv", "../secret.csv"):
                assert failure(connection, f"IMPORT INTO t FROM '{tmp_path}/open/{name}'").code == 1290
            connection.execute(f"IMPORT INTO t FROM '{inside}'")
            assert rows(connection, "SELECT * FROM t") == [(1,)]
        finally:
            shared.release()
