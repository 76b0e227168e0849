"""EXPLAIN and EXPLAIN ANALYZE: which operator runs where, and what running it showed."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from sqlglot import exp

from rutile.execution.reading import RunFacts
from rutile.explain.estimates import note_estimates
from rutile.explain.happened import MAX_SHOWN, note_point, note_query, time_text
from rutile.explain.index_reads import index_node, index_text, table_text
from rutile.expressions.compile import Environment, NotCompilable
from rutile.parse import statements as st
from rutile.parse.mysql_text import mysql_text
from rutile.parse.table_finder import ViewNamed
from rutile.planner.bounds import conjuncts
from rutile.planner.change import plan_delete, plan_update
from rutile.planner.insert import plan_insert
from rutile.planner.joined_change import is_joined, plan_joined
from rutile.planner.point import (
    ConstantSelect,
    KeyFinder,
    NotPoint,
    PointPlan,
    PointSelect,
    plan_point,
)
from rutile.planner.query import QueryPlan
from rutile.planner.scans import ScanPlan
from rutile.planner.tree import ROOT, STORE, PlanNode, operator_tree
from rutile.rows.access import TableAccess
from rutile.session.result import Result, ResultColumn
from rutile_coprocessor.partial import PushPlan
from rutile_coprocessor.schema import ColumnType, Kind

if TYPE_CHECKING:
    from rutile.session.session import Session

_TEXT = ColumnType(Kind.VARCHAR, length=4096)


async def explain_query(session: Session, statement: st.Explain, environment: Environment) -> Result:
    """The plan as rows; with ANALYZE the statement is run (data changes too) and what happened is told beside."""
    explainer = _Explainer(session, environment)
    tree = await explainer.tree(statement.statement, statement.sql, analyze=statement.analyze)
    result = _analyzed(tree) if statement.analyze else _planned(tree)
    result.plan = tree
    return result


async def explain_plan(session: Session, plan: QueryPlan, *, analyze: bool) -> Result:
    """The same for a query that is planned already."""
    tree = await _Explainer(session, session.environment(())).query_tree(plan, analyze)
    result = _analyzed(tree) if analyze else _planned(tree)
    result.plan = tree
    return result


def _planned(tree: PlanNode) -> Result:
    rows = [(name, node.est_rows, node.task, node.access, node.info) for name, node in tree.lines()]
    return _rows(["id", "estRows", "task", "access object", "operator info"], rows)


def _analyzed(tree: PlanNode) -> Result:
    rows = [
        (name, "" if node.act_rows is None else str(node.act_rows), node.task, node.access, node.execution, node.info)
        for name, node in tree.lines()
    ]
    return _rows(["id", "actRows", "task", "access object", "execution info", "operator info"], rows)


def _rows(names: Sequence[str], rows: Sequence[tuple[str, ...]]) -> Result:
    return Result.of_rows([ResultColumn(name, _TEXT) for name in names], list(rows))


class _Explainer:
    def __init__(self, session: Session, environment: Environment) -> None:
        self._session = session
        self._environment = environment

    async def tree(self, statement: st.Statement, sql: str, *, analyze: bool) -> PlanNode:
        point = await self._point_plan(statement)
        if point is not None:
            return await self._point_tree(point, statement, analyze)
        if isinstance(statement, st.Query):
            plan = await self._session.queries.plan(statement.expression, self._environment)
            return await self.query_tree(plan, analyze)
        return await self._change_tree(statement, sql, analyze)

    # --- point plans ---

    async def _point_plan(self, statement: st.Statement) -> PointPlan | None:
        try:
            plan = await self._session.planned(lambda find: plan_point(statement, find))
            if not isinstance(plan, ConstantSelect):
                plan.finder.keys(self._environment)
        except (NotPoint, NotCompilable, ViewNamed):
            return None
        return plan

    async def _point_tree(self, plan: PointPlan, statement: st.Statement, analyze: bool) -> PlanNode:
        if isinstance(plan, ConstantSelect):
            tree = PlanNode("Projection", info=", ".join(plan.names), children=[PlanNode("TableDual", info="rows:1")])
        else:
            tree = point_node(plan.finder, self._environment)
        if not isinstance(plan, ConstantSelect | PointSelect):
            tree = PlanNode(type(statement).__name__, children=[tree])
        if analyze:
            started = time.monotonic()
            result = await self._session.shaped.run_point(plan, self._environment)
            note_point(tree, result, time.monotonic() - started)
        return tree

    # --- queries ---

    async def query_tree(self, plan: QueryPlan, analyze: bool) -> PlanNode:
        if not analyze:
            return await self._expected_tree(plan)
        result, facts = await self._session.queries.run_plan(plan)
        tree = plan_tree(plan.on_engines(self._session.engines), facts)
        note_query(tree, facts, result.arrow().num_rows)
        return tree

    async def _expected_tree(self, plan: QueryPlan) -> PlanNode:
        """The tree of the plan as it would run now; indexes are asked how many entries there are."""
        plan = plan.on_engines(self._session.engines)
        tree = plan_tree(plan, await self._session.queries.expected(plan))
        note_estimates(tree, plan, self._session.shared.statistics)
        return tree

    async def _change_tree(self, statement: st.Statement, sql: str, analyze: bool) -> PlanNode:
        source = await self._change_source(statement)
        tree = PlanNode(type(statement).__name__, children=[source] if source is not None else [])
        if analyze:
            started = time.monotonic()
            result = await self._session.queries.run(statement, sql, self._environment)
            tree.act_rows = result.affected_rows
            tree.execution = time_text(time.monotonic() - started)
        return tree

    async def _change_source(self, statement: st.Statement) -> PlanNode | None:
        """The tree of the query that finds or makes the rows."""
        if isinstance(statement, st.Insert):
            query = (await self._session.planned(lambda find: plan_insert(statement, find))).query
        elif isinstance(statement, st.Update | st.Delete) and is_joined(statement):
            query = (await self._session.planned(lambda find: plan_joined(statement, find))).query
        elif isinstance(statement, st.Update):
            query = (await self._session.planned(lambda find: plan_update(statement, find))).query
        else:
            assert isinstance(statement, st.Delete)
            query = (await self._session.planned(lambda find: plan_delete(statement, find))).query
        if query is None:
            return None
        plan = await self._session.queries.plan(query, self._environment)
        return await self._expected_tree(plan)


# --- trees ------------------------------------------------------------------------------------------------------------


def point_node(finder: KeyFinder, environment: Environment) -> PlanNode:
    """The reading of rows by key."""
    keys = finder.keys(environment)
    name = "Point_Get" if len(keys) == 1 else "Batch_Point_Get"
    node = PlanNode(name, access=f"table:{finder.table.schema.name}", est_rows=str(len(keys)))
    if finder.index is not None:
        node.access += f", {index_text(finder.index)}"
    else:
        node.info = f"handle:{_handles_text(finder.table, keys)}"
    if finder.matches is None:
        return node
    return PlanNode("Selection", info="the rest of WHERE", children=[node])


def _handles_text(table: TableAccess, keys: Sequence[bytes]) -> str:
    handles = [table.handles.decode(table.handle_of(key)) for key in keys[:MAX_SHOWN]]
    shown = ", ".join("/".join(str(value) for value in handle) for handle in handles)
    return shown + (", …" if len(keys) > MAX_SHOWN else "")


def plan_tree(plan: QueryPlan, facts: RunFacts) -> PlanNode:
    """The tree of a query as it was run, or will be by what is known of it."""
    path, reads = facts.path, facts.reads
    by_name = {scan.name: scan for scan in plan.scans}

    def find(table: exp.Table) -> ScanPlan | None:
        return by_name.get(f"{table.db.lower()}.{table.name.lower()}")

    def stored(table: exp.Table) -> PlanNode:
        scan = find(table)
        return _scan_node(scan) if scan is not None else PlanNode("CTEFullScan", STORE, f"CTE:{table.name}")

    def fetched(table: exp.Table) -> PlanNode:
        scan = find(table)
        if scan is not None and scan.name in reads:
            return index_node(scan, reads[scan.name])
        if scan is not None:
            return _fetch_node(scan, facts)
        name = "MemTableScan" if table.db else "CTEFullScan"
        return PlanNode(name, ROOT, f"{'table' if table.db else 'CTE'}:{table.name}")

    if path == "whole":
        inner = operator_tree(plan.expression, STORE, stored)
        return PlanNode("StoreReader", info="whole: the query runs in one store", children=[inner])
    if path == "broadcast" and facts.spread is not None:
        spread = facts.spread

        def joined(table: exp.Table) -> PlanNode:
            return stored(table) if find(table) in (spread.spread, None) else _sent_node(fetched(table))

        return _merged(operator_tree(plan.expression, STORE, joined), "broadcast", spread.halves)
    if path == "per_store" and plan.partial is not None:
        return _merged(operator_tree(plan.expression, STORE, stored), "per_store", plan.partial)
    return operator_tree(plan.expression, ROOT, fetched)


def _merged(inner: PlanNode, path: str, halves: PushPlan) -> PlanNode:
    """What every store does, and the merge here."""
    reader = PlanNode("StoreReader", info=f"{path}: {halves.kind} in each store", children=[inner])
    if halves.merge_sql is None:
        return reader
    return PlanNode("Merge", info=halves.merge_sql, children=[reader])


def _sent_node(source: PlanNode) -> PlanNode:
    """Rows that were brought here, sent on to every store."""
    sender = PlanNode("ExchangeSender", info="ExchangeType: Broadcast", children=[source])
    return PlanNode("ExchangeReceiver", STORE, children=[sender])


def _scan_node(scan: ScanPlan) -> PlanNode:
    columns = f"columns:{','.join(scan.columns)}"
    if scan.engine is not None:
        columns += f", engine:{scan.engine}"
    if scan.full:
        return PlanNode("TableFullScan", STORE, table_text(scan), columns)
    info = f"ranges:{len(scan.ranges)}, {columns}"
    return PlanNode("TableRangeScan", STORE, table_text(scan), info)


def _fetch_node(scan: ScanPlan, facts: RunFacts) -> PlanNode:
    node = _scan_node(scan)
    if scan.name in facts.overlaid:
        info = "rows at the start of the transaction, its own writes laid over them"
        return PlanNode("UnionScan", ROOT, node.access, info, [node])
    filters = facts.key_columns.get(scan.name, ())
    if (scan.filters and facts.path != "local") or filters:
        conditions = [mysql_text(text).replace("`", "") for each in scan.filters for text in conjuncts(each)]
        conditions += [
            f"runtime filter:[IN] {each.column} <- {_plain(each.other)}.{each.other_column}" for each in filters
        ]
        node = PlanNode("Selection", STORE, info=", ".join(conditions), children=[node])
    return PlanNode("StoreReader", ROOT, f"table:{scan.schema.name}", "per_store: rows come here", [node])


def _plain(scan_name: str) -> str:
    return scan_name.partition(".")[2]
