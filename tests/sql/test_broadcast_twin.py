"""Joins by every way there is give one answer: whole in one store, broadcast, filtered by each other's keys, here."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from fake_client import FakeClient
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from sql_runner import make_database

from rutile.session.session import Session

TABLES = (
    "CREATE TABLE big (id INT PRIMARY KEY, k INT, t VARCHAR(10), v DECIMAL(12, 2), KEY i_k (k))",
    "CREATE TABLE small (id INT PRIMARY KEY, k BIGINT, t VARCHAR(20), n INT UNSIGNED)",
    "CREATE TABLE other (id INT PRIMARY KEY, n BIGINT, d DATE)",
)
QUERIES = (
    "SELECT {hint} s.t, SUM(b.v), COUNT(*), AVG(b.v) FROM big b JOIN small s ON b.k = s.k GROUP BY s.t",
    "SELECT {hint} COUNT(*), MAX(s.n) FROM big b, small s WHERE b.t = s.t AND s.n > 1",
    "SELECT {hint} b.id, s.n, o.d FROM big b JOIN small s ON s.k = b.k JOIN other o ON o.n = s.n WHERE o.id < 3",
    "SELECT {hint} b.id, s.id FROM big b LEFT JOIN small s ON s.k = b.k AND s.n > 1",
    "SELECT {hint} s.id, COUNT(b.id), SUM(b.v) FROM small s LEFT JOIN big b ON s.k = b.k GROUP BY s.id",
    "SELECT {hint} b.id, s.id FROM small s RIGHT JOIN big b ON s.k <=> b.k WHERE b.v > 2",
    "SELECT {hint} COUNT(*) FROM big b WHERE b.k IN (SELECT {hint} s.k FROM small s WHERE s.n > 0)",
    "SELECT {hint} COUNT(*), SUM(b.v) FROM big b WHERE b.k NOT IN (SELECT {hint} s.k FROM small s)",
    "SELECT {hint} COUNT(*) FROM big b WHERE EXISTS (SELECT {hint} 1 FROM small s WHERE s.t = b.t)",
    "SELECT {hint} b.id FROM big b WHERE NOT EXISTS (SELECT {hint} 1 FROM small s WHERE s.k = b.k AND s.n > b.v)",
    "SELECT {hint} b.id FROM big b WHERE b.v > (SELECT {hint} AVG(s.n) FROM small s WHERE s.k = b.k)",
    "SELECT {hint} q.m, COUNT(*) FROM big b JOIN (SELECT {hint} s.k, MAX(s.n) AS m FROM small s GROUP BY s.k) q"
    " ON q.k = b.k GROUP BY q.m HAVING COUNT(*) > 1",
    "SELECT {hint} b.id, s.n FROM big b JOIN small s ON b.k = s.k ORDER BY b.v DESC, b.id, s.id LIMIT 3",
    "SELECT {hint} COUNT(DISTINCT b.t), STDDEV(b.v) FROM big b JOIN small s ON b.k = s.k WHERE s.id = 1",
    "SELECT {hint} COUNT(*) FROM small s JOIN small t ON s.k = t.n JOIN big b ON b.k = t.k",
)
key = st.none() | st.integers(-1, 4)
text = st.none() | st.sampled_from(["a", "A", "a ", "b", ""])
big_rows = st.lists(st.tuples(key, text, st.none() | st.integers(-3, 9)), min_size=20, max_size=40)
small_rows = st.lists(st.tuples(key, text, st.none() | st.integers(0, 4)), max_size=5)
other_rows = st.lists(st.tuples(key, st.none() | st.sampled_from(["2026-01-01", "2026-02-03"])), max_size=4)


def values(rows: Sequence[tuple[object, ...]]) -> str:
    def literal(value: object) -> str:
        return "NULL" if value is None else f"'{value}'" if isinstance(value, str) else str(value)

    return ", ".join(f"({number}, {', '.join(map(literal, row))})" for number, row in enumerate(rows))


async def answer(session: Session, sql: str) -> list[tuple[object, ...]]:
    rows = (await session.execute(sql)).rows()
    rounded = [tuple(float(f"{each:.9g}") if isinstance(each, float) else each for each in row) for row in rows]
    return rounded if "ORDER BY" in sql else sorted(rounded, key=repr)


async def compare(session: Session, client: FakeClient) -> dict[str, int]:
    """How often each way was taken."""
    taken = {"broadcast": 0, "keys": 0}
    for query in QUERIES:
        plain = query.replace("{hint} ", "")
        await session.execute("SET rutile_read_mode = 'local'")
        expected = await answer(session, plain)
        for mode in ("auto", "per_store"):
            await session.execute(f"SET rutile_read_mode = '{mode}'")
            assert await answer(session, plain) == expected, (mode, plain)
        client.calls.fragments.clear()
        assert await answer(session, query.replace("{hint}", "/*+ BROADCAST_JOIN(s, o) */")) == expected, query
        taken["broadcast"] += any("test.small" in sql and "test.big" in sql for _, sql in client.calls.fragments)
        await session.execute("SET tidb_broadcast_join_threshold_size = 0")
        client.calls.fragments.clear()
        assert await answer(session, plain) == expected, plain
        taken["keys"] += any("rutile_keys" in sql for _, sql in client.calls.fragments)
        await session.execute("SET tidb_broadcast_join_threshold_size = DEFAULT")
    return taken


@given(big=big_rows, small=small_rows, other=other_rows, written=small_rows)
@settings(max_examples=3, deadline=None, phases=[Phase.generate])
def test_every_way_to_join_gives_the_same(
    big: list[tuple[object, ...]],
    small: list[tuple[object, ...]],
    other: list[tuple[object, ...]],
    written: list[tuple[object, ...]],
) -> None:
    async def run() -> None:
        client = FakeClient()
        database = make_database(client)
        await database.start()
        session = await database.session("test")
        for statement in TABLES:
            await session.execute(statement)
        for name, rows in (("big", big), ("small", small), ("other", other)):
            if rows:
                await session.execute(f"INSERT INTO {name} VALUES {values(rows)}")
        await session.execute("ANALYZE TABLE big, small, other")
        client.whole_possible = False
        taken = await compare(session, client)
        assert taken["broadcast"] >= 10
        await session.execute("BEGIN")
        await session.execute("DELETE FROM small WHERE id < 2")
        for number, row in enumerate(written):
            await session.execute(f"INSERT INTO small VALUES {values([row]).replace('(0', f'({100 + number}', 1)}")
        await compare(session, client)
        await session.execute("ROLLBACK")
        await session.close()
        await database.close()

    asyncio.run(run())


def test_keys_of_a_small_table_prune_a_large_one() -> None:
    async def run() -> None:
        client = FakeClient(whole_possible=True)
        database = make_database(client)
        await database.start()
        session = await database.session("test")
        for statement in TABLES:
            await session.execute(statement)
        await session.execute(f"INSERT INTO big VALUES {values([(at, str(at % 7), 1) for at in range(500)])}")
        await session.execute(f"INSERT INTO small VALUES {values([(at * 9, 'x', at) for at in range(40)])}")
        await session.execute("ANALYZE TABLE big, small")
        client.whole_possible = False
        query = "SELECT COUNT(*) FROM big b JOIN small s ON b.k = s.k WHERE s.n < 3"
        client.calls.fragments.clear()
        assert (await session.execute(query)).rows() == [(3,)]
        assert sum("test.small" in sql and "test.big" in sql for _, sql in client.calls.fragments) == 1
        await session.execute("SET tidb_broadcast_join_threshold_size = 0, rutile_read_mode = 'per_store'")
        shown = (await session.execute(f"EXPLAIN ANALYZE {query}")).rows()
        assert any("runtime filter:[IN] k <- small.k" in str(row[5]) for row in shown)
        reader = next(row for row in shown if "StoreReader" in str(row[0]) and "big" in str(row[3]))
        assert reader[1] == "3"
        await session.close()
        await database.close()

    asyncio.run(run())
