"""A session: what one client sees of the database, and the way of a statement through the engine.

    execute -> shape_of -> the plan cache ----- a point plan: closures on the client's get and put, no DuckDB
                              | none
                            parse -> dispatch, one arm a kind of statement:
                                     queries and data changes -> planner -> execution
                                     definitions -> catalogue;  SHOW, SET, BEGIN, ...

One statement at a time; `cancel` may be called while one runs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

from rutile import errors
from rutile.catalog.model import CatalogSnapshot
from rutile.errors import SqlError
from rutile.expressions.compile import Environment
from rutile.parse.lexer import shape_of, split_statements
from rutile.parse.other_modes import in_default_mode, split_other
from rutile.parse.parser import parse
from rutile.parse.table_finder import TableFinder
from rutile.privileges.check import SessionPrivileges
from rutile.privileges.model import INTERNAL, Identity
from rutile.rows.access import TableAccess
from rutile.rows.links import with_linked
from rutile.session.counters import Counters, Encryption
from rutile.session.describe import Description, describe
from rutile.session.dispatch import run_statement
from rutile.session.duckdb_door import DuckDbDoor
from rutile.session.prepared_texts import PreparedTexts
from rutile.session.process_list import Activity
from rutile.session.prompt import Prompt
from rutile.session.queries import Queries
from rutile.session.result import Result, SqlWarning
from rutile.session.sequences import SessionSequences
from rutile.session.shaped import ShapedStatements
from rutile.session.stale_reads import StaleReads
from rutile.session.statement_summary import LONGEST_TEXT as MAX_SHAPE_TEXT
from rutile.session.statement_summary import MakePlan, Ran
from rutile.session.storage import KvTransaction
from rutile.session.streams import ResultStream, Streams
from rutile.session.temporary import TemporaryTables
from rutile.session.tracking import SessionChanges
from rutile.session.transactions import TransactionMode, TransactionState, read_only_transaction
from rutile.session.values import session_value
from rutile.session.variables import UNCHANGED, GlobalValues, SessionVariables, zone_name
from rutile_coprocessor.watchdog import CancelToken
from rutile_proto.errors import RutileError

if TYPE_CHECKING:
    from pyarrow import RecordBatch

    from rutile.session.engine import Database

_NAME_ERRORS = (errors.ER_NO_SUCH_TABLE, errors.ER_BAD_DB, errors.ER_BAD_FIELD)
"""What a stale catalogue could be the cause of."""
MAX_DEFINITION_CHANGES = 10
"""How often a statement runs again because a table's definition changed."""
Planned = TypeVar("Planned")
Locked = TypeVar("Locked")
Outcome = TypeVar("Outcome")


class Session:
    """One client's session; made by `Database.session`."""

    def __init__(
        self, database: Database, connection_id: int, identity: Identity = INTERNAL, variables: GlobalValues = UNCHANGED
    ) -> None:
        self.shared = database
        self.connection_id = connection_id
        self.privileges = SessionPrivileges(identity, database.catalog, database.needs)
        self.activity = Activity(database.options.monotonic)
        self.is_killed = False
        self.on_kill: Callable[[], None] = self.cancel
        """What KILL by another session does: the way the client came in ends its connection."""
        self.database: str | None = None
        self.variables = SessionVariables(variables)
        self.counters = Counters()
        self.encryption = Encryption()
        self.tracked = SessionChanges()
        self.prepared_count: Callable[[], int] = lambda: 0
        """How many statements its client has prepared over the protocol."""
        self.transaction = TransactionState(
            database.client, database.catalog, database.tables, database.options.monotonic, database.changes
        )
        self.user_variables: dict[str, object] = {}
        self.prepared = PreparedTexts()
        self.warnings: list[SqlWarning] = []
        self.last_insert_id = 0
        self.row_count = 0
        self.found_rows = 0
        self._shape_text: str | None = None
        """The running statement without its literals."""
        self.plan_run: MakePlan | None = None
        """Tells the plan of the statement under way, once it has run."""
        self.plan_from_cache = False
        """Whether the statement under way has found its plan ready made."""
        self.last_plan_from_cache = False
        """Whether the one before has: @@last_plan_from_cache."""
        self._closed = False
        self._turn = asyncio.Lock()
        self._running: asyncio.Task[object] | None = None
        self._cancelled = False
        self.cancel_token = CancelToken()
        self.shaped = ShapedStatements(self)
        self.prompt = Prompt(self)
        self.queries = Queries(self)
        self.door = DuckDbDoor(self)
        self.stale = StaleReads(self)
        self.sequences = SessionSequences(self)
        self.temporary = TemporaryTables(self)
        self.streams = Streams(self)

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open."""
        return self.transaction.is_open or self.stale.transaction_ts is not None

    async def execute(self, sql: str, params: Sequence[object] = (), dialect: str = "mysql") -> Result:
        """Run one statement; `?` stand for `params`. Raises SqlError.

        In the dialect "duckdb" it is one of those in `rutile.session.duckdb_door`, and its result has DuckDB's types.
        """
        async with self._turn:
            result = await self._attended(sql, lambda: self._execute_on_current(sql, params, dialect))
            self._note(result)
            return result

    async def stream(self, sql: str, params: Sequence[object] = (), dialect: str = "mysql") -> ResultStream:
        """Run one statement, its rows to be taken batch by batch (see `rutile.session.streams`). Raises SqlError."""
        found = await self.result_or_stream(sql, params, dialect)
        return found if isinstance(found, ResultStream) else self.streams.of_result(found)

    async def result_or_stream(
        self, sql: str, params: Sequence[object] = (), dialect: str = "mysql"
    ) -> Result | ResultStream:
        """Run one statement; a stream if its rows can be read in parts, else its result. Raises SqlError."""
        async with self._turn:
            scan = await self._attended(sql, lambda: self.streams.scan(sql, params, dialect))
        return scan or await self.execute(sql, params, dialect)

    async def next_batch(self, stream: ResultStream, sql: str) -> RecordBatch | None:
        """The next batch of a stream, taken as a statement of its own: KILL QUERY finds it. Raises SqlError."""
        async with self._turn:
            return await self._attended(sql, stream.next_batch)

    async def execute_script(self, sql: str) -> list[Result]:
        """Run the statements of a script one after the other, until one raises."""
        return [await self.execute(statement) for statement in self.statements(sql)]

    def statements(self, sql: str) -> list[str]:
        """The statements of a script, cut where the SQL mode of now ends them; empty ones left out."""
        if self.variables.modes.plain_text:
            return split_statements(sql)
        return split_other(sql, self.variables.modes)

    async def describe(self, sql: str) -> Description:
        """The parameters and result columns of one statement, which is not run. Raises SqlError."""
        return await describe(self, in_default_mode(sql, self.variables.modes))

    async def use(self, database: str) -> None:
        """Make `database` the session's. Raises 1049."""
        try:
            await self.privileges.check_database(database)
            self.database = (await self.shared.catalog.get_database(database)).name
            self.tracked.moved()
        except RutileError as error:
            raise errors.from_floor(error) from error

    def cancel(self) -> None:
        """Stop the running statement, which raises 1317; nothing if none runs. Call it on the session's loop.

        A commit that is already under way is not stopped: its statement raises 1317 and takes effect.
        """
        if self._running is not None and not self._cancelled:
            self._cancelled = True
            self.cancel_token.cancel("KILL QUERY")
            self._running.cancel()

    async def close(self) -> None:
        """Roll back what is open. A closed session executes nothing."""
        if not self._closed:
            self.shared.counters.ended.add(self.counters)
        self._closed = True
        if self.shared.sessions.get(self.connection_id) is self:
            del self.shared.sessions[self.connection_id]
        self.door.relations.clear()
        await self.streams.close()
        await self.transaction.rollback()
        await self.temporary.clear()

    @property
    def is_idle(self) -> bool:
        """Whether it could run a statement now."""
        return self._running is None and not self._closed and not self.is_killed

    def answered_promptly(self, sql: str, shape: str, rows: int, seconds: float) -> None:
        """A SELECT was answered outside of `execute` (`rutile.session.prompt`): what is noted of every statement."""
        self.warnings = []
        self.row_count, self.found_rows = -1, rows
        self.last_plan_from_cache = True
        self.plan_run = None
        self.counters.questions += 1
        self.activity.end()
        self._remember(sql, shape, seconds, (rows, 0, 0, 0))

    # --- around a statement ---

    async def _attended(self, sql: str, work: Callable[[], Awaitable[Outcome]]) -> Outcome:
        """Do the work of a statement: where `cancel` and the process list find it, its errors as SqlError, noted."""
        self._start(sql)
        outcome = None
        try:
            outcome = await work()
            return outcome
        except asyncio.CancelledError:
            if not self._cancelled or self._running is None:
                raise
            self._running.uncancel()
            raise self._noted(errors.interrupted()) from None
        except RutileError as error:
            raise self._noted(self._explained(error)) from error
        except SqlError as error:
            self._noted(error)
            raise
        finally:
            self._running = None
            self._record(sql, outcome)
            self.activity.end()

    def _start(self, sql: str) -> None:
        if self._closed or self.is_killed:
            raise SqlError(errors.ER_UNKNOWN, "the session is closed")
        self.counters.questions += 1
        self._cancelled = self.plan_from_cache = False
        self.plan_run = None
        self.cancel_token = CancelToken()
        self._running = asyncio.current_task()
        self.activity.begin(sql)

    def _note(self, result: Result) -> None:
        """What the next statement may ask of this one."""
        if result.info != "SHOW":
            self.warnings = result.warnings
        self.row_count = -1 if result.has_rows else result.affected_rows
        self.found_rows = result.row_count if result.has_rows else 0
        self.last_plan_from_cache = self.plan_from_cache
        self.last_insert_id = result.last_insert_id or self.last_insert_id

    def _record(self, sql: str, outcome: object) -> None:
        """Tell the front end's history of a statement that has ended; without an outcome it failed."""
        shape, self._shape_text = self._shape_text, None
        if shape is None:
            return
        counts = (0, 0, 0, int(outcome is None))
        if isinstance(outcome, Result):
            counts = (outcome.row_count, outcome.affected_rows, len(outcome.warnings), 0)
        self._remember(sql, shape, self.activity.elapsed_s, counts)

    def _remember(self, sql: str, shape: str, seconds: float, counts: tuple[int, int, int, int]) -> None:
        """`counts` are rows sent, rows affected, warnings, failures."""
        shared, who = self.shared, self.privileges.identity
        where, now = self.database or "", shared.options.now()
        ran = Ran(shape, sql, where, who.name, who.host, self.connection_id, now, seconds, *counts)
        slow_s = self.variables.number("tidb_slow_log_threshold") / 1000
        self.counters.count(shape)
        self.counters.slow_queries += int(seconds >= slow_s)
        shared.history.add(ran, slow_s, None if ran.failures else self.plan_run)

    def _noted(self, error: SqlError) -> SqlError:
        """The error, after the notes of the next SHOW WARNINGS have it."""
        self.warnings = [SqlWarning("Error", error.code, error.message)]
        return error

    def _explained(self, error: RutileError) -> SqlError:
        return errors.interrupted() if self._cancelled else errors.from_floor(error)

    def environment(self, params: tuple[object, ...]) -> Environment:
        """What expressions of this statement may ask."""
        return Environment(
            params,
            self.shared.options.now(),
            lambda name: session_value(self, name),
            self.user_variables,
            self.zone,
            self.variables.modes,
        )

    @property
    def zone(self) -> str:
        """The session's time zone; SYSTEM is UTC."""
        return zone_name(str(self.variables.get("time_zone")))

    # --- dispatch ---

    async def _execute_on_current(self, sql: str, params: Sequence[object], dialect: str) -> Result:
        """Run a statement; outside of a transaction again when a definition changed under it: nobody has seen it."""
        within = self.holds_locks
        for _ in range(MAX_DEFINITION_CHANGES):
            try:
                return await self.execute_within(sql, params, dialect)
            except SqlError as error:
                if error.code != errors.ER_SCHEMA_CHANGED or within:
                    raise
                await self.shared.catalog.refresh()
        return await self.execute_within(sql, params, dialect)

    async def execute_within(self, sql: str, params: Sequence[object], dialect: str = "mysql") -> Result:
        """Run one statement as part of the one under way: what EXECUTE stands for."""
        if dialect == "duckdb":
            if self.stale.is_active:
                raise errors.not_supported("reads of the past in DuckDB's dialect")
            return await self.door.run(sql, params)
        if dialect != "mysql":
            raise errors.not_supported(f"the dialect {dialect!r}: there are mysql and duckdb")
        if "@@" in sql:
            self.variables.cluster = (await self.shared.catalog.current()).variables
        sql = in_default_mode(sql, self.variables.modes)
        shape = shape_of(sql, params)
        self._shape_text = sql[:MAX_SHAPE_TEXT] if shape is None else shape.text
        await self.privileges.check(sql, shape, self.database, self.temporary)
        if shape is not None:
            result = await self.shaped.run(shape)
            if result is not None:
                return result
        if not params:
            plan = await self.queries.known_plan(sql)
            if plan is not None:
                return (await self.queries.run_plan(plan))[0]
        return await run_statement(self, parse(sql).statement, sql, self.environment(tuple(params)))

    # --- what statements share ---

    @property
    def autocommit(self) -> bool:
        return bool(self.variables.get("autocommit"))

    @property
    def mode(self) -> TransactionMode:
        """How the variables say that a transaction is opened."""
        values = self.variables
        return TransactionMode(
            pessimistic=values.get("tidb_txn_mode") == "pessimistic",
            read_committed=values.get("transaction_isolation") == "READ-COMMITTED",
            read_only=bool(values.get("transaction_read_only")),
        )

    @property
    def engines(self) -> frozenset[str]:
        """The storages it reads from (tidb_isolation_read_engines)."""
        return frozenset(str(self.variables.get("tidb_isolation_read_engines")).split(","))

    @property
    def holds_locks(self) -> bool:
        """Whether what a statement locks stays locked after it: a transaction is open, or opened by the statement."""
        return self.transaction.is_open or not self.autocommit

    async def write(
        self,
        tables: Sequence[TableAccess],
        body: Callable[[KvTransaction], Awaitable[Result]],
        *,
        names_keys: bool = False,
    ) -> Result:
        """Run a data change: in the open transaction, or in one of its own. Raises 1792 in a read-only session.
        `names_keys`: it reads no keys but those it locks."""
        if self.variables.get("transaction_read_only") or self.stale.forbids_writes:
            raise read_only_transaction()
        tables = with_linked(tables)
        wait_s = self._lock_wait_s
        if self.holds_locks:
            return await self.transaction.run(tables, body, self.mode, wait_s, names_keys=names_keys)
        return await self.transaction.run_alone(
            tables, body, self.mode, self.variables.number("tidb_retry_limit"), wait_s
        )

    async def lock(
        self,
        body: Callable[[KvTransaction], Awaitable[Locked]],
        wait_s: float | None = None,
        *,
        names_keys: bool = False,
    ) -> Locked:
        """Run a statement that reads and locks in the transaction, with `names_keys` only those keys it locks."""
        wait_s = self._lock_wait_s if wait_s is None else wait_s
        return await self.transaction.run_locking(body, self.mode, wait_s, names_keys=names_keys)

    @property
    def _lock_wait_s(self) -> float:
        return float(self.variables.number("innodb_lock_wait_timeout"))

    async def planned(self, make: Callable[[TableFinder], Planned]) -> Planned:
        """Plan on the catalogue, once more on a fresh one if a name was unknown."""
        return (await self.planned_on(make))[0]

    async def planned_on(self, make: Callable[[TableFinder], Planned]) -> tuple[Planned, int]:
        """The same, with the version of the catalogue the plan was made on."""
        catalog = await self.shared.catalog.current()
        try:
            return make(self._finder(catalog)), catalog.version
        except SqlError as error:
            if error.code not in _NAME_ERRORS:
                raise
            fresh = await self.shared.catalog.refresh()
            if fresh.version == catalog.version:
                raise
            return make(self._finder(fresh)), fresh.version

    def _finder(self, catalog: CatalogSnapshot) -> TableFinder:
        return TableFinder(self.temporary.over(catalog), self.shared.tables, self.database, self.zone)
