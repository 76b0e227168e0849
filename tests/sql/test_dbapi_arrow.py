"""Arrow out (`sql`), Arrow in (`insert_arrow`), transactions as blocks."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from decimal import Decimal

import pyarrow as pa
import pytest

import rutile
from rutile.ingest.arrow_ingest import BULK_ROWS

FEW = pa.table({"id": pa.array([1, 2, 3], pa.int64()), "name": ["a", None, "c"]})


@pytest.fixture(scope="module")
def database() -> Iterator[rutile.Connection]:
    with rutile.connect() as opened:
        yield opened


@pytest.fixture
def connection(database: rutile.Connection) -> rutile.Connection:
    database.execute("DROP TABLE IF EXISTS t")
    database.execute("CREATE TABLE t (id BIGINT PRIMARY KEY, name VARCHAR(20))")
    return database


def count(connection: rutile.Connection) -> int:
    row = connection.execute("SELECT COUNT(*) FROM t").fetchone()
    assert row is not None
    return int(row[0])


# --- sql ---


def test_a_result_shows_itself(connection: rutile.Connection) -> None:
    done = connection.sql("INSERT INTO t VALUES (?, ?), (2, NULL)", (1, "<b>"))
    assert repr(done) == "<2 rows affected>" and done.affected_rows == 2 and done.columns == []
    result = connection.sql("SELECT * FROM t ORDER BY id")
    assert repr(result).splitlines() == [
        "┌────┬──────┐", "│ id │ name │", "├────┼──────┤", "│  1 │ <b>  │", "│  2 │ NULL │", "└────┴──────┘", "2 rows",
    ]  # fmt: skip
    assert "&lt;b&gt;" in result._repr_html_() and "<b>" not in result._repr_html_()
    assert (result.columns, result.types, len(result)) == (["id", "name"], ["bigint", "varchar(20)"], 2)


def test_a_long_result_shows_its_beginning(connection: rutile.Connection) -> None:
    connection.executemany("INSERT INTO t VALUES (?, 'x')", ((i,) for i in range(30)))
    text = repr(connection.sql("SELECT * FROM t ORDER BY id"))
    assert text.endswith("30 rows, the first 20 shown") and "│ 19 │" in text and "│ 20 │" not in text


def test_rows_columns_and_frames(connection: rutile.Connection) -> None:
    connection.insert_arrow("t", FEW)
    result = connection.sql("SELECT id, name FROM t ORDER BY id")
    assert result.fetchall() == list(result) == [(1, "a"), (2, None), (3, "c")]
    assert result.fetchone() == (1, "a") and result.arrow().column_names == ["id", "name"]
    empty = connection.sql("SELECT * FROM t WHERE id > 9")
    assert empty and len(empty) == 0 and empty.fetchone() is None and "0 rows" in repr(empty)
    pandas = pytest.importorskip("pandas")
    assert isinstance(result.df(), pandas.DataFrame) and list(result.df()["id"]) == [1, 2, 3]
    polars = pytest.importorskip("polars")
    assert result.pl()["name"].to_list() == ["a", None, "c"] and polars.DataFrame(result).height == 3
    assert connection.execute("SELECT id FROM t").pl().height == 3


def test_a_statement_without_rows_has_no_frame(connection: rutile.Connection) -> None:
    for use in ("arrow", "df", "pl", "fetchall", "fetchone", "__iter__"):
        with pytest.raises(rutile.ProgrammingError, match="no result set"):
            getattr(connection.sql("DELETE FROM t"), use)()


@pytest.mark.parametrize(("library", "method"), [("pandas", "df"), ("polars", "pl")])
def test_a_library_that_is_missing(
    connection: rutile.Connection, monkeypatch: pytest.MonkeyPatch, library: str, method: str
) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(rutile.InterfaceError, match=f"pip install {library}"):
        getattr(connection.sql("SELECT 1"), method)()


def test_a_table_for_ibis_without_ibis(connection: rutile.Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rutile.ibis", None)
    with pytest.raises(rutile.NotSupportedError, match="Ibis"):
        connection.table("t")


# --- transactions ---


def test_a_block_is_a_transaction(connection: rutile.Connection) -> None:
    with connection.transaction():
        connection.execute("INSERT INTO t VALUES (1, 'a')")
        assert connection.in_transaction
    assert not connection.in_transaction and count(connection) == 1
    with pytest.raises(ZeroDivisionError), connection.transaction():
        connection.execute("INSERT INTO t VALUES (2, 'b')")
        raise ZeroDivisionError
    assert not connection.in_transaction and count(connection) == 1


def test_a_block_within_a_block_is_a_savepoint(connection: rutile.Connection) -> None:
    with connection.transaction():
        connection.execute("INSERT INTO t VALUES (1, 'a')")
        with pytest.raises(ZeroDivisionError), connection.transaction():
            connection.execute("INSERT INTO t VALUES (2, 'b')")
            with connection.transaction():
                connection.execute("INSERT INTO t VALUES (3, 'c')")
            raise ZeroDivisionError
        assert count(connection) == 1
        with connection.transaction():
            connection.execute("INSERT INTO t VALUES (4, 'd')")
    assert connection.execute("SELECT id FROM t ORDER BY id").fetchall() == [(1,), (4,)]


def test_a_transaction_that_ended_within_its_block(connection: rutile.Connection) -> None:
    with connection.transaction():
        connection.execute("INSERT INTO t VALUES (1, 'a')")
        connection.rollback()
    assert count(connection) == 0
    with connection.duplicate() as other, other.transaction():
        other.close()


def test_read_only(connection: rutile.Connection) -> None:
    with pytest.raises(rutile.DatabaseError) as caught, connection.transaction(read_only=True):
        connection.execute("INSERT INTO t VALUES (1, 'a')")
    assert caught.value.code == 1792
    with connection.transaction(), pytest.raises(rutile.InterfaceError), connection.transaction(read_only=True):
        pass
    with connection.duplicate() as other:
        assert not other.read_only
        other.read_only = True
        assert other.read_only and not connection.read_only
        with pytest.raises(rutile.DatabaseError):
            other.execute("DELETE FROM t")


# --- insert_arrow ---


def test_all_kinds_of_arrow_data(connection: rutile.Connection) -> None:
    batch = FEW.to_batches()[0]
    for data in (FEW, batch, [batch], FEW.to_reader(), connection.sql("SELECT 1 AS id, 'x' AS name")):
        connection.execute("DELETE FROM t")
        assert connection.insert_arrow("t", data) == count(connection) > 0
    pandas = pytest.importorskip("pandas")
    assert connection.insert_arrow("test.t", pandas.DataFrame({"name": ["p"], "id": [77]})) == 1
    assert connection.execute("SELECT name FROM t WHERE id = 77").fetchone() == ("p",)


@pytest.mark.parametrize("data", [{"id": [1]}, "text", [1, 2], 7, [], None])
def test_what_is_not_arrow(connection: rutile.Connection, data: object) -> None:
    with pytest.raises(rutile.InterfaceError, match="not Arrow data"):
        connection.insert_arrow("t", data)


def test_modes(connection: rutile.Connection) -> None:
    with pytest.raises(rutile.ProgrammingError) as caught:
        connection.insert_arrow("t", FEW, mode="create")
    assert caught.value.code == 1050
    other = pa.table({"k": [1, 2], "amount": pa.array([Decimal("1.5"), None])})
    assert connection.insert_arrow("t", other, mode="replace", primary_key=["k"]) == 2
    assert "PRIMARY KEY (`k`)" in str(connection.execute("SHOW CREATE TABLE t").fetchall())
    connection.execute("DROP TABLE t")
    with pytest.raises(rutile.ProgrammingError) as caught:
        connection.insert_arrow("t", FEW)
    assert caught.value.code == 1146
    assert connection.insert_arrow("t", FEW, mode="create") == 3
    with pytest.raises(rutile.InterfaceError, match="want 'append'"):
        connection.insert_arrow("t", FEW, mode="upsert")  # type: ignore[arg-type]


def test_many_rows_go_in_bulk_and_all_or_none(connection: rutile.Connection) -> None:
    ids = pa.array([*range(BULK_ROWS + 1000), 7])
    many = pa.table({"id": ids, "name": ids.cast(pa.string())})
    with pytest.raises(rutile.IntegrityError, match="Duplicate entry '7'"):
        connection.insert_arrow("t", many)
    assert count(connection) == 0
    assert connection.insert_arrow("t", many.slice(0, BULK_ROWS + 1000)) == count(connection) == BULK_ROWS + 1000


def test_few_rows_are_all_or_none(connection: rutile.Connection) -> None:
    connection.execute("INSERT INTO t VALUES (3, 'here')")
    with pytest.raises(rutile.IntegrityError):
        connection.insert_arrow("t", FEW)
    assert count(connection) == 1 and not connection.in_transaction
    wrong = pa.table({"id": [10], "name": ["x" * 21]})
    with pytest.raises(rutile.DataError):
        connection.insert_arrow("t", wrong)
    with pytest.raises(rutile.ProgrammingError):
        connection.insert_arrow("t", pa.table({"id": [10], "nonsense": [1]}))
    assert count(connection) == 1


def test_within_a_transaction(connection: rutile.Connection) -> None:
    with pytest.raises(ZeroDivisionError), connection.transaction():
        assert connection.insert_arrow("t", FEW) == 3
        assert count(connection) == 3
        raise ZeroDivisionError
    assert count(connection) == 0
    assert connection.insert_arrow("t", FEW.slice(0, 0)) == 0


def test_a_table_for_ibis(connection: rutile.Connection) -> None:
    pytest.importorskip("ibis")
    connection.insert_arrow("t", FEW)
    table = connection.table("t")
    assert table.filter(table.id > 1).count().to_pyarrow().as_py() == 2
