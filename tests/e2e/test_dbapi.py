"""DB-API 2.0 over both backends: embedded in this process, and a SQL server of a playground."""

from __future__ import annotations

import datetime
import threading
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest
from e2e_tools import wait_until

import rutile
from rutile.nodes.playground import Playground


@pytest.fixture(scope="module", params=["embedded", "remote"])
def connection(request: pytest.FixtureRequest) -> Iterator[rutile.Connection]:
    target = request.getfixturevalue("playground").sql_address if request.param == "remote" else None
    with rutile.connect(target) as opened:
        yield opened


@pytest.fixture
def table(connection: rutile.Connection) -> rutile.Connection:
    connection.execute("DROP TABLE IF EXISTS item")
    connection.execute("CREATE TABLE item (id INT PRIMARY KEY, name VARCHAR(20), price DECIMAL(10, 2))")
    return connection


ENDLESS = "WITH RECURSIVE n AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM n WHERE i < 100000000) SELECT MAX(i) FROM n"


def test_module_globals() -> None:
    assert (rutile.apilevel, rutile.threadsafety, rutile.paramstyle) == ("2.0", 1, "qmark")
    assert issubclass(rutile.IntegrityError, rutile.DatabaseError) and issubclass(rutile.DatabaseError, rutile.Error)


def test_every_type_goes_in_and_comes_out(connection: rutile.Connection) -> None:
    connection.execute("DROP TABLE IF EXISTS kinds")
    connection.execute(
        "CREATE TABLE kinds (id BIGINT UNSIGNED PRIMARY KEY, f DOUBLE, d DECIMAL(20, 4), s TEXT, b BLOB, day DATE,"
        " moment DATETIME(6), t TIME, flag BOOL, j JSON)"
    )
    row = (
        (1 << 64) - 1, 0.1, Decimal("12345.6789"), "naïve 'quoted' \\ 漢", bytes(range(256)),
        datetime.date(2026, 2, 28), datetime.datetime(2026, 2, 28, 23, 59, 59, 999_999),
        datetime.timedelta(hours=-100, minutes=-1), True, '{"a": 1}',
    )  # fmt: skip
    connection.execute("INSERT INTO kinds VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", row)
    connection.execute("INSERT INTO kinds VALUES (1, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)")
    assert connection.execute("SELECT * FROM kinds WHERE id = ?", (row[0],)).fetchone() == row
    assert connection.execute("SELECT * FROM kinds ORDER BY id DESC").fetchall() == [row, (1, *[None] * 9)]


def test_description_rowcount_and_fetches(table: rutile.Connection) -> None:
    cursor = table.cursor()
    cursor.execute("INSERT INTO item VALUES (1, 'a', 1), (2, 'b', 2), (3, 'c', 3)")
    assert (cursor.rowcount, cursor.description) == (3, None)
    cursor.execute("SELECT id, name, price FROM item ORDER BY id")
    assert [(d[0], d[1]) for d in cursor.description or []] == [
        ("id", "int"),
        ("name", "varchar"),
        ("price", "decimal"),
    ]
    assert (cursor.description or [])[0][1] == rutile.NUMBER
    assert cursor.fetchone() == (1, "a", Decimal("1.00"))
    assert cursor.fetchmany(1) == [(2, "b", Decimal("2.00"))]
    assert list(cursor) == [(3, "c", Decimal("3.00"))]
    assert cursor.fetchone() is None
    assert cursor.execute("SELECT id FROM item").arrow().column("id").to_pylist() == [1, 2, 3]
    cursor.close()
    with pytest.raises(rutile.InterfaceError):
        cursor.fetchall()


def test_transactions_isolate_commit_and_roll_back(table: rutile.Connection) -> None:
    with table.duplicate() as other:
        table.begin()
        table.execute("INSERT INTO item VALUES (1, 'mine', 1)")
        assert table.execute("SELECT COUNT(*) FROM item").fetchone() == (1,)
        assert other.execute("SELECT COUNT(*) FROM item").fetchone() == (0,)
        table.commit()
        assert other.execute("SELECT name FROM item WHERE id = 1").fetchone() == ("mine",)
        table.begin()
        table.execute("DELETE FROM item")
        table.rollback()
        assert other.execute("SELECT COUNT(*) FROM item").fetchone() == (1,)


def test_a_lost_conflict_is_retryable(table: rutile.Connection) -> None:
    table.execute("INSERT INTO item VALUES (1, 'a', 1)")
    table.execute("SET tidb_txn_mode = 'optimistic'")
    with table.duplicate() as other:
        table.begin()
        table.execute("UPDATE item SET price = price + 1 WHERE id = 1")
        other.execute("UPDATE item SET price = price + 10 WHERE id = 1")
        with pytest.raises(rutile.OperationalError) as caught:
            table.commit()
        assert caught.value.code == 9007 and caught.value.retryable
        assert not table.in_transaction
        assert other.execute("SELECT price FROM item").fetchone() == (Decimal("11.00"),)


def test_executemany_is_one_transaction(table: rutile.Connection) -> None:
    with pytest.raises(rutile.IntegrityError):
        table.executemany("INSERT INTO item VALUES (?, ?, 0)", [(1, "a"), (2, "b"), (1, "again")])
    assert table.execute("SELECT COUNT(*) FROM item").fetchone() == (0,)
    assert table.executemany("INSERT INTO item VALUES (?, ?, 0)", [(1, "a"), (2, "b")]).rowcount == 2


def test_implicit_transactions_without_autocommit(table: rutile.Connection) -> None:
    with table.duplicate() as other:
        other.autocommit = False
        other.execute("INSERT INTO item VALUES (5, 'x', 0)")
        assert other.in_transaction
        assert table.execute("SELECT COUNT(*) FROM item").fetchone() == (0,)
        other.commit()
        assert table.execute("SELECT COUNT(*) FROM item").fetchone() == (1,)


def test_a_running_statement_can_be_cancelled(table: rutile.Connection) -> None:
    running = threading.Event()
    outcome: list[BaseException] = []

    def run() -> None:
        running.set()
        try:
            table.execute(ENDLESS)
        except rutile.Error as error:
            outcome.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    running.wait(10)
    wait_until("the cancelled statement to end", lambda: _cancelled(table, thread), 60)
    assert [type(error) for error in outcome] == [rutile.OperationalError]
    assert table.execute("SELECT 1").fetchone() == (1,)


def _cancelled(connection: rutile.Connection, thread: threading.Thread) -> bool:
    connection.cancel()
    return not thread.is_alive()


def test_an_embedded_database_is_durable_and_shared_in_the_process(tmp_path: Path) -> None:
    with rutile.connect(tmp_path) as first, rutile.connect(tmp_path) as second:
        first.execute("CREATE TABLE kept (id INT PRIMARY KEY)")
        first.execute("INSERT INTO kept VALUES (1), (2)")
        assert second.execute("SELECT COUNT(*) FROM kept").fetchone() == (2,)
    with rutile.connect(tmp_path) as again:
        assert again.execute("SELECT COUNT(*) FROM kept").fetchone() == (2,)


def test_in_memory_databases_are_apart_and_leave_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with rutile.connect() as first, rutile.connect(":memory:") as second:
        first.execute("CREATE TABLE mine (id INT PRIMARY KEY)")
        assert second.execute("SHOW TABLES").fetchall() == []
    assert list(tmp_path.iterdir()) == []


def test_a_front_end_in_this_process_for_a_cluster(playground: Playground) -> None:
    with rutile.connect(f"pd://{playground.pd_address}") as here, rutile.connect(playground.sql_address) as there:
        here.execute("CREATE TABLE IF NOT EXISTS both_see (id INT PRIMARY KEY)")
        here.execute("INSERT INTO both_see VALUES (1)")
        assert there.execute("SELECT * FROM both_see").fetchall() == [(1,)]
        there.execute("TRUNCATE TABLE both_see")
        assert here.execute("SELECT * FROM both_see").fetchall() == []


def test_nobody_listens() -> None:
    with pytest.raises(rutile.OperationalError, match="playground"):
        rutile.connect("127.0.0.1:1")


def test_arrow_goes_in_all_or_none(table: rutile.Connection) -> None:
    rows = pa.table({"id": list(range(600)), "name": [f"n{i}" for i in range(600)]})
    assert table.insert_arrow("item", rows) == 600
    assert table.execute("SELECT COUNT(*), MAX(name) FROM item").fetchone() == (600, "n99")
    with pytest.raises(rutile.IntegrityError):
        table.insert_arrow("test.item", rows.slice(599).cast(rows.schema))
    assert table.insert_arrow("item", rows, mode="replace", primary_key=["id"]) == 600
    table.execute("DROP TABLE IF EXISTS made")
    with pytest.raises(rutile.IntegrityError):
        table.insert_arrow("made", pa.table({"id": [1, 1]}), mode="create", primary_key=["id"])
    assert "made" not in str(table.execute("SHOW TABLES").fetchall())
    with table.transaction():
        assert table.insert_arrow("test.made", pa.table({"id": [1, 2]}), mode="create") == 2
    assert table.sql("SELECT SUM(id) AS s FROM made").fetchall() == [(3,)]


def test_warnings_are_messages(table: rutile.Connection) -> None:
    cursor = table.execute("DROP TABLE IF EXISTS never_was")
    ((_, warning),) = cursor.messages
    assert warning.args[:2] == ("Note", 1051)
    assert cursor.messages[0][1].args == warning.args
