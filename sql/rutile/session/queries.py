"""The general path of a session's queries: plan, run, shape the result. `data_changes` has that of what changes."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

import pyarrow as pa
from sqlglot import exp

from rutile import errors
from rutile.catalog.model import CatalogSnapshot
from rutile.execution.join_choice import JoinLimits
from rutile.execution.point import run_constant
from rutile.execution.reading import NO_TIMEOUT_S, ReadContext, RunFacts
from rutile.explain.explain import explain_query
from rutile.explain.plan_text import text_of_query
from rutile.expressions.compile import UTC, Environment, NotCompilable
from rutile.parse import statements as st
from rutile.parse.table_finder import TableFinder
from rutile.planner.literals import bind
from rutile.planner.names import OutputColumn, TableKey, base_tables, output_columns, qualify_names
from rutile.planner.point import FindTable, NotPoint, plan_constant
from rutile.planner.query import QueryPlan, plan_query
from rutile.planner.views import expand_views
from rutile.rows.access import Row, TableAccess
from rutile.session.current_reads import CurrentView
from rutile.session.data_changes import DataChanges
from rutile.session.locking_reads import KeyQuery, LockWish, SkippingQuery, key_query, take_locks
from rutile.session.query_errors import DECIMAL_OVERFLOW, from_duckdb
from rutile.session.result import Result, SqlWarning, rows_of_table
from rutile.session.result_types import shaped
from rutile.session.storage import KvTransaction
from rutile.session.time_limits import limit_ms
from rutile.show.virtual import is_virtual, virtual_batches, virtual_schema
from rutile_coprocessor.schema import ColumnType, TableSchema
from rutile_proto.errors import FragmentFailed, LockWaitTimeout

if TYPE_CHECKING:
    from rutile.session.session import Session


class Queries:
    """Runs the statements of one session that need a planner."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self.changes = DataChanges(session)

    async def run(self, statement: st.Statement, sql: str | None, environment: Environment) -> Result:
        """Run a query or data change, or explain one. The plan of a query is kept under `sql`."""
        match statement:
            case st.Query(expression, as_of):
                ts = await self._session.stale.moment(as_of, environment)
                if ts is not None:
                    return await self._query_of_the_past(expression, environment, ts)
                return await self._query(expression, sql, environment)
            case st.Insert() | st.Update() | st.Delete():
                return await self.changes.run(statement, environment)
            case st.Explain():
                return await explain_query(self._session, statement, environment)
        raise AssertionError(f"not a query: {statement}")

    # --- queries ---

    async def _query(self, expression: exp.Expr, sql: str | None, environment: Environment) -> Result:
        constant = _constant_result(expression, environment)
        if constant is not None:
            return constant
        wish = take_locks(expression)
        if wish is not None:
            self._check_wish(wish)
            if self._session.holds_locks:
                return await self._locking_query(expression, wish, environment)
            if wish.skips:
                return await self._skipping_alone(expression, wish, environment)
        plan = await self.plan(expression, environment, None if wish is not None else sql)
        result, _ = await self.run_plan(plan)
        return result

    async def _query_of_the_past(self, expression: exp.Expr, environment: Environment, ts: int) -> Result:
        """The result as of a timestamp, by the definitions of then."""
        if take_locks(expression) is not None:
            raise errors.not_supported("SELECT ... FOR UPDATE of the past")
        session = self._session
        catalog = await session.stale.catalog(ts)
        plan = self.plan_of_the_past(expression, environment, catalog)
        rows = await virtual_batches(session, plan.virtual, await session.privileges.visible(catalog))
        context = replace(await self._context(plan, None), ts=ts, virtual=rows)
        try:
            table, _ = await self._run_widening(plan, context)
        except FragmentFailed as error:
            raise from_duckdb(error) from error
        return shaped(table, plan.columns)

    def plan_of_the_past(self, expression: exp.Expr, environment: Environment, catalog: CatalogSnapshot) -> QueryPlan:
        """The plan of a query on definitions of some moment."""
        session = self._session
        bound, _ = bind(expression, environment)
        return self._plan(bound, TableFinder(catalog, session.shared.tables, session.database, session.zone))

    async def constant(self, expression: exp.Expr, environment: Environment) -> Result:
        """SELECT expression, which names no tables."""
        plan = await self.plan(exp.select(exp.alias_(expression.copy(), "value")), environment)
        return (await self.run_plan(plan))[0]

    async def _locking_query(self, expression: exp.Expr, wish: LockWish, environment: Environment) -> Result:
        """FOR UPDATE within a transaction: the rows as they are now, once they are locked."""
        session = self._session

        def make(find_table: TableFinder) -> KeyQuery:
            tables, _ = self._tables(expression, find_table)
            return key_query(expression, wish, tables, session.database or "")

        keys = await session.planned(make)
        if wish.skips:
            return await self._skipping_query(SkippingQuery(bind(expression, environment)[0], keys), environment)
        locked = await self.plan(keys.query, environment) if keys.tables else None
        plan = await self.plan(expression, environment)

        async def body(txn: KvTransaction) -> pa.Table:
            if locked is not None:
                for key in keys.keys(await self.rows(locked, txn)):
                    txn.lock(key)
            return (await self._read(plan, txn))[0]

        try:
            table = await session.lock(body, wish.wait_s)
        except LockWaitTimeout as error:
            raise wish.explained(error) from error
        return shaped(table, plan.columns)

    def _check_wish(self, wish: LockWish) -> None:
        """Raises 1235 for locks that are shared and may not be promoted, and for SKIP LOCKED without locks."""
        if wish.shared and not self._session.variables.get("tidb_enable_shared_lock_promotion"):
            raise errors.not_supported("SELECT ... FOR SHARE without tidb_enable_shared_lock_promotion")

    async def _skipping_alone(self, expression: exp.Expr, wish: LockWish, environment: Environment) -> Result:
        """SKIP LOCKED in autocommit: a transaction of its own, which shows what is free and keeps nothing."""
        session = self._session
        await session.transaction.begin(replace(session.mode, pessimistic=True))
        try:
            return await self._locking_query(expression, wish, environment)
        finally:
            await session.transaction.rollback()

    async def _skipping_query(self, skipping: SkippingQuery, environment: Environment) -> Result:
        """SKIP LOCKED within a transaction: of the rows as they are now, those that could be locked at once."""
        candidates = await self.plan(skipping.candidates, environment)

        async def body(txn: KvTransaction) -> Result:
            if not isinstance(txn, CurrentView):
                raise errors.not_supported("SKIP LOCKED in an optimistic transaction")
            query = await skipping.lock_free(await self.rows(candidates, txn), txn)
            plan = await self.plan(query, environment)
            return shaped((await self._read(plan, txn))[0], plan.columns)

        return await self._session.lock(body)

    async def known_plan(self, sql: str) -> QueryPlan | None:
        """The plan of a query of the same text, made on the same catalogue."""
        session = self._session
        if session.zone != UTC or session.stale.is_active or not session.variables.modes.full_group_by:
            return None
        if session.temporary:
            return None
        catalog = await self._session.shared.catalog.current()
        plan = self._session.shared.queries.get((self._session.database, sql), catalog.version)
        session.plan_from_cache = plan is not None
        return plan

    async def plan(self, expression: exp.Expr, environment: Environment, keep_as: str | None = None) -> QueryPlan:
        """The plan of a query; kept under the text `keep_as`, if nothing of the session or its moment went into it."""
        bound, reusable = bind(expression, environment)
        plan, version = await self._session.planned_on(lambda find: self._plan(bound.copy(), find))
        full = self._session.variables.modes.full_group_by
        if reusable and full and keep_as is not None and not self._session.temporary:
            self._session.shared.queries.put((self._session.database, keep_as), version, plan)
        return plan

    def _plan(self, bound: exp.Expr, find_table: TableFinder) -> QueryPlan:
        bound = expand_views(bound, self._session.database, find_table.view)
        tables, virtual = self._tables(bound, find_table)
        session = self._session
        full = session.variables.modes.full_group_by
        return plan_query(bound, tables, virtual, session.database, session.zone, full_group_by=full)

    def _tables(
        self, query: exp.Expr, find_table: FindTable
    ) -> tuple[dict[TableKey, TableAccess], dict[TableKey, TableSchema]]:
        """The stored and the virtual tables that `query` names. Raises 1046, 1049, 1146."""
        tables: dict[TableKey, TableAccess] = {}
        virtual: dict[TableKey, TableSchema] = {}
        for key, node in base_tables(query, self._session.database).items():
            schema = virtual_schema(key)
            if schema is not None:
                virtual[key] = schema
            elif is_virtual(key[0]):
                raise errors.unknown_table(key[0], node.name)
            else:
                tables[key] = find_table(st.TableName(node.name, node.db or None))
        return tables, virtual

    async def output_columns(self, expression: exp.Expr) -> list[OutputColumn]:
        """The columns `expression` would give, its parameters still open. Raises 1052, 1054, 1146."""

        return (await self._qualified(expression))[1]

    async def qualified(self, query: exp.Query) -> exp.Query:
        """The query with its names qualified and its stars spelled out. Raises as above."""
        found = (await self._qualified(query))[0]
        assert isinstance(found, exp.Query)
        return found

    async def _qualified(self, expression: exp.Expr) -> tuple[exp.Expr, list[OutputColumn]]:
        def make(find_table: TableFinder) -> tuple[exp.Expr, list[OutputColumn]]:
            expanded = expand_views(expression.copy(), self._session.database, find_table.view)
            tables, virtual = self._tables(expanded, find_table)
            schemas = {key: access.schema for key, access in tables.items()} | virtual
            named = qualify_names(expanded, schemas, self._session.database)
            return named, output_columns(named, schemas, tables)

        return await self._session.planned(make)

    async def columns_of(self, query: exp.Query) -> list[tuple[str, ColumnType]]:
        """Names and types of the query's columns, told by running it for no rows."""
        empty = query.copy()
        empty.set("limit", exp.Limit(expression=exp.Literal.number(0)))
        plan = await self.plan(empty, self._session.environment(()))
        result, _ = await self.run_plan(plan)
        return [(column.name, column.type) for column in result.columns]

    async def run_plan(self, plan: QueryPlan) -> tuple[Result, RunFacts]:
        """Run a query as the session's transaction and variables have it."""
        txn = await self.reading_transaction()
        plan = plan.on_engines(self._session.engines)
        table, facts = await self._read(plan, txn, time_limited=True)
        self._session.plan_run = lambda: text_of_query(plan, facts)
        result = Result.of_table(table) if plan.dialect == "duckdb" else shaped(table, plan.columns)
        result.warnings += [SqlWarning("Warning", each.code, each.message) for each in facts.complaints(plan)]
        return result, facts

    async def reading_transaction(self) -> KvTransaction | None:
        """What a query of the session reads from; None outside of transactions: a new timestamp."""
        session = self._session
        if session.transaction.is_open or not session.autocommit:
            return await session.transaction.reader(session.mode)
        return None

    async def expected(self, plan: QueryPlan) -> RunFacts:
        """How the query would be run now, as far as that can be told."""
        context = await self._context(plan, await self.reading_transaction())
        return await self._session.shared.runner.expected(plan, context)

    async def _context(self, plan: QueryPlan, txn: KvTransaction | None, limit_ms: int = 0) -> ReadContext:
        session = self._session
        return ReadContext(
            ts=txn.start_ts if txn is not None else await session.shared.client.timestamp() if plan.scans else 0,
            mode=str(session.variables.get("rutile_read_mode")),
            txn=txn,
            virtual=await self._virtual_rows(plan),
            timeout_s=limit_ms / 1000 if limit_ms else NO_TIMEOUT_S,
            cancel=session.cancel_token,
            engines=session.engines,
            join_limits=JoinLimits(
                session.variables.number("tidb_broadcast_join_threshold_size"),
                session.variables.number("tidb_broadcast_join_threshold_count"),
            ),
        )

    async def _virtual_rows(self, plan: QueryPlan) -> dict[TableKey, pa.RecordBatch]:
        """What information_schema and its like show this session."""
        if not plan.virtual:
            return {}
        visible = await self._session.privileges.visible(await self._session.shared.catalog.current())
        return await virtual_batches(self._session, plan.virtual, visible)

    async def _read(
        self, plan: QueryPlan, txn: KvTransaction | None, *, time_limited: bool = False
    ) -> tuple[pa.Table, RunFacts]:
        most_ms = limit_ms(plan.expression, self._session.variables) if time_limited else 0
        context = await self._context(plan, txn, most_ms)
        try:
            async with asyncio.timeout(most_ms / 1000 if most_ms else None):
                return await self._run_widening(plan, context)
        except TimeoutError as error:
            context.cancel.cancel("its time is up")
            raise errors.timed_out() from error
        except FragmentFailed as error:
            raise from_duckdb(error) from error

    async def _run_widening(self, plan: QueryPlan, context: ReadContext) -> tuple[pa.Table, RunFacts]:
        """Run the plan; once more with wide decimals if a product needed more than 18 digits."""
        try:
            return await self._session.shared.runner.run(plan, context)
        except FragmentFailed as error:
            if DECIMAL_OVERFLOW not in str(error) or plan.dialect == "duckdb":
                raise
            return await self._session.shared.runner.run(plan.widened(), context)

    async def rows(self, query: QueryPlan, txn: KvTransaction) -> list[Row]:
        """The rows of a planned query, as `txn` sees them."""
        table, _ = await self._read(query, txn)
        return rows_of_table(table)


def _constant_result(expression: exp.Expr, environment: Environment) -> Result | None:
    """The row of a SELECT without FROM; None if it has one, or needs what only DuckDB knows."""
    if not isinstance(expression, exp.Select) or expression.args.get("from_") is not None:
        return None
    try:
        return run_constant(plan_constant(expression), environment)
    except (NotPoint, NotCompilable):
        return None
