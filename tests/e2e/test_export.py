"""Exports, and what was exported imported again."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from pathlib import Path

import pyarrow.parquet as pa_parquet
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import rutile
from rutile.cli import main
from rutile.ingest.export import export
from rutile.ingest.import_file import import_file
from rutile.ingest.sinks import PARTIAL

COLUMNS = {
    "id": "BIGINT UNSIGNED PRIMARY KEY", "tiny": "TINYINT", "flag": "BOOL", "number": "INT", "year_of": "YEAR",
    "price": "DECIMAL(9,3)", "wide": "DECIMAL(30,6)", "single": "FLOAT", "big": "DOUBLE", "letter": "CHAR(5)",
    "text": "VARCHAR(60)", "day": "DATE", "at": "DATETIME(6)", "stamp": "TIMESTAMP(3)", "span": "TIME(6)",
    "document": "JSON", "mood": "ENUM('a', 'b,c', 'd')", "tags": "SET('x', 'y', 'z')",
    "data": "BLOB", "code": "BINARY(4)",
}  # fmt: skip
TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)
VALUES = st.fixed_dictionaries({
    "tiny": st.integers(-128, 127), "flag": st.booleans(), "number": st.integers(-2**31, 2**31 - 1),
    "year_of": st.integers(1901, 2155), "price": st.decimals(-999_999, 999_999, places=3),
    "wide": st.decimals(-10**20, 10**20, places=6), "single": st.floats(-1000, 1000, width=32),
    "big": st.floats(allow_nan=False, allow_infinity=False),
    "letter": TEXT.map(lambda text: text[:5].rstrip(" ")),
    "text": TEXT, "day": st.dates(date(1000, 1, 1)), "at": st.datetimes(datetime(1000, 1, 1)),
    "stamp": st.datetimes(datetime(1971, 1, 1), datetime(2037, 1, 1)).map(
        lambda at: at.replace(microsecond=at.microsecond // 1000 * 1000)
    ),
    "span": st.timedeltas(timedelta(hours=-838), timedelta(hours=838)),
    "document": st.sampled_from(['{"a": [1, null, "x,\\"y"]}', "[]", "null", '"text"']),
    "mood": st.sampled_from(["a", "b,c", "d"]), "tags": st.sampled_from(["", "x", "x,z"]),
    "data": st.binary(max_size=30), "code": st.binary(min_size=4, max_size=4),
})  # fmt: skip
ROWS = st.lists(st.tuples(VALUES, st.sets(st.sampled_from(sorted(set(COLUMNS) - {"id"})))), min_size=1, max_size=8)


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, rutile.Connection]]:
    target = str(tmp_path_factory.mktemp("db"))
    with rutile.connect(target) as connection:
        columns = ", ".join(f"{name} {kind}" for name, kind in COLUMNS.items()) + ", KEY (mood, tags), KEY (day, wide)"
        connection.execute(f"CREATE TABLE everything ({columns})")
        yield target, connection


def fill(connection: rutile.Connection, rows: list[tuple[dict[str, object], set[str]]]) -> list[tuple[object, ...]]:
    connection.execute("TRUNCATE TABLE everything")
    for number, (values, nulls) in enumerate(rows):
        row = [number, *(None if name in nulls else values[name] for name in list(COLUMNS)[1:])]
        connection.execute(f"INSERT INTO everything VALUES ({', '.join('?' * len(row))})", row)
    return connection.execute("SELECT * FROM everything ORDER BY id").fetchall()


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=ROWS)
@pytest.mark.parametrize("form", ["parquet", "csv", "txt"])
def test_what_is_exported_and_imported_is_the_same_table(
    database: tuple[str, rutile.Connection], tmp_path: Path, form: str, rows: list[tuple[dict[str, object], set[str]]]
) -> None:
    target, connection = database
    nulls = {"data", "code"} if form != "parquet" else set()  # CSV holds no bytes that are no text
    expected = fill(connection, [(values, without | nulls) for values, without in rows])
    path = tmp_path / f"out.{form}"
    path.unlink(missing_ok=True)
    names = list(COLUMNS)[: None if form == "parquet" else -2]
    query = f"SELECT {', '.join(names)} FROM everything"
    if form == "txt":
        connection.execute(f"{query} INTO OUTFILE '{path}' FIELDS OPTIONALLY ENCLOSED BY '\"'")
    else:
        assert export(target, "test", path, query=query) == len(rows)
    connection.execute("TRUNCATE TABLE everything")
    if form == "txt":
        options = "fields_terminated_by='\\t', fields_escaped_by='\\\\'"
        connection.execute(f"IMPORT INTO everything ({', '.join(names)}) FROM '{path}' FORMAT 'csv' WITH {options}")
    else:
        assert import_file(target, "test", "everything", path) == len(rows)
    assert connection.execute("SELECT * FROM everything ORDER BY id").fetchall() == expected
    connection.execute("ADMIN CHECK TABLE everything")


def test_a_directory_a_moment_and_the_command_line(
    database: tuple[str, rutile.Connection], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target, connection = database
    connection.execute("CREATE TABLE history (id INT PRIMARY KEY)")
    connection.execute("INSERT INTO history VALUES (1), (2)")
    ((moment,),) = connection.execute("SELECT NOW(6)").fetchall()
    connection.execute("DELETE FROM history WHERE id = 1")
    common = ["export", "history", "--target", target]
    assert main([*common, "--to", str(tmp_path / "now.csv")]) == 0
    assert main([*common, "--to", str(tmp_path / "then"), "--as-of", str(moment)]) == 0
    assert capsys.readouterr().out == "1 rows\n2 rows\n"
    assert (tmp_path / "now.csv").read_text() == '"id"\n2\n'
    (part,) = (tmp_path / "then").iterdir()
    assert part.name == "history.00000.parquet"
    assert pa_parquet.read_table(part).to_pydict() == {"id": [1, 2]}
    assert main([*common, "--to", str(tmp_path / "now.csv")]) == 1
    assert "is there already" in capsys.readouterr().err
    assert main([*common, "--to", str(tmp_path / "x.xml")]) == 1
    assert main(["export", "--target", target, "--to", str(tmp_path / "y.csv")]) == 1


def test_what_cannot_be_exported_leaves_nothing(database: tuple[str, rutile.Connection], tmp_path: Path) -> None:
    target, _ = database
    with pytest.raises(rutile.NotSupportedError, match="binary column data"):
        export(target, "test", tmp_path / "b.csv", query="SELECT data FROM everything")
    with pytest.raises(rutile.ProgrammingError):
        export(target, "test", tmp_path / "n.csv", table="nothing")
    with pytest.raises(rutile.DatabaseError):
        export(
            target, "test", tmp_path / "n.csv", query="SELECT CAST(id AS CHAR) + 1e308 * 1e308 FROM everything, nothing"
        )
    with pytest.raises(rutile.ProgrammingError, match="queries only"):
        export(target, "test", tmp_path / "n.csv", query="DELETE FROM everything")
    assert [path for path in tmp_path.iterdir() if path.name.endswith(PARTIAL)] == []
