"""`rutile standalone`: one process behind MySQL's protocol, its point SELECTs answered without a wire in between."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from subprocess import PIPE

import pymysql
import pytest

from rutile.nodes.standalone_process import StandaloneProcess

LOG_BLOCKS = 4_096
"""How long a file may be, in blocks of 512 or 1024 bytes: less than the rows of the last test."""


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


def test_it_ends_when_its_store_gives_up(tmp_path: Path) -> None:
    """With the store's message and an exit code, as `rutile kv` does. Files may not grow as far as its log has to."""
    command = [sys.executable, "-m", "rutile", "standalone", "--data", str(tmp_path / "data")]
    command += ["--addr", "127.0.0.1:0", "--mysql-addr", "127.0.0.1:0", "--stop-with-stdin"]
    limited = ["sh", "-c", f'ulimit -f {LOG_BLOCKS}; exec "$@"', "sh", *command]
    with subprocess.Popen(limited, stdin=PIPE, stdout=PIPE, stderr=PIPE, text=True) as process:
        assert process.stdin is not None and process.stdout is not None and process.stderr is not None
        ready = process.stdout.readline()
        with connect(int(ready.rpartition(":")[2])) as connection, connection.cursor() as cursor:
            cursor.execute("CREATE TABLE filler (id INT PRIMARY KEY, filler LONGTEXT)")
            with pytest.raises(pymysql.Error):
                for number in range(16):
                    cursor.execute("INSERT INTO filler VALUES (%s, REPEAT('x', 1000000))", [number])
        assert process.wait(timeout=60) == 1
        assert re.search(r"^rutile standalone: .*File too large", process.stderr.read(), re.MULTILINE)
