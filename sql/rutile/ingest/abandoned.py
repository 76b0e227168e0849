"""Import jobs whose process died and that nobody goes on with: ended, and their rows removed, by any front end.

    its file can be read again     `rutile import --resume` has PATIENCE_MS to come
    it cannot                      (a query's rows, Arrow tables) nothing can come: LOST_MS
    it is over, but its table is   whoever ended it died before the rows were removed: LOST_MS after its end
     still hidden

Every front end looks; what they do is harmless when done twice, and ends in transactions that look again.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from rutile.catalog.model import TableState
from rutile.errors import SqlError
from rutile.ingest.import_job import ImportJob, ImportJobs
from rutile.ingest.removal import remove_rows
from rutile_proto.errors import RutileError

if TYPE_CHECKING:
    from rutile.session.engine import Database

LOOK_EVERY_S = 20.0
PATIENCE_MS = 600_000
LOST_MS = 60_000
_log = logging.getLogger(__name__)


class AbandonedImports:
    """Looks for them, in the background."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to look."""
        self._task = asyncio.create_task(self._run(), name="abandoned imports")

    async def close(self) -> None:
        """Stop."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            try:
                await end_abandoned(self._database)
            except (RutileError, SqlError) as error:
                _log.info("abandoned imports are looked for again in %.0f s: %s", LOOK_EVERY_S, error)


async def end_abandoned(database: Database, patience_ms: int = PATIENCE_MS, lost_ms: int = LOST_MS) -> list[int]:
    """End what was abandoned, remove what it left; the jobs that were taken back."""
    jobs = ImportJobs(database.client)
    now_ms = await jobs.now_ms()
    known = await jobs.all()
    taken_back = []
    for job in [*await _ended_now(jobs, known, now_ms, patience_ms, lost_ms), *_over(known, now_ms - lost_ms)]:
        if await _is_hidden(database, job) and not any(_same_table(job, each) for each in known if not each.is_over):
            _log.warning("import job %d into %s.%s is taken back: %s", job.id, job.database, job.table, job.message)
            await remove_rows(database, job)
            taken_back.append(job.id)
    return taken_back


async def _ended_now(
    jobs: ImportJobs, known: list[ImportJob], now_ms: int, patience_ms: int, lost_ms: int
) -> list[ImportJob]:
    """The silent ones, ended; they are taken out of `known`."""
    ended = []
    for job in list(known):
        limit_ms = lost_ms if job.reopen is None else patience_ms
        if job.is_silent(now_ms, limit_ms):
            try:
                ended.append(await jobs.end_silent(job.id, limit_ms))
            except SqlError as error:
                _log.info("import job %d is left alone: %s", job.id, error)
            else:
                known.remove(job)
    return ended


def _over(known: list[ImportJob], before_ms: int) -> list[ImportJob]:
    """Those that ended a while ago, newest first: only the newest can have left something."""
    return [job for job in reversed(known) if job.is_over and job.ended_ms < before_ms]


async def _is_hidden(database: Database, job: ImportJob) -> bool:
    found = (await database.catalog.current()).tables.get((job.database.lower(), job.table.lower()))
    return found is not None and found.state is TableState.IMPORTING


def _same_table(one: ImportJob, other: ImportJob) -> bool:
    return (one.database.lower(), one.table.lower()) == (other.database.lower(), other.table.lower())
