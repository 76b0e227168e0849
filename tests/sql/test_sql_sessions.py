"""What sessions promise beyond single statements: retries, cancelling, deadlines, caches, parameters, results."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import date, datetime, timedelta
from decimal import Decimal

import pyarrow as pa
import pytest
from fake_client import FakeClient, FakeTransaction
from sql_runner import make_database

from rutile.errors import SqlError
from rutile.session.engine import Database
from rutile.session.result import Result, columns_from_schema, rows_of_table
from rutile.session.session import Session
from rutile_proto.errors import RetriesExhausted
from rutile_proto.types import Timestamp

Scenario = Callable[[Database, Session], Awaitable[None]]


def play(scenario: Scenario, client: FakeClient | None = None) -> None:
    """Run a scenario on a fresh database with one session in it."""

    async def run() -> None:
        database = make_database(client or FakeClient())
        await database.start()
        session = await database.session("test")
        try:
            await scenario(database, session)
        finally:
            await session.close()
            await database.close()

    asyncio.run(run())


async def code_of(call: Awaitable[object]) -> int:
    with pytest.raises(SqlError) as caught:
        await call
    return caught.value.code


def test_autocommit_statements_run_again_after_a_conflict() -> None:
    async def scenario(database: Database, session: Session) -> None:
        await session.execute("CREATE TABLE t (id INT PRIMARY KEY, v INT)")
        await session.execute("INSERT INTO t VALUES (1, 0)")
        others = [await database.session("test") for _ in range(5)]
        await asyncio.gather(*(other.execute("UPDATE t SET v = v + 1 WHERE id = 1") for other in others))
        assert (await session.execute("SELECT v FROM t WHERE id = 1")).rows() == [(5,)]
        for other in others:
            await other.close()

    play(scenario)


class AlwaysConflicting(FakeClient):
    """Somebody else commits to every key just before each commit."""

    active = False

    async def begin(self) -> FakeTransaction:
        client = self

        class Transaction(FakeTransaction):
            async def commit(self) -> Timestamp:
                if client.active:
                    for key, _ in self.buffer.items():
                        client.store.put(key, client.store.tick(), b"")
                return await super().commit()

        return Transaction(self, await self.timestamp())


def test_conflicts_without_end_are_told_as_retryable() -> None:
    client = AlwaysConflicting()

    async def scenario(database: Database, session: Session) -> None:
        await session.execute("CREATE TABLE t (v INT)")
        await session.execute("INSERT INTO t VALUES (1)")
        await session.execute("SET tidb_txn_mode = 'optimistic'")
        await session.execute("SET tidb_retry_limit = 3")
        client.active = True
        with pytest.raises(SqlError) as caught:
            await session.execute("INSERT INTO t VALUES (2)")
        assert (caught.value.code, caught.value.retryable) == (9007, True)
        client.active = False
        assert client.calls.commits >= 4

    play(scenario, client)


class Stuck(FakeClient):
    """Fragments never come back; `asked` is set when one arrives."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = asyncio.Event()

    async def run_fragment(self, *_: object) -> None:  # type: ignore[override]
        self.asked.set()
        await asyncio.Event().wait()


def test_cancel_stops_the_running_statement_and_leaves_the_session_usable() -> None:
    client = Stuck()

    async def scenario(database: Database, session: Session) -> None:
        await session.execute("CREATE TABLE t (v INT)")
        session.cancel()  # nothing runs: nothing happens
        running = asyncio.ensure_future(session.execute("SELECT * FROM t"))
        await client.asked.wait()
        session.cancel()
        assert await code_of(running) == 1317
        assert (await session.execute("SELECT 1")).rows() == [(1,)]

    play(scenario, client)


def test_cancelling_the_caller_is_not_an_sql_error() -> None:
    client = Stuck()

    async def scenario(database: Database, session: Session) -> None:
        await session.execute("CREATE TABLE t (v INT)")
        running = asyncio.ensure_future(session.execute("SELECT * FROM t"))
        await client.asked.wait()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

    play(scenario, client)


def test_max_execution_time_ends_queries() -> None:
    async def scenario(database: Database, session: Session) -> None:
        await session.execute("CREATE TABLE t (v INT)")
        assert await code_of(session.execute("SELECT /*+ MAX_EXECUTION_TIME(20) */ * FROM t")) == 3024
        await session.execute("SET max_execution_time = 20")
        assert await code_of(session.execute("SELECT * FROM t")) == 3024
        await session.execute("SET max_execution_time = 60000")
        assert await code_of(session.execute("SELECT /*+ max_execution_time(20) */ * FROM t")) == 3024

    play(scenario, Stuck())


def test_whether_the_plan_was_kept_is_told() -> None:
    async def scenario(database: Database, session: Session) -> None:
        await session.execute("CREATE TABLE t (id INT PRIMARY KEY, v INT, KEY (v))")
        for sql in (
            "SELECT v FROM t WHERE id = {}", "SELECT v FROM t WHERE id BETWEEN {} AND 9",
            "SELECT id FROM t WHERE v = {}",
            "SELECT v FROM t WHERE v IN (1, {})", "UPDATE t SET v = {} WHERE id = 1", "INSERT INTO t VALUES ({}, 1)",
        ):  # fmt: skip
            for number, kept in ((1, 0), (2, 1)):
                await session.execute(sql.format(number))
                assert (await session.execute("SELECT @@last_plan_from_cache")).rows() == [(kept,)], sql
        for kept in (0, 1):  # the general path keeps plans by text
            await session.execute("SELECT COUNT(*), v FROM t GROUP BY v")
            assert (await session.execute("SELECT @@last_plan_from_cache")).rows() == [(kept,)]
        await session.execute("ALTER TABLE t ADD COLUMN w INT")
        await session.execute("SELECT v FROM t WHERE id = 1")
        assert (await session.execute("SELECT @@session.last_plan_from_cache")).rows() == [(0,)]

    play(scenario)


class Unreachable(FakeClient):
    async def run_fragment(self, *_: object) -> None:  # type: ignore[override]
        raise RetriesExhausted("fragment", 1000)


def test_errors_of_the_floors_below_have_codes() -> None:
    async def scenario(database: Database, session: Session) -> None:
        await session.execute("CREATE TABLE t (v INT)")
        assert await code_of(session.execute("SELECT * FROM t")) == 9005

    play(scenario, Unreachable())


def test_plans_are_kept_by_shape_until_the_catalogue_changes() -> None:
    async def scenario(database: Database, session: Session) -> None:
        await session.execute("CREATE TABLE t (id INT PRIMARY KEY, v INT)")
        await session.execute("INSERT INTO t VALUES (1, 10), (2, 20)")
        await session.execute("SELECT v FROM t WHERE id = 1")
        hits = database.shapes.hits
        assert (await session.execute("select v from t where id = 1")).rows() == [(10,)]  # another shape: other text
        assert database.shapes.hits == hits
        assert (await session.execute("SELECT v FROM t WHERE id = 2")).rows() == [(20,)]
        assert (await session.execute("SELECT v FROM t WHERE id = ?", (1,))).rows() == [(10,)]
        assert database.shapes.hits == hits + 2
        await session.execute("DROP TABLE t")
        await session.execute("CREATE TABLE t (v VARCHAR(5), id INT PRIMARY KEY)")
        await session.execute("INSERT INTO t VALUES ('x', 1)")
        assert (await session.execute("SELECT v FROM t WHERE id = 1")).rows() == [("x",)]

    play(scenario)


def test_query_plans_are_kept_by_text_unless_the_session_went_into_them() -> None:
    async def scenario(database: Database, session: Session) -> None:
        await session.execute("CREATE TABLE t (v INT)")
        for _ in range(3):
            await session.execute("SELECT COUNT(*) FROM t")
            await session.execute("SELECT COUNT(*), NOW() FROM t")
        assert database.queries.hits == 2
        assert len(database.queries) == 1

    play(scenario)


VALUES: list[tuple[str, object]] = [
    ("INT", -5),
    ("BIGINT UNSIGNED", (1 << 64) - 1),
    ("DOUBLE", 0.1),
    ("DECIMAL(20, 5)", Decimal("123.45000")),
    ("VARCHAR(20)", 'it\'s \\ "quoted" é'),
    ("VARBINARY(20)", b"\x00\xff'"),
    ("DATE", date(2026, 11, 22)),
    ("DATETIME(6)", datetime(2026, 11, 22, 1, 2, 3, 4)),
    ("TIME(6)", timedelta(hours=-30, microseconds=7)),
    ("INT", None),
]


@pytest.mark.parametrize(("kind", "value"), VALUES, ids=[kind for kind, _ in VALUES])
def test_parameters_come_back_as_they_went_in(kind: str, value: object) -> None:
    async def scenario(database: Database, session: Session) -> None:
        await session.execute(f"CREATE TABLE t (id INT PRIMARY KEY, v {kind})")
        await session.execute("INSERT INTO t VALUES (?, ?)", (1, value))  # closures
        await session.execute("INSERT INTO t SELECT 2 + id - id, ? FROM t", (value,))  # a query with literals
        for query in ("SELECT v FROM t WHERE id = 1", "SELECT v FROM t WHERE id + 0 = 2"):
            result = await session.execute(query)
            assert result.rows() == [(value,)]
            assert rows_of_table(result.arrow()) == [(value,)]
            told = columns_from_schema(result.arrow().schema)
            assert [(each.name, each.type) for each in told] == [(each.name, each.type) for each in result.columns]

    play(scenario)


def test_results_without_rows_keep_their_types() -> None:
    async def scenario(database: Database, session: Session) -> None:
        await session.execute("CREATE TABLE t (id INT PRIMARY KEY, v DECIMAL(5, 1))")
        for query in ("SELECT id, v FROM t WHERE id = 1", "SELECT id, v FROM t"):
            result = await session.execute(query)
            assert [column.type.mysql_name() for column in result.columns] == ["int", "decimal(5,1)"]
            assert result.arrow().schema.types == [pa.int32(), pa.decimal128(5, 1)]

    play(scenario)


def test_scripts_stop_at_the_first_error() -> None:
    async def scenario(database: Database, session: Session) -> None:
        results = await session.execute_script("CREATE TABLE t (v INT); INSERT INTO t VALUES (1); SELECT v FROM t;")
        assert results[-1].rows() == [(1,)]
        assert (
            await code_of(session.execute_script("INSERT INTO t VALUES (2); SELECT nope; INSERT INTO t VALUES (3)"))
            == 1054
        )
        assert (await session.execute("SELECT COUNT(*) FROM t")).rows() == [(2,)]

    play(scenario)


def test_a_closed_session_refuses() -> None:
    async def scenario(database: Database, session: Session) -> None:
        await session.execute("BEGIN")
        await session.close()
        assert not session.in_transaction
        assert await code_of(session.execute("SELECT 1")) == 1105

    play(scenario)


def test_a_session_in_an_unknown_database_is_not_made() -> None:
    async def scenario(database: Database, session: Session) -> None:
        assert await code_of(database.session("nope")) == 1049

    play(scenario)


def test_a_result_without_columns_is_an_empty_table() -> None:
    assert Result(affected_rows=3).arrow().num_columns == 0
    assert Result(affected_rows=3).rows() == []
