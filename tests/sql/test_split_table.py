"""SPLIT TABLE and SHOW TABLE ... REGIONS on the real stack in this process: the regions are real ones."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as any_

from rutile.errors import SqlError
from rutile.nodes.embedded import EmbeddedNode
from rutile.parse.parser import parse
from rutile.privileges.names import Privilege
from rutile.privileges.needs import Need, needs_of
from rutile.session.engine import Database, DatabaseOptions
from rutile.session.session import Session
from rutile.show import region_borders

sys.path.append(str(Path(__file__).parents[1] / "locks"))

from lock_cluster import stores

Body = Callable[[Session], Awaitable[None]]


def on_a_node(body: Body) -> None:
    async def main() -> None:
        node = await EmbeddedNode.open(None)
        try:
            session = await node.database.session("test")
            await body(session)
            await session.close()
        finally:
            await node.close()

    asyncio.run(asyncio.wait_for(main(), 60))


async def rows(session: Session, sql: str) -> list[tuple[object, ...]]:
    return (await session.execute(sql)).rows()


async def starts(session: Session, what: str) -> list[object]:
    """Where the regions of a table begin, without the table's id; None where that is not in it."""
    found = [str(row[1]) for row in await rows(session, f"SHOW TABLE {what} REGIONS")]
    return [text.split("_", 2)[2] if text.startswith("t_") else None for text in found]


def test_a_table_is_cut_evenly_and_answers_the_same() -> None:
    async def body(session: Session) -> None:
        await session.execute("CREATE TABLE t (id BIGINT PRIMARY KEY, owner VARCHAR(20), amount DECIMAL(10,2))")
        values = ", ".join(f"({number * 500}, 'owner {number % 7}', {number}.25)" for number in range(200))
        await session.execute(f"INSERT INTO t VALUES {values}")
        asked = [
            "SELECT count(*), sum(amount), min(id), max(id) FROM t",
            "SELECT owner, count(*), sum(amount) FROM t GROUP BY owner ORDER BY owner",
            "SELECT id FROM t WHERE id BETWEEN 24000 AND 26000 ORDER BY id",
            "SELECT a.id, b.amount FROM t a JOIN t b ON a.id = b.id WHERE a.owner = 'owner 3' ORDER BY a.id LIMIT 9",
        ]
        before = [await rows(session, sql) for sql in asked]
        assert await rows(session, "SPLIT TABLE t BETWEEN (0) AND (100000) REGIONS 4") == [(4, 1.0)]
        assert await starts(session, "t") == ["r", "r_25000", "r_50000", "r_75000"]
        assert [await rows(session, sql) for sql in asked] == before
        await session.execute("UPDATE t SET amount = amount + 1 WHERE id IN (24500, 25000, 99500)")
        (total,) = await rows(session, "SELECT sum(amount) FROM t")
        assert float(str(total[0])) == float(str(before[0][0][1])) + 3
        assert await rows(session, "SPLIT TABLE t BETWEEN (0) AND (100000) REGIONS 4") == [(0, 1.0)]

    on_a_node(body)


def test_borders_by_values() -> None:
    async def body(session: Session) -> None:
        await session.execute("CREATE TABLE t (id INT PRIMARY KEY)")
        assert await rows(session, "SPLIT TABLE t BY (10), (-5), (5 + 5), (4)") == [(3, 1.0)]
        assert (await starts(session, "t"))[1:] == ["r_-5", "r_4", "r_10"]
        result = await session.execute("SHOW TABLE test.t REGIONS")
        assert [column.name for column in result.columns] == [
            *("REGION_ID", "START_KEY", "END_KEY", "LEADER_ID", "LEADER_STORE_ID", "PEERS", "SCATTERING"),
            *("WRITTEN_BYTES", "READ_BYTES", "APPROXIMATE_SIZE(MB)", "APPROXIMATE_KEYS"),
            *("SCHEDULING_CONSTRAINTS", "SCHEDULING_STATE"),
        ]
        first, second = result.rows()[-2:]
        assert first[2] == second[1]
        assert second[2] == ""
        assert str(second[3]) == second[5]
        assert all(isinstance(figure, int) for figure in second[6:11])
        assert second[11:] == ("", "")
        assert await rows(session, "SPLIT REGION FOR TABLE t BY (1000)") == [(1, 1.0)]

    on_a_node(body)


def test_what_the_placement_driver_knows_of_regions_is_shown() -> None:
    async def body(session: Session) -> None:
        await session.execute("CREATE TABLE t (id INT PRIMARY KEY, name VARCHAR(2000))")
        values = ", ".join(f"({number}, '{'x' * 2000}')" for number in range(600))
        await session.execute(f"INSERT INTO t VALUES {values}")
        await session.execute("SPLIT TABLE t BY (300)")
        async with asyncio.timeout(30):
            while True:
                shown = await rows(session, "SHOW TABLE t REGIONS")
                sizes, keys = [row[9] for row in shown], [row[10] for row in shown]
                if all(sizes) and all(keys):
                    break
                await asyncio.sleep(0.05)
        assert sum(map(int, map(str, keys))) >= 600
        assert [row[6] for row in shown] == [0, 0]

    on_a_node(body)


def test_other_keys() -> None:
    async def body(session: Session) -> None:
        await session.execute("CREATE TABLE named (name VARCHAR(20), part INT, PRIMARY KEY (name, part))")
        await session.execute("INSERT INTO named VALUES ('b', 1), ('m', 2), ('y', 3)")
        assert await rows(session, "SPLIT TABLE named BETWEEN ('a', 0) AND ('z', 0) REGIONS 3") == [(3, 1.0)]
        assert await rows(session, "SPLIT TABLE named BY ('m', 2)") == [(1, 1.0)]
        assert await rows(session, "SELECT name FROM named ORDER BY name") == [("b",), ("m",), ("y",)]
        await session.execute("CREATE TABLE hidden (a INT)")
        assert await rows(session, "SPLIT TABLE hidden BETWEEN (0) AND (9000) REGIONS 3") == [(3, 1.0)]
        assert await starts(session, "hidden") == ["r", "r_3000", "r_6000"]
        await session.execute("CREATE TABLE big (id BIGINT UNSIGNED PRIMARY KEY)")
        await session.execute("SPLIT TABLE big BY (18446744073709551615), (7)")
        assert (await starts(session, "big"))[1:] == ["r_7", "r_18446744073709551615"]

    on_a_node(body)


def test_an_index_has_regions_of_its_own() -> None:
    async def body(session: Session) -> None:
        await session.execute("CREATE TABLE t (id INT PRIMARY KEY, owner VARCHAR(20), n INT, KEY by_owner (owner, n))")
        await session.execute("INSERT INTO t VALUES (1, 'a', 1), (2, 'k', NULL), (3, 'z', 3), (4, NULL, 4)")
        assert await rows(session, "SPLIT TABLE t INDEX by_owner BY ('h'), ('p', 5)") == [(4, 1.0)]
        assert len(await rows(session, "SHOW TABLE t INDEX by_owner REGIONS")) == 3
        assert len(await rows(session, "SHOW TABLE t REGIONS")) == 4
        assert await rows(session, "SELECT id FROM t USE INDEX (by_owner) WHERE owner >= 'b' ORDER BY owner") == [
            (2,),
            (3,),
        ]
        assert await rows(session, "SPLIT TABLE t INDEX by_owner BETWEEN ('a') AND ('z') REGIONS 5") == [(4, 1.0)]
        assert len(await rows(session, "SHOW TABLE t INDEX BY_OWNER REGIONS")) == 7
        assert await rows(session, "SELECT count(*) FROM t WHERE owner IS NULL") == [(1,)]

    on_a_node(body)


def test_regions_of_three_stores() -> None:
    async def main() -> None:
        async with stores(3, 3) as cluster:
            client = cluster.client()
            database = Database(client, options=DatabaseOptions(single_front_end=True))
            await database.start()
            session = await database.session("test")
            await session.execute("CREATE TABLE t (id INT PRIMARY KEY, n INT)")
            values = ", ".join(f"({number * 1000}, {number % 5})" for number in range(60))
            await session.execute(f"INSERT INTO t VALUES {values}")
            ((made, ratio),) = await rows(session, "SPLIT TABLE t BETWEEN (0) AND (60000) REGIONS 6")
            assert made == 6
            assert 0 <= float(str(ratio)) <= 1
            shown = await rows(session, "SHOW TABLE t REGIONS")
            assert [len(str(row[5]).split(", ")) for row in shown] == [3] * 6
            expected = [(n, 12) for n in range(5)]
            assert await rows(session, "SELECT n, count(*) FROM t GROUP BY n ORDER BY n") == expected
            await session.close()
            await database.close()
            await client.close()

    asyncio.run(asyncio.wait_for(main(), 60))


def test_what_is_prepared_has_its_columns() -> None:
    async def body(session: Session) -> None:
        await session.execute("CREATE TABLE t (id INT PRIMARY KEY)")
        for sql, values in (("SPLIT TABLE t BY (?), (?)", [3, 4]), ("SHOW TABLE t REGIONS", [])):
            described = await session.describe(sql)
            result = await session.execute(sql, values)
            assert described.columns == result.columns
            assert len(values) == described.parameters

    on_a_node(body)


@given(any_.binary(max_size=12), any_.binary(max_size=12), any_.integers(1, 40))
def test_borders_by_bytes_rise_between_the_bounds(one: bytes, other: bytes, regions: int) -> None:
    """Every one apart from the others and strictly between, or a refusal."""
    low, high = sorted((one, other))
    split = region_borders.Splittable("t", [], lambda values: b"", (b"", b""), is_index=True)
    if low == high:
        return
    try:
        borders = region_borders._bytes(split, low, high, regions)
    except SqlError as error:
        assert error.code == region_borders.ER_SPLIT_RANGES
        return
    assert len(set(borders)) == regions - 1
    assert borders == sorted(borders)
    assert all(low < border < high for border in borders)


REFUSED = [
    ("SPLIT TABLE t BY (1, 2)", 1136, "row 1"),
    ("SPLIT TABLE t BY (1), ()", 1136, "row 2"),
    ("SPLIT TABLE t INDEX i BY ()", 1136, "row 1"),
    ("SPLIT TABLE t INDEX i BY ('a', 2)", 1136, "row 1"),
    ("SPLIT TABLE t BY ('x')", 1366, "Incorrect integer value"),
    ("SPLIT TABLE t BY (3000000000)", 1264, "Out of range"),
    ("SPLIT TABLE t BY (NULL)", 1048, "cannot be null"),
    ("SPLIT TABLE t BY (id)", 1054, "Unknown column"),
    ("SPLIT TABLE t BY ((SELECT 1))", 1235, "SPLIT TABLE with"),
    ("SPLIT TABLE t BETWEEN (0) AND (100000) REGIONS 0", 1105, "more than 0"),
    ("SPLIT TABLE t BETWEEN (0) AND (100000000) REGIONS 1001", 1105, "limit 1000"),
    ("SPLIT TABLE t BETWEEN (9) AND (9) REGIONS 2", 8212, "less than the upper"),
    ("SPLIT TABLE t BETWEEN (0) AND (1000) REGIONS 2", 8212, "step 500 is invalid"),
    ("SPLIT TABLE t INDEX none BY (1)", 1176, "'none'"),
    ("SHOW TABLE t INDEX none REGIONS", 1176, "'none'"),
    ("SPLIT TABLE missing BY (1)", 1146, "missing"),
    ("SHOW TABLE missing REGIONS", 1146, "missing"),
    ("SPLIT TABLE nowhere.t BY (1)", 1049, "nowhere"),
]


def test_what_cannot_be_is_refused() -> None:
    async def body(session: Session) -> None:
        await session.execute("CREATE TABLE t (id INT PRIMARY KEY, a VARCHAR(9), KEY i (a))")
        for sql, code, text in REFUSED:
            with pytest.raises(SqlError, match=text) as caught:
                await session.execute(sql)
            assert caught.value.code == code, sql
        assert len(await rows(session, "SHOW TABLE t REGIONS")) == 1

    on_a_node(body)


@pytest.mark.parametrize(
    "sql",
    [
        "SPLIT TABLE t",
        "SPLIT TABLE t BY",
        "SPLIT TABLE t BY (1",
        "SPLIT TABLE t BY (1,)",
        "SPLIT TABLE t BY (1) (2)",
        "SPLIT TABLE t BETWEEN (1) AND (2)",
        "SPLIT TABLE t BETWEEN (1) AND (2) REGIONS x",
        "SPLIT TABLE t BETWEEN (1) AND (2) REGIONS 1.5",
        "SHOW TABLE t",
        "SHOW TABLE t REGIONS 5",
    ],
)
def test_half_a_statement_is_a_syntax_error(sql: str) -> None:
    with pytest.raises(SqlError) as caught:
        parse(sql)
    assert caught.value.code == 1064


@pytest.mark.parametrize("sql", ["SPLIT PARTITION TABLE t BY (1)", "SHOW TABLE t REGIONS WHERE REGION_ID = 1"])
def test_what_is_not_built_says_so(sql: str) -> None:
    with pytest.raises(SqlError) as caught:
        parse(sql)
    assert caught.value.code == 1235


def test_privileges() -> None:
    split, shown = parse("SPLIT TABLE T BY (1)").statement, parse("SHOW TABLE d.t REGIONS").statement
    assert needs_of(split, "test") == (Need((Privilege.INSERT,), "test", "t"),)
    assert needs_of(shown, "test") == (Need((Privilege.SELECT,), "d", "t"),)
