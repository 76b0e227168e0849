"""PEP 249, point by point, on an embedded database. (Both backends: tests/e2e/test_dbapi.py.)"""

from __future__ import annotations

import datetime
import inspect
from collections.abc import Iterator
from decimal import Decimal

import pytest

import rutile
from rutile import dbapi


@pytest.fixture(scope="module")
def database() -> Iterator[rutile.Connection]:
    with rutile.connect() as opened:
        yield opened


@pytest.fixture
def connection(database: rutile.Connection) -> rutile.Connection:
    database.execute("DROP TABLE IF EXISTS item")
    database.execute("CREATE TABLE item (id INT PRIMARY KEY AUTO_INCREMENT, name VARCHAR(20), price DECIMAL(10, 2))")
    return database


@pytest.fixture
def cursor(connection: rutile.Connection) -> rutile.Cursor:
    return connection.executemany("INSERT INTO item VALUES (?, ?, ?)", [(i, f"n{i}", i) for i in range(1, 8)])


# --- module interface ---


def test_constructor_and_globals() -> None:
    assert callable(rutile.connect)
    assert (rutile.apilevel, rutile.threadsafety, rutile.paramstyle) == ("2.0", 1, "qmark")


def test_the_tree_of_exceptions() -> None:
    assert issubclass(rutile.Warning, Exception) and issubclass(rutile.Error, Exception)
    assert not issubclass(rutile.Warning, rutile.Error)
    assert rutile.InterfaceError.__bases__ == rutile.DatabaseError.__bases__ == (rutile.Error,)
    below = [
        rutile.DataError, rutile.OperationalError, rutile.IntegrityError, rutile.InternalError,
        rutile.ProgrammingError, rutile.NotSupportedError,
    ]  # fmt: skip
    assert all(each.__bases__ == (rutile.DatabaseError,) for each in below)


def test_exceptions_as_attributes_of_connections() -> None:
    names = [
        "Warning", "Error", "InterfaceError", "DatabaseError", "DataError", "OperationalError", "IntegrityError",
        "InternalError", "ProgrammingError", "NotSupportedError",
    ]  # fmt: skip
    assert all(getattr(rutile.Connection, name) is getattr(rutile, name) for name in names)


@pytest.mark.parametrize(
    ("sql", "kind", "code"),
    [
        ("SELEC 1", rutile.ProgrammingError, 1064),
        ("SELECT * FROM nowhere", rutile.ProgrammingError, 1146),
        ("INSERT INTO item VALUES (1, 'again', 0), (1, 'again', 0)", rutile.IntegrityError, 1062),
        ("INSERT INTO item VALUES (1, 'much longer than twenty characters', 0)", rutile.DataError, 1406),
        ("SET SESSION transaction_isolation = 'SERIALIZABLE'", rutile.NotSupportedError, 1235),
    ],
)
def test_errors_are_of_their_kind(
    connection: rutile.Connection, sql: str, kind: type[rutile.DatabaseError], code: int
) -> None:
    with pytest.raises(kind) as caught:
        connection.execute(sql)
    assert caught.value.code == code and str(code) in str(caught.value)


# --- connections ---


def test_connection_methods(connection: rutile.Connection) -> None:
    with connection.duplicate() as other:
        other.commit()
        other.rollback()  # nothing is open: both are harmless
        assert isinstance(other.cursor(), rutile.Cursor) and other.cursor().connection is other
        other.close()
        other.close()
        for use in (other.cursor, other.commit, other.rollback, other.begin):
            with pytest.raises(rutile.InterfaceError, match="closed"):
                use()


def test_closing_rolls_back(connection: rutile.Connection) -> None:
    other = connection.duplicate()
    other.autocommit = False
    other.execute("INSERT INTO item VALUES (1, 'lost', 0)")
    other.close()
    assert connection.execute("SELECT COUNT(*) FROM item").fetchone() == (0,)


# --- cursors ---


def test_description(cursor: rutile.Cursor) -> None:
    assert cursor.description is None
    cursor.execute("SELECT id, name, price, CAST('2026-01-02' AS DATE) AS day, x'00' AS b FROM item")
    description = cursor.description or []
    assert all(len(column) == 7 for column in description)
    assert [column[0] for column in description] == ["id", "name", "price", "day", "b"]
    kinds = (rutile.NUMBER, rutile.STRING, rutile.NUMBER, rutile.DATETIME, rutile.BINARY)
    assert all(column[1] == kind for column, kind in zip(description, kinds, strict=True))
    assert description[2][4:6] == (10, 2)
    cursor.execute("DELETE FROM item WHERE id = 1")
    assert cursor.description is None


def test_rowcount(connection: rutile.Connection, cursor: rutile.Cursor) -> None:
    assert connection.cursor().rowcount == -1
    assert cursor.rowcount == 7  # of the executemany
    assert cursor.execute("UPDATE item SET price = 0 WHERE id < 4").rowcount == 3
    assert cursor.execute("SELECT * FROM item WHERE id > 5").rowcount == 2
    with pytest.raises(rutile.ProgrammingError):
        cursor.execute("SELEC")
    assert cursor.rowcount == -1 and cursor.description is None


def test_fetches(cursor: rutile.Cursor) -> None:
    cursor.execute("SELECT id FROM item ORDER BY id")
    assert cursor.arraysize == 1 and cursor.fetchmany() == [(1,)]
    cursor.arraysize = 2
    assert cursor.fetchmany() == [(2,), (3,)]
    assert cursor.fetchmany(0) == [] and cursor.fetchone() == (4,)
    assert cursor.fetchmany(100) == [(5,), (6,), (7,)]
    assert (cursor.fetchone(), cursor.fetchmany(5), cursor.fetchall()) == (None, [], [])


@pytest.mark.parametrize("fetch", ["fetchone", "fetchmany", "fetchall", "arrow"])
def test_fetching_without_a_result_set(cursor: rutile.Cursor, fetch: str) -> None:
    with pytest.raises(rutile.ProgrammingError, match="no result set"):
        getattr(cursor, fetch)()


def test_executemany_takes_generators(cursor: rutile.Cursor) -> None:
    rows = ((i, None, Decimal(i)) for i in range(100, 110))
    assert cursor.executemany("INSERT INTO item VALUES (?, ?, ?)", rows).rowcount == 10
    assert cursor.executemany("INSERT INTO item VALUES (?, ?, ?)", iter(())).rowcount == 0


def test_parameters(cursor: rutile.Cursor) -> None:
    assert cursor.execute("SELECT ?, ?, '?'", (1, "it's")).fetchone() == (1, "it's", "?")
    assert cursor.execute("SELECT 7 % 4").fetchone() == (3,)
    for wrong in ({"a": 1}, "text", b"bytes"):
        with pytest.raises(rutile.ProgrammingError, match="sequence"):
            cursor.execute("SELECT ?", wrong)  # type: ignore[arg-type]
    with pytest.raises(rutile.ProgrammingError, match="1 parameters, 2 were given"):
        cursor.execute("SELECT ?", (1, 2))


def test_sizes_are_taken_and_ignored(cursor: rutile.Cursor) -> None:
    cursor.setinputsizes([1, None])
    cursor.setoutputsize(100)
    cursor.setoutputsize(100, 2)


def test_what_is_optional_and_not_there(cursor: rutile.Cursor, connection: rutile.Connection) -> None:
    assert not hasattr(cursor, "callproc") and not hasattr(cursor, "nextset")
    assert not any(hasattr(connection, name) for name in ("tpc_begin", "tpc_prepare", "xid"))


def test_a_closed_cursor(cursor: rutile.Cursor) -> None:
    cursor.close()
    cursor.close()
    for use in (cursor.fetchone, cursor.fetchall, lambda: cursor.execute("SELECT 1"), lambda: next(cursor)):
        with pytest.raises(rutile.InterfaceError):
            use()


# --- type objects and constructors ---


def test_constructors() -> None:
    assert rutile.Date(2026, 1, 2) == datetime.date(2026, 1, 2)
    assert rutile.Time(1, 2, 3) == datetime.time(1, 2, 3)
    assert rutile.Timestamp(2026, 1, 2, 3, 4, 5) == datetime.datetime(2026, 1, 2, 3, 4, 5)
    now = datetime.datetime(2026, 11, 23, 7, 30)
    ticks = now.timestamp()
    assert rutile.TimestampFromTicks(ticks) == now
    assert (rutile.DateFromTicks(ticks), rutile.TimeFromTicks(ticks)) == (now.date(), now.time())
    assert rutile.Binary(b"\x00") == b"\x00"


def test_type_objects() -> None:
    assert rutile.STRING == "varchar" and rutile.STRING != "int" and rutile.NUMBER == "decimal"
    assert rutile.DATETIME == "timestamp" and rutile.BINARY == "blob" and rutile.ROWID != "int"
    assert len({rutile.STRING, rutile.BINARY, rutile.NUMBER, rutile.DATETIME, rutile.ROWID}) == 5


def test_null_is_none(cursor: rutile.Cursor) -> None:
    assert cursor.execute("SELECT NULL, ?", (None,)).fetchone() == (None, None)


# --- optional extensions ---


def test_iteration_and_next(cursor: rutile.Cursor) -> None:
    cursor.execute("SELECT id FROM item ORDER BY id")
    assert next(cursor) == (1,) and iter(cursor) is cursor
    assert list(cursor) == [(i,) for i in range(2, 8)]
    with pytest.raises(StopIteration):
        next(cursor)


def test_scroll_and_rownumber(cursor: rutile.Cursor) -> None:
    assert cursor.rownumber is None
    cursor.execute("SELECT id FROM item ORDER BY id")
    assert cursor.rownumber == 0
    cursor.scroll(3)
    assert cursor.rownumber == 3 and cursor.fetchone() == (4,)
    cursor.scroll(-4)
    assert cursor.fetchone() == (1,)
    cursor.scroll(6, mode="absolute")
    assert cursor.fetchall() == [(7,)]
    with pytest.raises(IndexError):
        cursor.scroll(7, mode="absolute")
    with pytest.raises(rutile.ProgrammingError, match="sideways"):
        cursor.scroll(1, mode="sideways")


def test_lastrowid(cursor: rutile.Cursor) -> None:
    cursor.execute("INSERT INTO item (name) VALUES ('auto')")
    assert cursor.lastrowid is not None and cursor.lastrowid > 7
    assert cursor.execute("SELECT 1").lastrowid is None


def test_messages(cursor: rutile.Cursor) -> None:
    assert cursor.messages == []
    cursor.execute("DROP TABLE IF EXISTS never_was")
    ((kind, message),) = cursor.messages
    assert kind is rutile.Warning and message.args == ("Note", 1051, "Unknown table 'test.never_was'")
    assert cursor.execute("SELECT 1").messages == []


def test_every_public_name_says_what_it_does() -> None:
    for owner in (dbapi.Connection, dbapi.Cursor, dbapi.QueryResult):
        public = [member for name, member in inspect.getmembers(owner, callable) if not name.startswith("_")]
        assert all(inspect.getdoc(member) for member in public)
