"""Importing files into an embedded database: types, existing tables, duplicates, damage; all or nothing."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import rutile
from rutile.ingest.import_file import import_file


@pytest.fixture
def database(tmp_path: Path) -> Iterator[tuple[str, rutile.Connection]]:
    """A directory, and a connection that keeps its database running."""
    with rutile.connect(tmp_path / "db") as connection:
        yield str(tmp_path / "db"), connection


def write_csv(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_csv_into_an_existing_table_keeps_its_types(database: tuple[str, rutile.Connection], tmp_path: Path) -> None:
    target, connection = database
    connection.execute(
        "CREATE TABLE shift (day DATE, person VARCHAR(20), hours DECIMAL(4, 2), starts TIME, PRIMARY KEY (day, person))"
    )
    file = write_csv(
        tmp_path / "s.csv", "person,day,hours,starts\nAda,2026-01-02,7.5,08:30:00\nBob,2026-01-01,,09:00:00\n"
    )
    assert import_file(target, "test", "shift", file) == 2
    rows = connection.execute("SELECT * FROM shift").fetchall()
    assert sorted(rows) == [
        (datetime.date(2026, 1, 1), "Bob", None, datetime.timedelta(hours=9)),
        (datetime.date(2026, 1, 2), "Ada", Decimal("7.50"), datetime.timedelta(hours=8, minutes=30)),
    ]
    point = connection.execute("SELECT hours FROM shift WHERE day = '2026-01-02' AND person = 'Ada'").fetchall()
    assert point == [(Decimal("7.50"),)]


def test_imported_rows_can_be_changed(database: tuple[str, rutile.Connection], tmp_path: Path) -> None:
    target, connection = database
    long = "x" * 5000  # over the limit of what a commit record holds itself
    pq.write_table(pa.table({"id": pa.array(range(100)), "t": [long] * 100}), tmp_path / "wide.parquet")
    import_file(target, "test", "wide", tmp_path / "wide.parquet", create=True, primary_key=["id"])
    connection.execute("UPDATE wide SET t = 'short' WHERE id = 5")
    connection.execute("DELETE FROM wide WHERE id >= 90")
    connection.execute("INSERT INTO wide VALUES (1000, 'new')")
    assert connection.execute("SELECT COUNT(*), SUM(LENGTH(t)) FROM wide").fetchall() == [(91, Decimal(89 * 5000 + 8))]


def test_rows_without_a_key_get_hidden_ones(database: tuple[str, rutile.Connection], tmp_path: Path) -> None:
    target, connection = database
    file = write_csv(tmp_path / "log.csv", "line\na\na\nb\n")
    assert import_file(target, "test", "log", file, create=True) == 3
    connection.execute("INSERT INTO log VALUES ('c')")
    assert connection.execute("SELECT line, COUNT(*) FROM log GROUP BY line ORDER BY line").fetchall() == [
        ("a", 2),
        ("b", 1),
        ("c", 1),
    ]


@pytest.mark.parametrize(
    ("text", "kind", "says"),
    [
        ("id,n\n1,1\n2,2\n1,3\n", rutile.IntegrityError, "Duplicate entry '1'"),
        ("id,n\n1,1\n2,not a number\n", rutile.DataError, "not a number"),
        ("id,n\n1,1\n2\n", rutile.DataError, "#3"),
        ("id,n\n1,1000\n", rutile.DataError, "n"),
        ("id,m\n1,1\n", rutile.ProgrammingError, "missing n"),
    ],
)
def test_a_bad_file_changes_nothing(
    database: tuple[str, rutile.Connection], tmp_path: Path, text: str, kind: type[Exception], says: str
) -> None:
    target, connection = database
    connection.execute("CREATE TABLE good (id INT PRIMARY KEY, n TINYINT)")
    with pytest.raises(kind, match=says):
        import_file(target, "test", "good", write_csv(tmp_path / "bad.csv", text))
    assert connection.execute("SELECT COUNT(*) FROM good").fetchall() == [(0,)]
    assert import_file(target, "test", "good", write_csv(tmp_path / "good.csv", "id,n\n1,1\n")) == 1
    assert connection.execute("SELECT * FROM good").fetchall() == [(1, 1)]


def test_a_table_that_is_not_empty_is_left_alone(database: tuple[str, rutile.Connection], tmp_path: Path) -> None:
    target, connection = database
    connection.execute("CREATE TABLE full (id INT PRIMARY KEY)")
    connection.execute("INSERT INTO full VALUES (1)")
    with pytest.raises(rutile.ProgrammingError, match="not empty"):
        import_file(target, "test", "full", write_csv(tmp_path / "f.csv", "id\n2\n"))
    assert connection.execute("SELECT * FROM full").fetchall() == [(1,)]


def test_a_failed_create_leaves_no_table(database: tuple[str, rutile.Connection], tmp_path: Path) -> None:
    target, connection = database
    with pytest.raises(rutile.ProgrammingError, match="nokey"):
        import_file(target, "test", "t", write_csv(tmp_path / "t.csv", "id\n1\n"), create=True, primary_key=["nokey"])
    with pytest.raises(rutile.IntegrityError):
        import_file(target, "test", "t", write_csv(tmp_path / "t.csv", "id\n1\n1\n"), create=True, primary_key=["id"])
    assert connection.execute("SHOW TABLES").fetchall() == []
    with pytest.raises(rutile.NotSupportedError):
        import_file(target, "test", "t", write_csv(tmp_path / "t.xml", "<a/>"), create=True)
    with pytest.raises(rutile.DataError, match="no such file"):
        import_file(target, "test", "t", tmp_path / "gone.csv", create=True)
