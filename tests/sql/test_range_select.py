"""Short ranges read row by row: the general path's values and types, at every turn."""

from __future__ import annotations

import asyncio
import random
from collections import Counter

import pytest
from fake_client import FakeClient
from sql_runner import make_database

from rutile.execution import range_select as running
from rutile.planner.range_select import RangeSelect
from rutile.session.result import Result
from rutile.session.session import Session

COLUMNS = {
    "a": "INT NOT NULL", "b": "VARCHAR(10)", "n": "BIGINT UNSIGNED", "d": "DECIMAL(20, 3)", "t": "DATETIME(3)",
    "c": "CHAR(6)", "f": "DOUBLE", "y": "YEAR", "m": "TIME(1)", "x": "VARBINARY(4)",
}  # fmt: skip
VALUES = {
    "a": lambda r: r.randint(-20, 20),
    "b": lambda r: r.choice(["a", "ab", "b", "ä", "z", "", "A"]),
    "n": lambda r: r.choice([0, 1, 7, 1 << 63, (1 << 64) - 1]),
    "d": lambda r: r.choice(["0.001", "-5.500", "99999999999999999.999", "-99999999999999999.999"]),
    "t": lambda r: f"2024-02-{r.randint(10, 28)} 10:00:0{r.randint(0, 9)}.5",
    "c": lambda r: r.choice(["x", "y", "xy", ""]),
    "f": lambda r: r.choice([0.5, -1.25, 3.0]),
    "y": lambda r: r.randint(1990, 2010),
    "m": lambda r: f"0{r.randint(0, 9)}:10:00.5",
    "x": lambda r: r.choice(["\x00", "ab", "a"]),
}  # fmt: skip
SELECTED = [
    "*", "a", "b, a AS bb", "DISTINCT b", "DISTINCT c, a", "COUNT(*)", "COUNT(b)", "SUM(a)", "SUM(d), COUNT(*), MIN(a)",
    "MAX(n)", "MIN(d), MAX(d)", "SUM(n) AS s", "id, t", "DISTINCT t", "m, y, x, f",
]  # fmt: skip
ORDERS = [
    "",
    "",
    " ORDER BY a",
    " ORDER BY b DESC, id",
    " ORDER BY c, a DESC",
    " ORDER BY t, id DESC",
    " ORDER BY n, id",
]


def literal(value: object) -> str:
    return repr(value) if isinstance(value, int | float) else "'" + str(value).replace("'", "''") + "'"


def conditions(r: random.Random) -> str:
    def one(column: str) -> str:
        make = VALUES.get(column, lambda r: r.randint(0, 60))
        first, second = literal(make(r)), literal(make(r))
        return r.choice([
            f"{column} BETWEEN {first} AND {second}", f"{column} = {first}", f"{column} IN ({first}, {second})",
            f"{column} >= {first} AND {column} < {second}", f"{first} < {column}", f"({column} <= {first})",
        ])  # fmt: skip

    column = r.choice(["id", "id", "a", "b", "n", "t"])
    made = one(column)
    if r.random() < 0.3:
        made = f"({made}) OR ({one(column)})"
    if r.random() < 0.4:
        made = f"({made}) AND {one(r.choice(list(COLUMNS)))}"
    return made


async def filled(rows: int = 60) -> tuple[Session, object]:
    database = make_database(FakeClient())
    await database.start()
    session = await database.session("test")
    columns = ", ".join(f"{name} {kind}" for name, kind in COLUMNS.items())
    await session.execute(
        f"CREATE TABLE t (id INT PRIMARY KEY, {columns}, KEY ka (a), KEY kb (b, a), UNIQUE KEY kn (n, id), KEY kt (t))"
    )
    r = random.Random(3)
    for number in range(rows):
        values = ["NULL" if name != "a" and r.random() < 0.15 else literal(make(r)) for name, make in VALUES.items()]
        await session.execute(f"INSERT INTO t VALUES ({number}, {', '.join(values)})")
    return session, database


async def closed(session: Session, database: object) -> None:
    await session.close()
    await database.close()  # type: ignore[attr-defined]


async def both(session: Session, sql: str) -> tuple[Result, Result]:
    """(the general path's result, the range path's)."""
    await session.execute("SET rutile_read_mode = 'local'")
    general = await session.execute(sql)
    await session.execute("SET rutile_read_mode = 'auto'")
    return general, await session.execute(sql)


@pytest.mark.parametrize("is_prompt", [False, True])
def test_ranges_give_what_the_general_path_gives(is_prompt: bool) -> None:
    async def main() -> None:
        session, database = await filled()
        session.shared.client.prompt = is_prompt  # type: ignore[attr-defined]
        r, planned = random.Random(f"ranges {is_prompt}"), 0
        for number in range(150):
            if number == 100:  # own writes in the way
                await session.execute("BEGIN")
                await session.execute("UPDATE t SET b = 'own', a = a + 1 WHERE id < 20")
                await session.execute("DELETE FROM t WHERE id IN (30, 31)")
            selected, order = r.choice(SELECTED), r.choice(ORDERS)
            if "(" in selected or "DISTINCT" in selected:
                order = ""
            sql = f"SELECT {selected} FROM t WHERE {conditions(r)}{order}"
            general, ranged = await both(session, sql)
            assert ranged.columns == general.columns, sql
            assert Counter(ranged.rows()) == Counter(general.rows()), sql
            if order and "id" in order:
                assert ranged.rows() == general.rows(), sql
            planned += isinstance(await session.shaped.known_plan(sql), RangeSelect)
        assert planned > 100
        await closed(session, database)

    asyncio.run(main())


def test_long_ranges_are_left_to_the_general_path_and_not_tried_again_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "MAX_ROWS", 10)

    async def main() -> None:
        session, database = await filled(30)
        plan = None
        for number, last in enumerate([5, 25, *[5] * running.PAUSE, 5]):
            sql = f"SELECT COUNT(*) FROM t WHERE id BETWEEN 0 AND {last}"
            assert (await session.execute(sql)).rows() == [(last + 1,)]
            plan = await session.shaped.known_plan(sql)
            assert isinstance(plan, RangeSelect)
            assert plan.patience.pause == (0 if number == 0 else max(0, running.PAUSE + 1 - number))
        await closed(session, database)

    asyncio.run(main())


def test_what_is_more_than_a_range_has_no_range_plan() -> None:
    async def main() -> None:
        session, database = await filled(3)
        for sql in (
            "SELECT a + 1 FROM t WHERE id > 1", "SELECT a FROM t", "SELECT a FROM t WHERE id > 1 GROUP BY a",
            "SELECT AVG(a) FROM t WHERE id > 1", "SELECT SUM(f) FROM t WHERE id > 1",
            "SELECT a FROM t WHERE id > 1 FOR UPDATE",
            "SELECT DISTINCT f FROM t WHERE id > 1", "SELECT a FROM t WHERE id > 1 ORDER BY f",
            "SELECT MIN(b) FROM t WHERE id > 1",
            "SELECT x.a FROM t x JOIN t y ON x.id = y.id WHERE x.id > 1", "SELECT a FROM t WHERE id > (SELECT 1)",
            "SELECT a FROM t USE INDEX (ka) WHERE a > 1", "SELECT COUNT(DISTINCT a) FROM t WHERE id > 1",
            "SELECT a FROM t WHERE id > 1 LIMIT 1 OFFSET 1", "SELECT COUNT(*), a FROM t WHERE id > 1",
        ):  # fmt: skip
            try:
                await session.execute(sql)
            except Exception as error:
                assert "ONLY_FULL_GROUP_BY" in str(error) or "GROUP BY" in str(error), (sql, error)
            assert not isinstance(await session.shaped.known_plan(sql), RangeSelect), sql
        await closed(session, database)

    asyncio.run(main())
