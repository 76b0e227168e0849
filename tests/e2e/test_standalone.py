"""`rutile standalone`: one process behind MySQL's protocol, its point SELECTs answered without a wire in between."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pymysql
import pytest

from rutile.nodes.standalone_process import StandaloneProcess


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with StandaloneProcess() as server:
        yield int(server.mysql_address.rpartition(":")[2])


def connect(port: int) -> pymysql.Connection:
    return pymysql.connect(host="127.0.0.1", port=port, user="root", database="test", autocommit=True)


def test_reads_follow_writes_of_all_connections(port: int) -> None:
    """Counters that several clients raise: whoever reads promptly sees every commit that was acknowledged before."""
    with connect(port) as first, first.cursor() as cursor:
        cursor.execute("CREATE TABLE counter (id INT PRIMARY KEY, n INT)")
        cursor.executemany("INSERT INTO counter VALUES (%s, 0)", [(number,) for number in range(4)])

    def count(number: int) -> None:
        with connect(port) as own, connect(port) as other, own.cursor() as writer, other.cursor() as reader:
            for expected in range(1, 31):
                writer.execute(f"UPDATE counter SET n = n + 1 WHERE id = {number}")
                reader.execute(f"SELECT n FROM counter WHERE id = {number}")
                assert reader.fetchall() == ((expected,),)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(count, range(4)))
    with connect(port) as last, last.cursor() as cursor:
        cursor.execute("SELECT SUM(n) FROM counter WHERE id BETWEEN 0 AND 3")
        assert cursor.fetchall() == ((120,),)


def test_a_transaction_does_not_see_later_commits(port: int) -> None:
    with connect(port) as own, connect(port) as other, own.cursor() as reader, other.cursor() as writer:
        writer.execute("CREATE TABLE moment (id INT PRIMARY KEY, v INT)")
        writer.execute("INSERT INTO moment VALUES (1, 1)")
        reader.execute("BEGIN")
        for value in range(2, 6):
            reader.execute("SELECT v FROM moment WHERE id = 1")
            assert reader.fetchall() == ((1,),)
            writer.execute(f"UPDATE moment SET v = {value} WHERE id = 1")
        reader.execute("COMMIT")
        reader.execute("SELECT v FROM moment WHERE id = 1")
        assert reader.fetchall() == ((5,),)
