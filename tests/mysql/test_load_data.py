"""LOAD DATA LOCAL INFILE: how files are cut, and a client that sends one."""

from __future__ import annotations

import asyncio
import csv
import io
from contextlib import closing
from pathlib import Path

import pymysql
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mysql_world import World, play

from rutile.errors import SqlError
from rutile.mysql.load_statement import Format, read_load_data
from rutile.mysql.records import Record, RecordReader

CSV = Format(field_end=",", enclosed='"', escape="")
TEXT = st.text(st.sampled_from('ab,"\n\t\\N \r;'), max_size=8)


def cut(form: Format, text: str, piece: int = 1_000_000) -> list[Record]:
    """The records of a file that arrives in pieces."""
    reader, found = RecordReader(form), list[Record]()
    for at in range(0, len(text), piece):
        found += reader.feed(text[at : at + piece])
    return found + list(reader.finish())


@pytest.mark.parametrize(
    ("form", "text", "records"),
    [
        (Format(), "1\ta\n2\tb", [["1", "a"], ["2", "b"]]),
        (Format(), "1\t\\N\n2\ta\\tb\\nc\\\\\n", [["1", None], ["2", "a\tb\nc\\"]]),
        (Format(), "\n", [[""]]),
        (CSV, '1,"a ""b"", c\nd"\n2,NULL\n', [["1", 'a "b", c\nd'], ["2", None]]),
        (CSV, '1,"NULL"\n2,a"b\n', [["1", "NULL"], ["2", 'a"b']]),
        (Format(line_start="xx"), "xx1\t2\nnoise\njunk xx3\t4\n", [["1", "2"], ["3", "4"]]),
        (Format(field_end="||", line_end="\r\n"), "1||2\r\n3|4||5\r\n", [["1", "2"], ["3|4", "5"]]),
    ],
)
def test_files_are_cut_as_mysql_does(form: Format, text: str, records: list[Record]) -> None:
    for piece in (1, 2, 3, 1000):
        assert cut(form, text, piece) == records


@given(st.lists(st.lists(TEXT, min_size=2, max_size=3), min_size=1, max_size=6), st.integers(1, 9))
def test_what_csv_writes_is_read_again(rows: list[list[str]], piece: int) -> None:
    out = io.StringIO()
    csv.writer(out, quoting=csv.QUOTE_ALL, lineterminator="\n").writerows(rows)
    assert cut(CSV, out.getvalue(), piece) == rows


@pytest.mark.parametrize(
    ("sql", "code"),
    [
        ("LOAD DATA INFILE 'x' INTO TABLE t", 1235), ("LOAD DATA LOCAL INFILE x INTO TABLE t", 1064),
        ("LOAD DATA LOCAL INFILE 'x' INTO TABLE t (a, @b)", 1235),
        ("LOAD DATA LOCAL INFILE 'x' INTO TABLE t SET a = 1", 1235),
        ("LOAD DATA LOCAL INFILE 'x' INTO TABLE t FIELDS TERMINATED BY ''", 1235),
        ("LOAD DATA LOCAL INFILE 'x' INTO TABLE t CHARACTER SET latin1", 1235),
    ],
)  # fmt: skip
def test_what_is_refused(sql: str, code: int) -> None:
    with pytest.raises(SqlError) as caught:
        read_load_data(sql)
    assert caught.value.code == code


def load(port: int, sql: str, *, local_infile: bool = True, **options: object) -> tuple[int, list[tuple[object, ...]]]:
    """(affected rows or the error's number negated, the rows afterwards)."""
    found = pymysql.connect(
        host="127.0.0.1", port=port, user="root", database="test", local_infile=local_infile, autocommit=True, **options
    )  # type: ignore[call-overload]
    with closing(found), found.cursor() as cursor:
        try:
            count = cursor.execute(sql)
        except pymysql.MySQLError as error:
            count = -error.args[0]
        cursor.execute("SELECT * FROM t ORDER BY id")
        return count, list(cursor.fetchall())


def test_values_that_do_not_fit_are_adjusted_with_warnings(tmp_path: Path) -> None:
    path = tmp_path / "rows.tsv"
    path.write_text("".join(f"{n}\tx\n" for n in range(1, 600)) + "601\tmuch too long\nnonsense\tz\n1\tx\n")

    def run(port: int) -> tuple[int, object]:
        with closing(pymysql.connect(host="127.0.0.1", port=port, user="root", local_infile=True)) as found:
            cursor = found.cursor()
            count = cursor.execute(f"LOAD DATA LOCAL INFILE '{path}' INTO TABLE test.t")
            cursor.execute("SHOW WARNINGS")
            return count, cursor.fetchall()

    async def scenario(world: World) -> None:
        session = await world.database.session("test")
        await session.execute("CREATE TABLE t (id INT PRIMARY KEY, name VARCHAR(4))")
        count, warnings = await asyncio.to_thread(run, int(world.server.address.rpartition(":")[2]))
        assert count == 601
        assert warnings == (
            ("Warning", 1265, "Data truncated for column 'name' at row 600"),
            ("Warning", 1366, "Incorrect integer value: 'nonsense' for column 'id' at row 601"),
            ("Warning", 1062, "Duplicate entry '1' for key 'PRIMARY'"),
        )
        await session.close()

    play(scenario)


def test_a_client_loads_its_file(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("id,name\n" + "".join(f'{n},"näme ""{n}"""\n' for n in range(1, 1201)))
    good = f"LOAD DATA LOCAL INFILE '{path}' INTO TABLE t FIELDS TERMINATED BY ',' ENCLOSED BY '\"' IGNORE 1 LINES"
    broken = tmp_path / "broken.csv"
    days = "".join(f"{n}\t2026-11-23\n" for n in range(5000, 6500))
    broken.write_text(days + "7\tnonsense\n" + "9999\t2026-11-23\n" * 3)

    async def scenario(world: World) -> None:
        session = await world.database.session("test")
        await session.execute("CREATE TABLE t (id INT PRIMARY KEY, name VARCHAR(40))")
        port = int(world.server.address.rpartition(":")[2])

        async def run(sql: str, **options: object) -> tuple[int, list[tuple[object, ...]]]:
            return await asyncio.to_thread(lambda: load(port, sql, **options))  # type: ignore[arg-type]

        count, rows = await run(good)
        assert (count, len(rows), rows[6]) == (1200, 1200, (7, 'näme "7"'))
        assert (await run(good))[0] == 0  # all there already
        await session.execute("CREATE TABLE days (id INT PRIMARY KEY, day DATE)")
        assert (await run(f"LOAD DATA LOCAL INFILE '{broken}' INTO TABLE days"))[0] == -1292
        assert (await session.execute("SELECT COUNT(*) FROM days")).rows() == [(0,)]  # nothing of it
        assert (await run(f"LOAD DATA LOCAL INFILE '{path}' INTO TABLE nowhere"))[0] == -1146
        assert (await run(good, local_infile=False))[0] == -3948
        assert (await run(f"LOAD DATA LOCAL INFILE '{tmp_path}/nothing' INTO TABLE t"))[0] < 0
        await session.close()

    play(scenario)
