"""The task of a front end that keeps statistics: it writes down what was changed, loads what others analyzed, and
analyzes again the tables that changed too much.

TiDB's rule: a table of at least `MIN_ROWS` is analyzed again once more rows changed than `tidb_auto_analyze_ratio`
(0.5) times those it had; one that was never analyzed, once that many rows were written to it. One front end at a time
does so (`kept.own`); a table that cannot be analyzed now is tried again with the next look.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from rutile.catalog.meta import MetaWriter
from rutile.catalog.model import TableInfo, TableState
from rutile.catalog.ownership import own
from rutile.catalog.transactions import in_transaction
from rutile.errors import SqlError
from rutile.statistics import kept
from rutile.statistics.collect import Wish, collect
from rutile.statistics.model import TableStatistics
from rutile_proto.errors import RutileError

if TYPE_CHECKING:
    from rutile.session.engine import Database

LOOK_EVERY_S = 3.0
"""TiDB's stats-lease."""
MIN_ROWS = 1_000
MAX_SHOWN = 100
"""Runs that SHOW ANALYZE STATUS remembers."""
LAST_WRITE_S = 1.0
"""What a front end that stops waits for its counts to be written down: nothing depends on them."""
_log = logging.getLogger(__name__)


@dataclass(slots=True)
class AnalyzeRun:
    """One run, for SHOW ANALYZE STATUS."""

    database: str
    table: str
    started: datetime
    job: str
    ended: datetime | None = None
    rows: int = 0
    state: str = "running"
    error: str | None = None


class StatisticsKeeper:
    """Collects and keeps statistics for the sessions of a front end."""

    def __init__(self, database: Database, look_every_s: float = LOOK_EVERY_S) -> None:
        self._database = database
        self._look_every_s = look_every_s
        self._name = secrets.token_hex(8)
        self._task: asyncio.Task[None] | None = None
        self.ratio = 0.5
        """`tidb_auto_analyze_ratio`; 0 turns it off."""
        self.enabled = True
        """`tidb_enable_auto_analyze`."""
        self.runs: deque[AnalyzeRun] = deque(maxlen=MAX_SHOWN)

    async def start(self) -> None:
        """Load what is known, then look every few seconds."""
        await self._database.statistics.refresh(self._database.catalog.valid_as_of)
        self._task = asyncio.create_task(self._run(), name="statistics keeper")

    async def close(self) -> None:
        """Stop, and write down what was counted."""
        if self._task is None:
            return
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self._task = None
        try:
            async with asyncio.timeout(LAST_WRITE_S):
                await self._write_changes()
        except (RutileError, TimeoutError) as error:
            _log.info("rows changed since the last look are not counted in the statistics: %s", error)

    async def analyze(self, info: TableInfo, wish: Wish, job: str = "analyze table") -> TableStatistics:
        """Collect and keep a table's statistics. Raises SqlError."""
        now = self._database.options.now
        run = AnalyzeRun(info.schema.database, info.schema.name, now(), job)
        self.runs.append(run)
        try:
            # What is counted so far is in what will be read, and must not count as a change after it.
            await self._write_changes()
            found = await collect(self._database, info, wish)
            await self._change(lambda txn: kept.save(txn, found))
        except BaseException as error:
            run.state, run.error = "failed", str(error) or type(error).__name__
            raise
        finally:
            run.ended = now()
        run.state, run.rows = "finished", found.rows
        await self._database.statistics.refresh()
        return found

    async def drop(self, table_id: int) -> None:
        """Forget a table's statistics."""
        await self._change(lambda txn: kept.drop(txn, table_id))
        await self._database.statistics.refresh()

    async def look(self) -> None:
        """One round: write down, load, and analyze what changed too much, one table."""
        await self._write_changes()
        await self._database.statistics.refresh()
        stale = await self._stale_table() if self.enabled and self.ratio > 0 else None
        if stale is not None and await self._is_ours():
            await self.analyze(stale, Wish(), "auto analyze table")

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self._look_every_s)
            try:
                await self.look()
            except (RutileError, SqlError) as error:
                _log.info("statistics wait for the next look: %s", error)

    async def _stale_table(self) -> TableInfo | None:
        """The table whose statistics are worth the least."""
        known = self._database.statistics
        changed = known.changed_tables()
        if not changed:
            return None
        catalog = await self._database.catalog.current()
        tables = {info.table_id: info for info in catalog.tables.values() if info.state is TableState.PUBLIC}
        worst, found = 1.0, None
        for table_id, count in changed.items():
            rows = known.rows(table_id)
            if table_id not in tables or max(rows or 0, count) < MIN_ROWS:
                continue
            staleness = count / max(1.0, self.ratio * (rows if rows is not None else MIN_ROWS))
            if staleness > worst:
                worst, found = staleness, tables[table_id]
        return found

    async def _is_ours(self) -> bool:
        async def take(txn: MetaWriter) -> bool:
            now = await self._database.client.timestamp()
            return await own(txn, kept.OWNER_KEY, self._name, now, kept.OWNER_LEASE_MS)

        return await in_transaction(self._database.client, take)

    async def _write_changes(self) -> None:
        counts = self._database.changes.take()
        if not counts:
            return
        try:
            await self._change(lambda txn: kept.add_changes(txn, counts))
        except BaseException:
            self._database.changes.give_back(counts)
            raise

    async def _change(self, change: Callable[[MetaWriter], Awaitable[None]]) -> None:
        await in_transaction(self._database.client, change)
