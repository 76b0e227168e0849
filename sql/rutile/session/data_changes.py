"""The general path of a session's data changes: what is found by a query of the transaction that writes is changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rutile.errors import SqlError
from rutile.execution.change import run_change
from rutile.execution.insert import evaluate_rows
from rutile.execution.joined_change import run_joined_change
from rutile.expressions.compile import Environment
from rutile.parse import statements as st
from rutile.planner.change import ChangePlan, plan_delete, plan_update
from rutile.planner.insert import InsertPlan, insert_query, plan_insert, wrong_value_count
from rutile.planner.joined_change import is_joined, plan_joined
from rutile.planner.point import FindTable, NotPoint
from rutile.planner.query import QueryPlan
from rutile.session.result import Result
from rutile.session.storage import KvTransaction

if TYPE_CHECKING:
    from rutile.session.session import Session


class DataChanges:
    """Runs the INSERTs, UPDATEs and DELETEs of one session that need a planner."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def run(self, statement: st.Insert | st.Update | st.Delete, environment: Environment) -> Result:
        """Run one. Raises 1175 for a change of rows that nothing chooses, where sql_safe_updates is on."""
        match statement:
            case st.Insert():
                return await self._insert(statement, environment)
            case _ if self._is_unsafe(statement):
                raise unsafe_change()
            case _ if is_joined(statement):
                return await self._joined_change(statement, environment)
            case st.Update():
                plan = await self._session.planned(lambda find: plan_update(statement, find))
                return await self._change(plan, environment, is_update=True)
            case st.Delete():
                plan = await self._session.planned(lambda find: plan_delete(statement, find))
                return await self._change(plan, environment, is_update=False)

    def _is_unsafe(self, statement: st.Update | st.Delete) -> bool:
        """Whether sql_safe_updates refuses it: a change of rows that neither WHERE nor LIMIT chooses."""
        change = statement.expression
        chosen = change.args.get("where") or change.args.get("limit")
        return bool(self._session.variables.get("sql_safe_updates")) and not chosen

    async def _insert(self, statement: st.Insert, environment: Environment) -> Result:
        def make(find: FindTable) -> InsertPlan:
            try:
                return plan_insert(statement, find)
            except NotPoint:
                return insert_query(statement, find)

        plan = await self._session.planned(make)
        if plan.query is None:
            return await self._session.shaped.insert(plan, evaluate_rows(plan, [environment]), environment)
        query = await self._session.queries.plan(plan.query, environment)
        if len(query.columns) != len(plan.positions):
            raise wrong_value_count(1)
        # The rows are read by the transaction that writes them: in autocommit, again at each attempt.
        return await self._session.shaped.insert_rows(
            plan, lambda txn: self._session.queries.rows(query, txn), environment
        )

    async def insert_query(self, plan: InsertPlan, query: QueryPlan) -> Result:
        """Insert what a planned query gives; it is run by the transaction that writes."""
        environment = self._session.environment(())
        return await self._session.shaped.insert_rows(
            plan, lambda txn: self._session.queries.rows(query, txn), environment
        )

    async def _change(self, plan: ChangePlan, environment: Environment, *, is_update: bool) -> Result:
        query = await self._session.queries.plan(plan.query, environment)

        async def body(txn: KvTransaction) -> Result:
            rows = await self._session.queries.rows(query, txn)
            return await run_change(plan, rows, txn, environment, is_update=is_update)

        return await self._session.write([plan.table], body)

    async def _joined_change(self, statement: st.Update | st.Delete, environment: Environment) -> Result:
        plan = await self._session.planned(lambda find: plan_joined(statement, find))
        query = await self._session.queries.plan(plan.query, environment)
        is_update = isinstance(statement, st.Update)

        async def body(txn: KvTransaction) -> Result:
            rows = await self._session.queries.rows(query, txn)
            return await run_joined_change(plan, rows, txn, environment, is_update=is_update)

        return await self._session.write([each.table for each in plan.tables], body)


def unsafe_change() -> SqlError:
    """1175."""
    message = (
        "You are using safe update mode and you tried to update a table without a WHERE that uses a KEY column."
        " Give a WHERE or a LIMIT, or SET sql_safe_updates = 0"
    )
    return SqlError(1175, message)
