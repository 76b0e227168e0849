"""ANALYZE TABLE and what follows from it, on the real stack in this process."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from rutile.errors import SqlError
from rutile.execution import index_read
from rutile.nodes.embedded import EmbeddedNode
from rutile.session.session import Session

ROWS = 3_000
TABLE = "CREATE TABLE t (id INT PRIMARY KEY, kind VARCHAR(20), n INT, d DATE, doc JSON, KEY k_kind (kind), KEY k_n (n))"


def _row(i: int) -> str:
    kind = "rare" if i % 1000 == 0 else "often"
    return f"({i}, '{kind}', {i % 300}, '2026-01-{1 + i % 28:02}', NULL)"


def with_session(body: Callable[[EmbeddedNode, Session], Awaitable[None]], rows: int = ROWS) -> None:
    async def run() -> None:
        node = await EmbeddedNode.open(None)
        try:
            await node.database.statistics_keeper.close()  # it looks when a test tells it to
            session = await node.database.session("test")
            await session.execute(TABLE)
            for start in range(0, rows, 500):
                listed = ", ".join(_row(i) for i in range(start, start + 500))
                await session.execute(f"INSERT INTO t VALUES {listed}")
            await body(node, session)
            await session.close()
        finally:
            await node.close()

    asyncio.run(run())


async def rows(session: Session, sql: str) -> list[tuple[object, ...]]:
    return (await session.execute(sql)).rows()


async def estimates(session: Session, query: str) -> dict[str, str]:
    """estRows of EXPLAIN by operator."""
    plan = await rows(session, f"EXPLAIN {query}")
    return {str(row[0]).strip("└─├│ ").split("_")[0]: str(row[1]) for row in plan}


def test_analyze_counts_rows_values_and_nulls() -> None:
    async def body(node: EmbeddedNode, session: Session) -> None:
        assert await rows(session, "SHOW STATS_META") == []
        done = await session.execute("ANALYZE TABLE t")
        assert [warning.message for warning in done.warnings] == [f"Analyzed test.t: {ROWS} rows, {ROWS} sampled"]
        ((_, _, _, _, changed, count),) = await rows(session, "SHOW STATS_META")
        assert (changed, count) == (0, ROWS)
        sizes = "SELECT table_rows, avg_row_length, data_length FROM information_schema.tables WHERE table_name = 't'"
        ((table_rows, row_bytes, data_bytes),) = await rows(session, sizes)
        assert table_rows == ROWS and int(str(row_bytes)) > 8 and data_bytes == ROWS * int(str(row_bytes))
        ((*_, shown_rows, shown_bytes),) = [row[:6] for row in await rows(session, "SHOW TABLE STATUS LIKE 't'")]
        assert (shown_rows, shown_bytes) == (str(ROWS), str(row_bytes))
        shown = {row[3]: (row[6], row[7]) for row in await rows(session, "SHOW STATS_HISTOGRAMS")}
        assert shown["kind"] == (2, 0)
        assert "doc" not in shown
        assert 250 <= int(str(shown["n"][0])) <= 350
        assert abs(int(str(shown["id"][0])) - ROWS) < ROWS / 5
        top = {(row[3], row[5]): row[6] for row in await rows(session, "SHOW STATS_TOPN")}
        assert top["kind", "often"] == ROWS - 3
        assert top["kind", "rare"] == 3
        buckets = [row for row in await rows(session, "SHOW STATS_BUCKETS") if row[3] == "id"]
        assert buckets[-1][6] == ROWS
        assert 60 <= len(buckets) <= 65
        await session.execute("ANALYZE TABLE t COLUMNS n WITH 4 BUCKETS, 0 TOPN")
        assert {row[3] for row in await rows(session, "SHOW STATS_BUCKETS")} == {"n"}
        assert [row[7] for row in await rows(session, "SHOW ANALYZE STATUS")] == ["finished", "finished"]
        await session.execute("DROP STATS t")
        assert await rows(session, "SHOW STATS_META") == []

    with_session(body)


def test_explain_tells_what_statistics_let_expect() -> None:
    async def body(node: EmbeddedNode, session: Session) -> None:
        query = "SELECT COUNT(*) FROM t WHERE d = '2026-01-03'"
        assert (await estimates(session, query))["TableFullScan"] == "N/A"
        await session.execute("ANALYZE TABLE t")
        found = await estimates(session, query)
        assert float(found["TableFullScan"]) == ROWS
        assert float(found["Selection"]) == pytest.approx(ROWS / 28, rel=0.2)
        found = await estimates(session, "SELECT d, COUNT(*) FROM t WHERE id < 600 GROUP BY d")
        assert float(found["TableRangeScan"]) == pytest.approx(600, rel=0.1)

    with_session(body)


def test_a_hopeless_index_is_not_asked_and_a_good_one_goes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    dives: list[str] = []
    dive = index_read._dive

    async def noted(path: index_read.IndexPath, reader: index_read.KvSnapshot) -> list[index_read.Pair] | None:
        dives.append(path.name)
        return await dive(path, reader)

    monkeypatch.setattr(index_read, "_dive", noted)
    monkeypatch.setattr(index_read, "MAX_LOOKUPS", 100)

    async def body(node: EmbeddedNode, session: Session) -> None:
        often, both = "SELECT d FROM t WHERE kind = 'often'", "SELECT d FROM t WHERE kind = 'often' AND n = 7"
        expected = sorted(await rows(session, both))
        assert len(await rows(session, often)) == ROWS - 3
        assert "k_kind" in dives
        await session.execute("ANALYZE TABLE t")
        dives.clear()
        assert len(await rows(session, often)) == ROWS - 3
        assert dives == []
        assert sorted(await rows(session, both)) == expected
        assert dives == ["k_n"]
        assert len(await rows(session, "SELECT d FROM t WHERE kind = 'rare'")) == 3
        assert dives == ["k_n", "k_kind"]

    with_session(body)


def test_changes_are_counted_and_analyzed_by_themselves() -> None:
    async def body(node: EmbeddedNode, session: Session) -> None:
        keeper, known = node.database.statistics_keeper, node.database.statistics
        table_id = (await node.database.catalog.get_table("test", "t")).table_id
        await keeper.look()  # 3,000 rows written, never analyzed
        assert (known.rows(table_id), known.changed(table_id)) == (ROWS, 0)
        await session.execute("UPDATE t SET n = n + 1 WHERE id < 1000")
        await keeper.look()  # a third changed: less than half
        assert known.changed(table_id) == 1000
        assert (await rows(session, "SHOW STATS_HEALTHY"))[0][3] == 66
        await session.execute("BEGIN")
        await session.execute("DELETE FROM t WHERE id >= 2000")
        await session.execute("ROLLBACK")
        await keeper.look()
        assert known.changed(table_id) == 1000  # what was rolled back did not happen
        await session.execute("DELETE FROM t WHERE id >= 2000")
        await keeper.look()
        assert (known.rows(table_id), known.changed(table_id)) == (2000, 0)
        assert [run.job for run in keeper.runs] == ["auto analyze table"] * 2
        await session.execute("DROP TABLE t")
        assert await rows(session, "SHOW STATS_META") == []

    with_session(body)


@pytest.mark.parametrize(
    ("sql", "code"),
    [
        ("ANALYZE TABLE nowhere", 1146),
        ("ANALYZE TABLE t COLUMNS nothing", 1072),
        ("ANALYZE TABLE t INDEX k_n", 1235),
        ("ANALYZE TABLE t WITH x BUCKETS", 1064),
        ("ANALYZE t", 1064),
        ("DROP STATS nowhere", 1146),
    ],
)
def test_what_cannot_be_analyzed_is_an_error(sql: str, code: int) -> None:
    async def body(node: EmbeddedNode, session: Session) -> None:
        with pytest.raises(SqlError) as raised:
            await session.execute(sql)
        assert raised.value.code == code

    with_session(body, rows=0)
