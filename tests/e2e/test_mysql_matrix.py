"""The rest of MySQL's clients against a playground: those installed; the others are skipped with the reason."""

from __future__ import annotations

import asyncio
import importlib
import os
import shutil
import subprocess
from contextlib import closing
from decimal import Decimal
from pathlib import Path

import aiomysql
import pymysql
import pytest
import sqlalchemy

from rutile.nodes.playground import Playground


def address(playground: Playground) -> tuple[str, int]:
    host, _, port = playground.mysql_address.rpartition(":")
    return host, int(port)


def test_aiomysql(playground: Playground) -> None:
    async def scenario() -> None:
        host, port = address(playground)
        async with aiomysql.create_pool(host=host, port=port, user="root", db="test", minsize=2) as pool:
            async with pool.acquire() as connection, connection.cursor() as cursor:
                await cursor.execute("CREATE TABLE aio (id INT PRIMARY KEY AUTO_INCREMENT, price DECIMAL(8, 2))")
                assert (
                    await cursor.executemany("INSERT INTO aio (price) VALUES (%s)", [(1.5,), ("2.25",), (None,)]) == 3
                )
                await connection.rollback()
                await cursor.execute("INSERT INTO aio (price) VALUES (%s)", ("7.10",))
                await connection.commit()
            async with pool.acquire() as connection, connection.cursor() as cursor:
                await cursor.execute("SELECT COUNT(*), SUM(price) FROM aio")
                assert await cursor.fetchall() == ((1, Decimal("7.10")),)
                await cursor.execute("DROP TABLE aio")

    asyncio.run(scenario())


def test_mysqlclient(playground: Playground) -> None:
    try:
        driver = importlib.import_module("MySQLdb")
    except ImportError:
        pytest.skip("mysqlclient is not installed: it has no wheel for this platform")
    host, port = address(playground)
    with closing(driver.connect(host=host, port=port, user="root", database="test")) as connection:
        cursor = connection.cursor()
        cursor.execute("SELECT %s, CAST('1.50' AS DECIMAL(5, 2)), NULL", ("it's",))
        assert cursor.fetchall() == (("it's", Decimal("1.50"), None),)


def command_line(name: str, *arguments: str) -> str:
    """What a command prints; the test is skipped where there is none."""
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed")
    done = subprocess.run(
        [found, *arguments], capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL,
        env={**os.environ, "PYTHONWARNINGS": "ignore"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_mariadb_command(playground: Playground, tmp_path: Path) -> None:
    host, port = address(playground)
    rows = tmp_path / "rows.tsv"
    rows.write_text("1\tfig\n2\t\\N\n3\tit's\n")
    sql = (
        "CREATE TABLE cli (id INT PRIMARY KEY, name VARCHAR(20)); "
        f"LOAD DATA LOCAL INFILE '{rows}' INTO TABLE cli; SELECT * FROM cli ORDER BY id; DROP TABLE cli"
    )
    options = ("--no-defaults", f"-h{host}", f"-P{port}", "-uroot", "--local-infile=1", "test", "-e", sql)
    assert command_line("mariadb", *options) == "id\tname\n1\tfig\n2\tNULL\n3\tit's\n"


def test_mycli(playground: Playground) -> None:
    host, port = address(playground)
    printed = command_line("mycli", f"-h{host}", f"-P{port}", "-uroot", "test", "-e", "SELECT 41 + 1 AS answer")
    assert printed.split() == ["answer", "42"]


def test_users_of_the_cluster(playground: Playground) -> None:
    host, port = address(playground)
    with closing(pymysql.connect(host=host, port=port, user="root", database="test")) as root, root.cursor() as admin:
        for statement in (
            "CREATE TABLE ledger (id INT PRIMARY KEY, n INT, KEY by_n (n))", "CREATE USER clerk IDENTIFIED BY 'pw'",
            "GRANT SELECT ON test.ledger TO clerk",
        ):  # fmt: skip
            admin.execute(statement)
        engine = sqlalchemy.create_engine(f"mysql+pymysql://clerk:pw@{playground.mysql_address}/test")
        try:
            inspector = sqlalchemy.inspect(engine)
            assert inspector.get_table_names() == ["ledger"]
            assert [index["name"] for index in inspector.get_indexes("ledger")] == ["by_n"]
            with engine.connect() as connection, pytest.raises(sqlalchemy.exc.OperationalError, match="1142"):
                connection.execute(sqlalchemy.text("INSERT INTO ledger VALUES (1, 1)"))
        finally:
            engine.dispose()
        admin.execute("DROP USER clerk")
        with pytest.raises(pymysql.OperationalError):
            pymysql.connect(host=host, port=port, user="clerk", password="pw")
        admin.execute("DROP TABLE ledger")
