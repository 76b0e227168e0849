"""Every aggregate in MySQL's dialect, in one place and in parts: NULLs, empty groups, decimals, great numbers."""

from __future__ import annotations

import asyncio
import math
from decimal import Decimal

import pytest
from fake_client import FakeClient
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from sql_runner import make_database

from rutile.errors import SqlError
from rutile.session.session import Session

TABLE = (
    "CREATE TABLE t (id INT PRIMARY KEY, g INT, i BIGINT, u BIGINT UNSIGNED, d DECIMAL(30, 4), x DOUBLE, s VARCHAR(9),"
    " day DATE)"
)
AGGREGATES = (
    "COUNT(*)", "COUNT(i)", "COUNT(DISTINCT s)", "COUNT(DISTINCT i, s)", "SUM(i)", "SUM(u)", "SUM(d)", "SUM(x)",
    "SUM(DISTINCT d)", "SUM(i * d)", "AVG(i)", "AVG(d)", "AVG(x)", "AVG(DISTINCT i)", "MIN(d)", "MAX(u)", "MIN(s)",
    "MAX(day)", "MIN(x)", "STD(i)", "STDDEV_SAMP(x)", "VAR_POP(d)", "VAR_SAMP(x)", "VARIANCE(i)", "BIT_AND(u)",
    "BIT_OR(i)", "BIT_XOR(u)", "GROUP_CONCAT(DISTINCT s ORDER BY s)", "GROUP_CONCAT(s ORDER BY id SEPARATOR ';')",
    "APPROX_COUNT_DISTINCT(s)", "APPROX_COUNT_DISTINCT(i)", "APPROX_PERCENTILE(i, 50)", "APPROX_PERCENTILE(d, 1)",
    "APPROX_PERCENTILE(day, 90)", "APPROX_PERCENTILE(x, 100)", "APPROX_PERCENTILE(s, 33)",
)  # fmt: skip
IN_PARTS = [each for each in AGGREGATES if "ORDER BY id" not in each]
rows = st.lists(
    st.tuples(
        st.none() | st.integers(0, 2),
        st.none() | st.integers(-9, 9) | st.sampled_from([-(2**63), 2**63 - 1]),
        st.none() | st.integers(0, 9) | st.just(2**64 - 1),
        st.none() | st.decimals(Decimal("-1e20"), Decimal("1e20"), places=4),
        st.none() | st.floats(-1e6, 1e6).map(lambda value: round(value, 3)),
        st.none() | st.sampled_from(["a", "A", "ab", "", "z "]),
        st.none() | st.dates().map(str),
    ),
    max_size=16,
)


def close(mine: object, theirs: object) -> bool:
    if isinstance(mine, float) and isinstance(theirs, float):
        return math.isclose(mine, theirs, rel_tol=1e-9, abs_tol=1e-3)
    return mine == theirs


async def opened(client: FakeClient, data: list[tuple[object, ...]]) -> Session:
    database = make_database(client)
    await database.start()
    session = await database.session("test")
    await session.execute(TABLE)
    for number, row in enumerate(data):
        values = ", ".join("NULL" if each is None else f"'{each}'" for each in row)
        await session.execute(f"INSERT INTO t VALUES ({number}, {values})")
    return session


async def answers(session: Session, mode: str, sql: str) -> list[tuple[object, ...]] | int:
    """The rows, or the error's number."""
    await session.execute(f"SET rutile_read_mode = '{mode}'")
    try:
        return (await session.execute(sql)).rows()
    except SqlError as error:
        return error.code


def same(mine: list[tuple[object, ...]] | int, theirs: list[tuple[object, ...]] | int) -> bool:
    if isinstance(mine, int) or isinstance(theirs, int):
        return mine == theirs
    pairs = zip(mine, theirs, strict=True)
    return all(all(map(close, a, b)) for a, b in pairs)


@given(data=rows)
@settings(max_examples=6, deadline=None, phases=[Phase.generate])
def test_parts_give_what_one_place_gives(data: list[tuple[object, ...]]) -> None:
    async def run() -> None:
        client = FakeClient()
        session = await opened(client, data)
        for aggregate in AGGREGATES:
            for sql in (
                f"SELECT {aggregate} FROM t",
                f"SELECT {aggregate} FROM t WHERE id < 0",
                f"SELECT g, {aggregate} AS a FROM t GROUP BY g ORDER BY g",
            ):
                whole = await answers(session, "whole", sql)
                client.calls.fragments.clear()
                parts = await answers(session, "per_store", sql)
                assert same(parts, whole), (sql, parts, whole)
                is_cut = any("rutile_p0" in text or "rutile_d0" in text for _, text in client.calls.fragments)
                assert is_cut == (aggregate in IN_PARTS), sql
        await session.close()

    asyncio.run(run())


@pytest.mark.parametrize("percent", [1, 25, 50, 99, 100])
def test_a_percentile_in_parts_is_near_the_exact_one(percent: int) -> None:
    count = 6_000

    async def run() -> None:
        client = FakeClient()
        session = await opened(client, [])
        values = [(at * 7_919) % 1_000_003 for at in range(count)]
        for start in range(0, count, 1_000):
            listed = ", ".join(f"({at}, {at % 2}, {values[at]})" for at in range(start, start + 1_000))
            await session.execute(f"INSERT INTO t (id, g, i) VALUES {listed}")
        for group in (0, 1):
            mine = sorted(value for at, value in enumerate(values) if at % 2 == group)
            sql = f"SELECT APPROX_PERCENTILE(i, {percent}), COUNT(*) FROM t WHERE g = {group} OR id < 0 GROUP BY g"
            ((whole, _),) = await answers(session, "whole", sql)  # type: ignore[misc]
            ((parts, _),) = await answers(session, "per_store", sql)  # type: ignore[misc]
            assert whole == mine[math.ceil(len(mine) * percent / 100) - 1]
            assert abs(mine.index(parts) - mine.index(whole)) <= len(mine) / 512 + 2
        await session.close()

    asyncio.run(run())
