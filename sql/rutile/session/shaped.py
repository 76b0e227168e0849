"""Statements that have a plan by their shape: point statements, short ranges, and INSERT ... VALUES."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from rutile.execution.insert import Inserter, evaluate_rows
from rutile.execution.point import run_constant, run_delete, run_select, run_update
from rutile.execution.range_select import run_range
from rutile.explain.plan_text import text_of_point
from rutile.expressions.compile import UTC, Environment, NotCompilable
from rutile.parse.lexer import Shape, is_point_verb, shape_of
from rutile.parse.table_finder import ViewNamed
from rutile.planner.insert import InsertPlan, OnDuplicate
from rutile.planner.point import ConstantSelect, PointDelete, PointPlan, PointSelect, PointUpdate
from rutile.planner.range_select import RangeSelect
from rutile.planner.shapes import GENERAL, General, ShapePlan, plan_shape
from rutile.session.result import Result
from rutile.session.storage import KvTransaction
from rutile_proto.timestamps import MAX_TIMESTAMP

if TYPE_CHECKING:
    from rutile.session.session import Session

LARGE_INSERT_ROWS = 2_000
"""From so many rows on an INSERT that commits by itself takes turns with others of its kind: side by side they would
all end last, or not before their deadlines. Those within transactions do not wait: they may hold locks."""


class ShapedStatements:
    """Runs the statements of one session that need no planner once their shape is known."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def run(self, shape: Shape) -> Result | None:
        """The result; None if the statement needs the general path."""
        if self._session.stale.is_active:
            return None
        plan = await self._plan(shape)
        if isinstance(plan, General):
            return None
        try:
            return await self._run_plan(plan, shape)
        except NotCompilable:
            return None

    async def known_plan(self, sql: str) -> ShapePlan | None:
        """The plan kept for the shape of this text."""
        shape = shape_of(sql, ())
        if self._session.temporary:
            return None
        catalog = await self._session.shared.catalog.current()
        key = (self._session.database, shape.text if shape is not None else "")
        return self._session.shared.shapes.get(key, catalog.version)

    async def _plan(self, shape: Shape) -> ShapePlan:
        """The shape's plan, from the cache if it was made on the same catalogue."""
        if not is_point_verb(shape.text):
            return GENERAL
        session, shared = self._session, self._session.shared
        catalog = shared.catalog.cached() or await shared.catalog.current()
        key = (session.database, shape.text)
        in_utc = session.zone == UTC and not session.temporary
        known = shared.shapes.get(key, catalog.version) if in_utc else None
        if known is not None:
            session.plan_from_cache = not isinstance(known, General)
            return known
        try:
            plan, version = await session.planned_on(lambda find_table: plan_shape(shape, find_table))
        except ViewNamed:
            return GENERAL
        if in_utc:
            shared.shapes.put(key, version, plan)
        return plan

    async def _run_plan(self, plan: PointPlan | RangeSelect | InsertPlan, shape: Shape) -> Result:
        environment = self._session.environment(shape.values)
        if isinstance(plan, RangeSelect):
            return await self._range_select(plan, environment)
        if not isinstance(plan, InsertPlan):
            self._session.plan_run = lambda: text_of_point(plan, environment)
            return await self.run_point(plan, environment)
        if shape.rows < LARGE_INSERT_ROWS or self._session.holds_locks:
            return await self._insert_shaped(plan, shape, environment)
        async with self._session.shared.large_inserts:
            return await self._insert_shaped(plan, shape, environment)

    async def _insert_shaped(self, plan: InsertPlan, shape: Shape, environment: Environment) -> Result:
        values = evaluate_rows(plan, _row_environments(environment, shape))
        return await self.insert(plan, values, environment)

    async def run_point(self, plan: PointPlan, environment: Environment) -> Result:
        """Run a point plan. Raises NotCompilable as above."""
        match plan:
            case ConstantSelect():
                return run_constant(plan, environment)
            case PointSelect():
                return await self._point_select(plan, environment)
            case PointUpdate():
                return await self._point_change(plan, lambda txn: run_update(plan, txn, environment), environment)
            case PointDelete():
                return await self._point_change(plan, lambda txn: run_delete(plan, txn, environment), environment)

    async def _point_change(
        self,
        plan: PointUpdate | PointDelete,
        run: Callable[[KvTransaction], Awaitable[Result]],
        environment: Environment,
    ) -> Result:
        """A pessimistic transaction locks the keys it names, whether there are rows or not: who deletes a row and
        inserts it again does not meet another who does the same. So it reads them by locking them, unless there is
        more to look for: rows that match, or those that foreign keys lead to."""
        table = plan.finder.table
        locks_all = plan.finder.matches is None

        async def run_and_lock(txn: KvTransaction) -> Result:
            result = await run(txn)
            if self._session.transaction.is_pessimistic and locks_all:
                for key in plan.finder.keys(environment):
                    txn.lock(key)
            return result

        return await self._session.write([table], run_and_lock, names_keys=locks_all and table.links is None)

    async def _point_select(self, plan: PointSelect, environment: Environment) -> Result:
        """Outside a transaction, as of now. One row's newest committed version needs no timestamp. Several rows, or an
        index entry and its row, do: else each is read as of a moment of its own, and two readers may see two writes in
        different orders.
        """
        session = self._session
        if plan.for_update and session.holds_locks:
            names_keys = plan.finder.matches is None
            return await session.lock(lambda txn: _select_for_update(plan, txn, environment), names_keys=names_keys)
        if session.holds_locks:
            txn = await session.transaction.reader(session.mode)
            return (await run_select(plan, txn, environment, txn.start_ts))[0]
        client = session.shared.client
        one_row = plan.finder.index is None and len(plan.finder.keys(environment)) <= 1
        reader = client.snapshot(MAX_TIMESTAMP if one_row else await client.timestamp())
        return (await run_select(plan, reader, environment))[0]

    async def _range_select(self, plan: RangeSelect, environment: Environment) -> Result:
        session = self._session
        if session.variables.get("rutile_read_mode") != "auto" or "tikv" not in session.engines:
            raise NotCompilable("rows are to be read in another way")
        if session.holds_locks:
            txn = await session.transaction.reader(session.mode)
            return await run_range(plan, txn, environment, txn.start_ts)
        ts = await session.shared.client.timestamp()
        return await run_range(plan, session.shared.client.snapshot(ts), environment, ts)

    async def insert(self, plan: InsertPlan, values: Sequence[Sequence[object]], environment: Environment) -> Result:
        """Insert rows of values by `plan`."""

        async def given(_: KvTransaction) -> Sequence[Sequence[object]]:
            return values

        reads_nothing = plan.on_duplicate is OnDuplicate.FAIL and plan.table.links is None
        return await self.insert_rows(plan, given, environment, names_keys=reads_nothing)

    async def insert_rows(
        self,
        plan: InsertPlan,
        rows: Callable[[KvTransaction], Awaitable[Sequence[Sequence[object]]]],
        environment: Environment,
        *,
        names_keys: bool = False,
    ) -> Result:
        """Insert the rows that `rows` gives, asked within the transaction that writes them. `names_keys`: nothing is
        looked for, neither by `rows` nor to insert them."""

        async def body(txn: KvTransaction) -> Result:
            values = await rows(txn)
            transaction = self._session.transaction
            in_place = bool(self._session.variables.get("tidb_constraint_check_in_place"))
            check_now = transaction.is_open and not transaction.is_pessimistic and in_place
            inserter = Inserter(
                plan,
                txn,
                self._session.shared.catalog.ids,
                self._session.sequences.default_values,
                environment,
                check_now=check_now,
            )
            outcome = await inserter.run(values)
            return Result(
                affected_rows=outcome.affected_rows,
                last_insert_id=outcome.last_insert_id,
                warnings=outcome.warnings,
                info=outcome.info,
            )

        return await self._session.write([plan.table], body, names_keys=names_keys)


async def _select_for_update(plan: PointSelect, txn: KvTransaction, environment: Environment) -> Result:
    """The rows, and locks on the keys asked for, whether there are rows or not."""
    result, keys = await run_select(plan, txn, environment, txn.start_ts)
    asked = plan.finder.keys(environment) if plan.finder.matches is None else []
    for key in dict.fromkeys([*keys, *asked]):
        txn.lock(key)
    return result


def _row_environments(environment: Environment, shape: Shape) -> list[Environment]:
    """One environment a row of a multi-row INSERT, each with its own values."""
    if shape.rows == 1:
        return [environment]
    width = len(shape.values) // shape.rows
    return [replace(environment, params=shape.values[at : at + width]) for at in range(0, len(shape.values), width)]
