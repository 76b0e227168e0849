"""The SQL engine of one front-end process.

Database    the catalogue, the plan cache, the DuckDB of this process; makes sessions
Session     one client's state: database, variables, transaction (`session.py`)

database = Database(client, options=DatabaseOptions(single_front_end=True))
await database.start()
session = await database.session("test")
result = await session.execute("SELECT ... WHERE id = ?", (7,))
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TextIO

from rutile.catalog.cache import LEASE_S
from rutile.catalog.catalog import Catalog
from rutile.catalog.temporary import TemporaryIds
from rutile.ddl.worker import DdlWorker
from rutile.execution.query import QueryRunner
from rutile.ingest.abandoned import AbandonedImports
from rutile.planner.query import QueryPlan
from rutile.planner.shapes import ShapePlan
from rutile.privileges.check import NeedsCache
from rutile.privileges.model import INTERNAL, Identity
from rutile.rows.access import TableAccesses
from rutile.session.counters import ServerCounters
from rutile.session.file_access import NOWHERE
from rutile.session.plan_cache import DEFAULT_SIZE, PlanCache
from rutile.session.prompt import PromptPlan
from rutile.session.session import Session
from rutile.session.statement_summary import StatementHistory
from rutile.session.storage import KvClient
from rutile.statistics.changes import ChangeCounts
from rutile.statistics.keeper import StatisticsKeeper
from rutile.statistics.known import KnownStatistics
from rutile_coprocessor.late_executor import LateExecutor

MEMORY_LIMIT_BYTES = 1 << 30
"""What this process's DuckDB may use for merges and local queries."""
DUCKDB_THREADS = 2


def utc_now() -> datetime:
    """The time of day in UTC, without a zone: what DATETIME holds."""
    return datetime.now(UTC).replace(tzinfo=None)


@dataclass(frozen=True)
class DatabaseOptions:
    """How a front end behaves."""

    single_front_end: bool = False
    """No other process changes the catalogue: it is never asked for again, and DROP does not wait."""
    lease_s: float = LEASE_S
    memory_limit_bytes: int = MEMORY_LIMIT_BYTES
    duckdb_threads: int = DUCKDB_THREADS
    plan_cache_size: int = DEFAULT_SIZE
    monotonic: Callable[[], float] = field(default=time.monotonic)
    now: Callable[[], datetime] = field(default=utc_now)
    slow_log: TextIO | None = None
    """Where slow statements are written, as they end."""


class Database:
    """What the sessions of a process share."""

    def __init__(self, client: KvClient, *, options: DatabaseOptions | None = None) -> None:
        self.client = client
        self.options = options or DatabaseOptions()
        self.catalog = Catalog(
            client,
            self.options.monotonic,
            single_front_end=self.options.single_front_end,
            lease_s=self.options.lease_s,
        )
        self.ddl = DdlWorker(client, self.catalog, single_front_end=self.options.single_front_end)
        self.temporary_ids = TemporaryIds(client, single_front_end=self.options.single_front_end)
        self.tables = TableAccesses()
        self.shapes: PlanCache[ShapePlan] = PlanCache(self.options.plan_cache_size)
        self.skeletons: PlanCache[PromptPlan] = PlanCache(self.options.plan_cache_size)
        """Plans of prompt SELECTs by `rutile.parse.skeleton`."""
        self.queries: PlanCache[QueryPlan] = PlanCache(self.options.plan_cache_size)
        self.needs: NeedsCache = PlanCache(self.options.plan_cache_size)
        self.changes = ChangeCounts()
        self.statistics_keeper = StatisticsKeeper(self)
        self.abandoned_imports = AbandonedImports(self)
        self.files = NOWHERE
        """Which files statements may use here."""
        self.detached: dict[asyncio.Task[object], None] = {}
        """Imports that run on without their sessions; they end with this process."""
        self.large_inserts = asyncio.Lock()
        """Held by the one large INSERT that is under way (`rutile.session.shaped`)."""
        self.history = StatementHistory(self.options.now, self.options.slow_log)
        """What has run."""
        self.counters = ServerCounters(self.options.monotonic)
        self.sessions: dict[int, Session] = {}
        """The open ones, by connection id."""
        self._executor = LateExecutor(self.options.memory_limit_bytes, self.options.duckdb_threads)
        self.statistics = KnownStatistics(client)
        self.runner = QueryRunner(client, self._executor.get, self.options.monotonic, self.statistics)
        self._connection_ids = itertools.count(1)

    async def start(self) -> None:
        """Load the catalogue; on a new cluster, make the database `test`."""
        await self.catalog.start()
        await self.ddl.start()
        await self.temporary_ids.start(self.catalog.as_of)
        await self.statistics_keeper.start()
        await self.abandoned_imports.start()

    async def session(
        self, database: str | None = None, identity: Identity = INTERNAL, connection_id: int | None = None
    ) -> Session:
        """A new session of `identity`, in `database` if one is named. Raises 1044, 1049."""
        variables = (await self.catalog.current()).variables
        session = Session(self, connection_id or next(self._connection_ids), identity, variables)
        if identity.is_checked:
            await session.privileges.become(identity)
        if database is not None:
            await session.use(database)
        self.sessions[session.connection_id] = session
        return session

    async def close(self) -> None:
        """Stop the work in the background and close this process's DuckDB. Sessions are to be closed before."""
        for task in self.detached:
            task.cancel()
        await asyncio.gather(*self.detached, return_exceptions=True)
        await self.abandoned_imports.close()
        await self.statistics_keeper.close()
        await self.temporary_ids.close()
        await self.ddl.close()
        await self.catalog.close()
        self._executor.close()
