"""Server-side cursors and other character sets, by real clients against a playground."""

from __future__ import annotations

from contextlib import closing

import mysql.connector
import pymysql
from mysql.connector.connection import MySQLConnection
from mysql.connector.constants import ServerFlag

from rutile.nodes.playground import Playground

ROWS = 30_000
READ_ONLY = 1


def port_of(playground: Playground) -> int:
    return int(playground.mysql_address.rpartition(":")[2])


def fetched(connection: MySQLConnection, sql: str, at_once: int) -> list[tuple[object, ...]]:
    """The rows of a query, through a cursor."""
    prepared = connection.cmd_stmt_prepare(sql.encode())
    _, columns, end = connection.cmd_stmt_execute(prepared["statement_id"], flags=READ_ONLY)
    assert end["status_flag"] & ServerFlag.STATUS_CURSOR_EXISTS
    rows: list[tuple[object, ...]] = []
    while not end["status_flag"] & ServerFlag.STATUS_LAST_ROW_SENT:
        connection.cmd_stmt_fetch(prepared["statement_id"], at_once)
        found, end = connection.get_rows(binary=True, columns=columns)
        assert len(found) <= at_once
        rows += found
    connection.cmd_stmt_close(prepared["statement_id"])
    return rows


def test_a_cursor_of_the_connector(playground: Playground) -> None:
    """A scan is read as it is fetched, a sorted query is kept; both show one moment."""
    options = {"host": "127.0.0.1", "port": port_of(playground), "user": "root", "database": "test"}
    with closing(pymysql.connect(**options)) as writer, writer.cursor() as cursor:
        cursor.execute("CREATE TABLE fetched (id INT PRIMARY KEY, v VARCHAR(40))")
        for start in range(0, ROWS, 10_000):
            values = ", ".join(f"({number}, 'row {number}')" for number in range(start, start + 10_000))
            cursor.execute(f"INSERT INTO fetched VALUES {values}")
            writer.commit()
        with closing(mysql.connector.connect(**options, use_pure=True)) as connection:
            assert isinstance(connection, MySQLConnection)
            expected = [(number, f"row {number}") for number in range(ROWS)]
            assert sorted(fetched(connection, "SELECT id, v FROM fetched", 997)) == expected
            assert fetched(connection, "SELECT id, v FROM fetched ORDER BY id", 10_000) == expected
        cursor.execute("DROP TABLE fetched")


def test_a_latin1_connection(playground: Playground) -> None:
    options = {"host": "127.0.0.1", "port": port_of(playground), "user": "root", "database": "test"}
    with closing(mysql.connector.connect(**options, charset="latin1", use_pure=True)) as connection:
        cursor = connection.cursor()
        cursor.execute("CREATE TABLE words (id INT PRIMARY KEY, v VARCHAR(40))")
        cursor.execute("INSERT INTO words VALUES (1, 'Größe')")
        cursor.execute("SELECT v, HEX(v), @@character_set_client FROM words")
        assert cursor.fetchall() == [("Größe", "4772C3B6C39F65", "latin1")]
        connection.commit()
    with closing(pymysql.connect(**options)) as other, other.cursor() as cursor:
        cursor.execute("SELECT v FROM words")
        assert cursor.fetchall() == (("Größe",),)
        cursor.execute("DROP TABLE words")


def test_global_variables_reach_new_sessions(playground: Playground) -> None:
    options = {"host": "127.0.0.1", "port": port_of(playground), "user": "root", "database": "test"}
    with closing(pymysql.connect(**options)) as first, first.cursor() as cursor:
        cursor.execute("SET GLOBAL max_execution_time = 12345")
        with closing(pymysql.connect(**options)) as second, second.cursor() as other:
            other.execute("SELECT @@max_execution_time, @@global.max_execution_time")
            assert other.fetchall() == ((12345, 12345),)
        cursor.execute("SET GLOBAL max_execution_time = DEFAULT")
        cursor.execute("SHOW GLOBAL STATUS LIKE 'Threads_connected'")
        assert int(cursor.fetchall()[0][1]) >= 1
