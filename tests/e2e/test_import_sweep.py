"""An importer that dies at any of its steps, before or after the step takes effect, is gone on with or taken back."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.parquet as pa_parquet
import pytest

from rutile.ingest import import_source, loading
from rutile.ingest.import_file import file_opener, reopener
from rutile.ingest.import_job import ImportJobs, JobStatus
from rutile.ingest.importer import TableImport
from rutile.ingest.removal import cancel_job
from rutile.nodes.embedded import EmbeddedNode
from rutile.pep249 import ProgrammingError
from rutile.session.engine import Database, DatabaseOptions

T = TypeVar("T")
ROWS, GROUP = 900, 300
DEFINITION = "(id BIGINT PRIMARY KEY, u BIGINT UNIQUE, word VARCHAR(20), KEY by_word (word))"
EXPECTED = (ROWS, ROWS * (ROWS - 1) // 2, 2 * ROWS * (ROWS - 1) // 2)


class Death(BaseException):
    """Of the process."""


class DyingClient:
    """Goes through `steps` that reach the cluster, and is dead from then on: before the last one, or behind it."""

    def __init__(self, client: Any, steps: int, behind: bool) -> None:
        self._client = client
        self._left = steps
        self._behind = behind

    @property
    def is_dead(self) -> bool:
        return self._left <= 0

    async def step(self, work: Callable[[], Awaitable[T]]) -> T:
        self._left -= 1
        if self._left < 0 or (self._left == 0 and not self._behind):
            raise Death
        result = await work()
        if self._left == 0:
            raise Death
        return result

    async def begin(self, **options: bool) -> DyingTransaction:
        return DyingTransaction(await self._client.begin(**options), self)

    async def bulk_load(self, rows: Any) -> None:
        await self.step(lambda: self._client.bulk_load(rows))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)


class DyingTransaction:
    def __init__(self, txn: Any, client: DyingClient) -> None:
        self._txn = txn
        self._client = client

    async def commit(self) -> Any:
        return await self._client.step(self._txn.commit)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._txn, name)


class DyingImport(TableImport):
    """What is left of it is what a killed process leaves."""

    async def _give_up(self, error: BaseException) -> None:
        return


def front_end(client: Any) -> Database:
    return Database(client, options=DatabaseOptions(single_front_end=True))


async def die(node: EmbeddedNode, file: Path, steps: int, behind: bool) -> bool:
    """Import with a process that dies after so many steps; False if it came to its end before."""
    client = DyingClient(node.client, steps, behind)
    database = front_end(client)
    await database.start()
    dying = DyingImport(database, "test", "t", file_opener(file))
    dying.show_progress = False
    try:
        await dying.run()
    except Death:
        return True
    finally:
        client._left = 1 << 30
        await database.close()
    return False


async def go_on(database: Database, file: Path) -> None:
    """What somebody does who finds the job, or no job."""
    importer = TableImport(database, "test", "t", file_opener(file))
    importer.show_progress = False
    running = [job for job in await ImportJobs(database.client).all() if job.status is JobStatus.RUNNING]
    finished = [job for job in await ImportJobs(database.client).all() if job.status is JobStatus.FINISHED]
    if finished:
        return
    if not running:
        assert await importer.run() == ROWS
        return
    job = await ImportJobs(database.client).take_up(running[0].id, uuid.uuid4().hex, -1)
    again = TableImport(database, "test", "t", reopener(job))
    again.show_progress = False
    try:
        assert await again.resume(job) == ROWS
    except ProgrammingError as error:
        assert "import anew" in str(error)
        assert (await ImportJobs(database.client).get(job.id)).status is JobStatus.FAILED
        assert await importer.run() == ROWS


async def check(database: Database) -> None:
    session = await database.session("test")
    assert (await session.execute("SELECT COUNT(*), SUM(id), SUM(u) FROM t")).rows() == [EXPECTED]
    await session.execute("ADMIN CHECK TABLE t")
    await session.execute("INSERT INTO t VALUES (-1, -1, 'after')")
    await session.execute("DROP TABLE t")
    await session.close()


async def gone_on_with(database: Database, file: Path) -> None:
    await go_on(database, file)
    await check(database)


async def cancelled(database: Database, file: Path) -> None:
    """Nothing is left of it, and the table is there; unless it was over."""
    running = [job for job in await ImportJobs(database.client).all() if job.status is JobStatus.RUNNING]
    session = await database.session("test")
    if running:
        await cancel_job(database, running[0].id)
        assert (await session.execute("SELECT COUNT(*) FROM t")).rows() == [(0,)]
    await session.execute("ADMIN CHECK TABLE t")
    await session.execute("DROP TABLE t")
    await session.close()


@pytest.mark.slow
@pytest.mark.parametrize("behind", [False, True])
@pytest.mark.parametrize("after", [gone_on_with, cancelled])
def test_a_death_at_every_step(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    after: Callable[[Database, Path], Awaitable[None]],
    behind: bool,
) -> None:
    monkeypatch.setattr(loading, "CHECKPOINT_S", 0.0)
    monkeypatch.setattr(import_source, "BATCH_ROWS", GROUP)
    file = tmp_path / "t.parquet"
    ids = pa.array(range(ROWS - 1, -1, -1))
    words = pa.array([f"word {number % 7}" for number in range(ROWS)])
    table = pa.table({"id": ids, "u": pa.array([2 * number for number in range(ROWS - 1, -1, -1)]), "word": words})
    pa_parquet.write_table(table, file, row_group_size=GROUP)

    async def one(steps: int) -> bool:
        node = await EmbeddedNode.open(None)
        database = front_end(node.client)
        try:
            await database.start()
            session = await database.session("test")
            await session.execute(f"CREATE TABLE t {DEFINITION}")
            await session.close()
            dies = await die(node, file, steps, behind)
            await database.catalog.refresh()
            await after(database, file)
        finally:
            await database.close()
            await node.close()
        return dies

    steps = 1
    while asyncio.run(asyncio.wait_for(one(steps), 60)):
        steps += 1
    assert steps > 8, "the import has more steps than that"
