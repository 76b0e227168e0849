"""How imports end that nobody ends: their process died, or a store has no room; and rows of a query as they come."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from rutile.errors import SqlError
from rutile.ingest.abandoned import end_abandoned
from rutile.ingest.arrow_source import ArrowSource
from rutile.ingest.import_job import ImportJobs, JobStatus
from rutile.ingest.importer import TableImport
from rutile.nodes.embedded import EmbeddedNode
from rutile.session.session import Session
from rutile_kv.server.bulk_service import RESERVED_BYTES
from rutile_proto.errors import DiskFull

BATCH_ROWS, BATCHES = 10_000, 4
SCHEMA = pa.schema([("id", pa.int64()), ("filler", pa.string())])


def batches(fails: bool = False) -> Iterator[pa.RecordBatch]:
    noise = np.random.default_rng(3)
    for number in range(BATCHES):
        if fails and number == BATCHES - 1:
            raise OSError("the source is gone")
        ids = np.arange(number * BATCH_ROWS, (number + 1) * BATCH_ROWS)
        filler = [bytes(row).hex() for row in noise.integers(0, 255, (BATCH_ROWS, 80), np.uint8)]
        yield pa.record_batch([pa.array(ids), pa.array(filler)], schema=SCHEMA)


class DyingImport(TableImport):
    """What is left of it is what a killed process leaves."""

    async def _give_up(self, error: BaseException) -> None:
        return


def importer(node: EmbeddedNode, kind: type[TableImport] = TableImport, *, fails: bool = False) -> TableImport:
    made = kind(node.database, "test", "t", lambda _: ArrowSource("rows", SCHEMA, batches(fails)))
    made.show_progress = False
    return made


async def dead_import(node: EmbeddedNode) -> int:
    dying = importer(node, DyingImport, fails=True)
    with pytest.raises(OSError, match="gone"):
        await dying.run()
    assert dying.job is not None
    return dying.job.id


def run(folder: Path | None, body: Callable[[EmbeddedNode, Session], Awaitable[None]]) -> None:
    async def main() -> None:
        node = await EmbeddedNode.open(folder)
        try:
            session = await node.database.session("test")
            await session.execute("CREATE TABLE t (id BIGINT PRIMARY KEY, filler VARCHAR(200))")
            await body(node, session)
            await session.close()
        finally:
            await node.close()

    asyncio.run(asyncio.wait_for(main(), 60))


async def rows(session: Session, sql: str) -> list[tuple[object, ...]]:
    return list((await session.execute(sql)).rows())


async def taken_back(node: EmbeddedNode) -> list[int]:
    """What is taken back, as soon as anything is: a job is silent from the next millisecond on."""
    while not (found := await end_abandoned(node.database, 0, 0)):
        await asyncio.sleep(0)
    return found


def test_an_abandoned_import_is_taken_back() -> None:
    async def body(node: EmbeddedNode, session: Session) -> None:
        job_id = await dead_import(node)
        assert await end_abandoned(node.database) == [], "somebody may go on with it yet"
        with pytest.raises(SqlError, match="doesn't exist"):
            await session.execute("SELECT * FROM t")
        assert await taken_back(node) == [job_id]
        assert await rows(session, "SELECT * FROM t") == []
        job = await ImportJobs(node.client).get(job_id)
        assert job.status is JobStatus.FAILED and "abandoned" in job.message
        assert await end_abandoned(node.database, 0, 0) == []
        assert await importer(node).run() == BATCH_ROWS * BATCHES

    run(None, body)


def test_who_ended_an_import_and_died_before_its_rows_were_removed() -> None:
    async def body(node: EmbeddedNode, session: Session) -> None:
        job_id = await dead_import(node)
        await ImportJobs(node.client).end(job_id, JobStatus.CANCELLED, "cancelled by user")
        assert await taken_back(node) == [job_id]
        assert await rows(session, "SELECT * FROM t") == []
        assert (await ImportJobs(node.client).get(job_id)).status is JobStatus.CANCELLED

    run(None, body)


def test_a_full_disk_ends_an_import_and_nothing_else(tmp_path: Path) -> None:
    async def body(node: EmbeddedNode, session: Session) -> None:
        before = node.store.servicer.free_bytes
        left = iter([RESERVED_BYTES * 2, RESERVED_BYTES * 2])
        node.store.servicer.free_bytes = lambda: next(left, RESERVED_BYTES)
        full = importer(node)
        with pytest.raises(DiskFull, match="free space"):
            await full.run()
        assert full.job is not None
        job = await ImportJobs(node.client).get(full.job.id)
        assert job.status is JobStatus.FAILED and "disk full" in job.message
        assert await rows(session, "SELECT * FROM t") == []
        await session.execute("INSERT INTO t VALUES (1, 'room for this there is')")
        await session.execute("DELETE FROM t")
        node.store.servicer.free_bytes = before
        assert await importer(node).run() == BATCH_ROWS * BATCHES

    run(tmp_path / "db", body)


def test_rows_of_a_query_are_imported_as_they_come() -> None:
    async def body(node: EmbeddedNode, session: Session) -> None:
        assert await importer(node).run() == BATCH_ROWS * BATCHES
        await session.execute("CREATE TABLE u (id BIGINT PRIMARY KEY, filler VARCHAR(200))")
        await session.execute("IMPORT INTO u FROM SELECT id * 2, filler FROM t WHERE id >= 5")
        wanted = await rows(session, "SELECT COUNT(*), SUM(id * 2) FROM t WHERE id >= 5")
        assert await rows(session, "SELECT COUNT(*), SUM(id) FROM u") == wanted
        await session.execute("CREATE TABLE v (id BIGINT PRIMARY KEY)")
        with pytest.raises(SqlError) as twice:
            await session.execute("IMPORT INTO v FROM SELECT id DIV 2 FROM t")
        assert twice.value.code == 1062
        assert await rows(session, "SELECT * FROM v") == []

    run(None, body)
