"""Connections that do not speak UTF-8: what arrives and what leaves is converted, and nothing is made up."""

from __future__ import annotations

import asyncio
from contextlib import closing
from typing import Any

import pymysql
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mysql_world import World, play

from rutile.errors import SqlError
from rutile.mysql.literals import statement_text
from rutile.session.charsets import ASCII, CHARSETS, GBK, LATIN1, UTF8MB4, Charset, charset_named, charset_of_id


def at_a_client(world: World, charset: str, ask: Any) -> Any:
    """What `ask(cursor)` gives, in a thread."""
    host, _, port = world.server.address.rpartition(":")

    def run() -> Any:
        with closing(
            pymysql.connect(host=host, port=int(port), user="root", database="test", charset=charset)
        ) as connection:
            cursor = connection.cursor()
            found = ask(cursor)
            connection.commit()
            return found

    return asyncio.to_thread(run)


@pytest.mark.parametrize(("charset", "text"), [("latin1", "Ünïté €5 ‚x’"), ("gbk", "中文 数据"), ("ascii", "plain")])
def test_texts_there_and_back(charset: str, text: str) -> None:
    """A point SELECT is answered promptly, the others are not: the bytes are the same."""

    async def scenario(world: World) -> None:
        def write(cursor: Any) -> None:
            cursor.execute("CREATE TABLE `t` (id INT PRIMARY KEY, v VARCHAR(50))")
            cursor.execute("INSERT INTO t VALUES (1, %s)", (text,))

        def read(cursor: Any) -> list[Any]:
            found = []
            for sql in ("SELECT v FROM t WHERE id = 1",) * 3 + ("SELECT MAX(v) FROM t", "SELECT CHAR_LENGTH(v) FROM t"):
                cursor.execute(sql)
                found.append(cursor.fetchone()[0])
            cursor.execute("SELECT COUNT(*) FROM t WHERE v = %s", (text,))
            return [*found, cursor.fetchone()[0]]

        await at_a_client(world, charset, write)
        for reader in (charset, "utf8mb4"):
            assert await at_a_client(world, reader, read) == [text] * 4 + [len(text), 1]

    play(scenario)


def test_what_a_client_cannot_read_is_an_error() -> None:
    async def scenario(world: World) -> None:
        def write(cursor: Any) -> None:
            cursor.execute("CREATE TABLE t (id INT PRIMARY KEY, `größe` VARCHAR(50))")
            cursor.execute("INSERT INTO t VALUES (1, '中'), (2, 'é')")

        def read(cursor: Any) -> Any:
            with pytest.raises(pymysql.err.OperationalError) as caught:
                cursor.execute("SELECT `größe` FROM t WHERE id = 1")
                cursor.fetchall()
            assert caught.value.args[0] == 3854 and "U+4E2D" in caught.value.args[1]
            cursor.execute("SELECT * FROM t WHERE id = 2")
            assert [column[0] for column in cursor.description] == ["id", "größe"]
            found = cursor.fetchone()
            cursor.execute("SET NAMES utf8mb4")
            return found

        await at_a_client(world, "utf8mb4", write)
        assert await at_a_client(world, "latin1", read) == (2, "é")

    play(scenario)


def test_bytes_in_a_statement_of_latin1() -> None:
    assert statement_text(b"SELECT '\xe9', _binary'\xe9\\'', `\xe9`", LATIN1) == "SELECT 'é', x'e927', `é`"
    with pytest.raises(SqlError, match="1235"):
        statement_text(b"SELECT _binary'\xe9', '\xd6\xd0'", GBK)
    with pytest.raises(SqlError, match="1300"):
        statement_text(b"SELECT '\xe9'", ASCII)


@pytest.mark.parametrize("charset", CHARSETS, ids=lambda charset: charset.name)
@given(text=st.text(max_size=20))
def test_a_text_is_there_again_or_refused(charset: Charset, text: str) -> None:
    if charset.holds(text):
        assert charset.decode(charset.encode(text)) == text
        assert charset.nearest(text) == charset.encode(text)
    else:
        with pytest.raises(SqlError, match="3854"):
            charset.encode(text)
        assert b"?" in charset.nearest(text)


@given(data=st.binary(max_size=40))
def test_every_byte_is_a_character_of_latin1(data: bytes) -> None:
    assert LATIN1.encode(LATIN1.decode(data)) == data
    decoder = LATIN1.incremental_decoder()
    assert decoder.decode(data[:5]) + decoder.decode(data[5:]) == LATIN1.decode(data)


def test_names_and_numbers() -> None:
    assert [charset_of_id(number) for number in (8, 28, 11, 45, 255, 9999)] == [
        LATIN1, GBK, ASCII, UTF8MB4, UTF8MB4, UTF8MB4,
    ]  # fmt: skip
    assert charset_named("UTF8") is UTF8MB4
