"""UPDATE and DELETE over several tables: the query that joins them, and which of its columns are whose row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlglot import exp

from rutile import errors
from rutile.errors import SqlError, not_supported
from rutile.parse import statements as st
from rutile.parse.mysql_text import mysql_text
from rutile.planner.literals import literal_node
from rutile.planner.local_time import stored_column
from rutile.planner.partitions import chosen_partitions
from rutile.planner.point import FindTable, is_default
from rutile.rows.access import TableAccess
from rutile.rows.row_rules import generated_value_given
from rutile_coprocessor.schema import HIDDEN_HANDLE

ER_WRONG_USAGE = 1221
ER_UNKNOWN_TABLE = 1109


@dataclass(frozen=True)
class ChangedTable:
    """A table whose rows change: where its columns (and row id) begin in the query's result."""

    table: TableAccess
    start: int
    computed: tuple[tuple[int, int], ...] = ()
    """For UPDATE: (position of the column, place of its new value in the result)."""
    partitions: frozenset[int] | None = None
    """Where rows may go, if the statement says PARTITION (...)."""


@dataclass(frozen=True)
class JoinedChangePlan:
    """A data change over a join. A row that the join gives several times is changed once, by the first."""

    tables: tuple[ChangedTable, ...]
    query: exp.Expr
    ignores: bool = False
    """IGNORE: a row whose change is refused stays as it is, with a warning."""


@dataclass(frozen=True)
class _Source:
    alias: str
    table: TableAccess | None
    """None for a derived table, which cannot be changed."""
    partitions: frozenset[int] | None = None


def is_joined(statement: st.Update | st.Delete) -> bool:
    """Whether the statement is over several tables."""
    change = statement.expression
    joins = isinstance(change.this, exp.Table) and change.this.args.get("joins")
    return bool(joins or change.args.get("tables") or change.args.get("using"))


def plan_joined(statement: st.Update | st.Delete, find_table: FindTable) -> JoinedChangePlan:
    """The plan of either."""
    if isinstance(statement, st.Update):
        return plan_joined_update(statement, find_table)
    return plan_joined_delete(statement, find_table)


def plan_joined_update(statement: st.Update, find_table: FindTable) -> JoinedChangePlan:
    """The plan. Raises 1052, 1054, 1146, 1221, 3105."""
    update = statement.expression
    _refuse_order(update, "UPDATE")
    sources = _sources(update.this, find_table)
    assigned: dict[str, list[tuple[int, exp.Expr]]] = {}
    for node in update.expressions:
        source, position = _target(node.this, sources)
        assert source.table is not None
        value = node.expression
        if is_default(value):
            value = literal_node(source.table.schema.columns[position].default)
        assigned.setdefault(source.alias, []).append((position, value))
    chosen = [source for source in sources if source.alias in assigned]
    columns, starts = _columns(chosen)
    tables = []
    for source, start in zip(chosen, starts, strict=True):
        computed = []
        for position, value in assigned[source.alias]:
            computed.append((position, len(columns)))
            columns.append(value.copy())
        assert source.table is not None
        tables.append(ChangedTable(source.table, start, tuple(computed), source.partitions))
    return JoinedChangePlan(tuple(tables), _query(update, update.this, columns), statement.ignores)


def plan_joined_delete(statement: st.Delete, find_table: FindTable) -> JoinedChangePlan:
    """The plan. Raises 1109, 1146, 1221."""
    delete = statement.expression
    _refuse_order(delete, "DELETE")
    using = delete.args.get("using")
    origin = using[0] if using else delete.this
    targets = [delete.this] if using else delete.args.get("tables") or []
    sources = _sources(origin, find_table)
    by_alias = {source.alias: source for source in sources}
    chosen = []
    for target in targets:
        found = by_alias.get(target.name.lower())
        if found is None or found.table is None:
            raise SqlError(ER_UNKNOWN_TABLE, f"Unknown table '{target.name}' in MULTI DELETE", sqlstate="42S02")
        chosen.append(found)
    columns, starts = _columns(chosen)
    tables = [
        ChangedTable(source.table, start)
        for source, start in zip(chosen, starts, strict=True)
        if source.table is not None
    ]
    return JoinedChangePlan(tuple(tables), _query(delete, origin, columns), statement.ignores)


def _refuse_order(change: exp.Expr, verb: str) -> None:
    for clause in ("order", "limit"):
        if change.args.get(clause) is not None:
            message = f"Incorrect usage of {verb} and {'ORDER BY' if clause == 'order' else 'LIMIT'}"
            raise SqlError(ER_WRONG_USAGE, message)
    if change.args.get("returning"):
        raise not_supported(f"{verb} with RETURNING")
    if change.args.get("from_"):
        raise not_supported(f"{verb} of several tables with FROM")


def _sources(origin: exp.Expr, find_table: FindTable) -> list[_Source]:
    with_ = origin.parent.args.get("with_") if origin.parent is not None else None
    common = {each.alias.lower() for each in with_.expressions} if with_ is not None else set()
    nodes = [origin, *(join.this for join in origin.args.get("joins") or [])]
    found = []
    for node in nodes:
        is_table = isinstance(node, exp.Table) and not (node.name.lower() in common and not node.db)
        table = find_table(st.TableName(node.name, node.db or None)) if is_table else None
        chosen = chosen_partitions(node, table) if table is not None else None
        found.append(_Source(node.alias_or_name.lower(), table, chosen))
    return found


def _target(column: exp.Expr, sources: Sequence[_Source]) -> tuple[_Source, int]:
    """The table and position of the column that is set."""
    if not isinstance(column, exp.Column):
        raise not_supported(f"SET {mysql_text(column)}")
    owners = [
        source
        for source in sources
        if source.table is not None
        and source.table.schema.has_column(column.name)
        and (not column.table or column.table.lower() == source.alias)
    ]
    if len(owners) > 1:
        raise SqlError(errors.ER_NON_UNIQUE, f"Column '{column.name}' in field list is ambiguous")
    if not owners:
        raise errors.unknown_column(f"{column.table}.{column.name}" if column.table else column.name)
    table = owners[0].table
    assert table is not None
    position = table.schema.index_of(column.name)
    if not table.takes_value(position):
        raise generated_value_given(table.schema.columns[position], table.schema.name)
    return owners[0], position


def _columns(sources: Sequence[_Source]) -> tuple[list[exp.Expr], list[int]]:
    """All columns of the sources, each with its row id if it has one, and where each source begins."""
    columns: list[exp.Expr] = []
    starts = []
    for source in sources:
        assert source.table is not None
        starts.append(len(columns))
        names = [column.name for column in source.table.schema.columns]
        for name in [*names, HIDDEN_HANDLE] if source.table.is_hidden else names:
            alias = exp.to_identifier(source.alias, quoted=True)
            columns.append(stored_column(name, alias.name))
    return columns, starts


def _query(change: exp.Expr, origin: exp.Expr, columns: Sequence[exp.Expr]) -> exp.Expr:
    first = origin.copy()
    joins = first.args.get("joins") or []
    first.set("joins", None)
    select = exp.Select(expressions=[exp.alias_(column, f"_c{at}") for at, column in enumerate(columns)])
    select.set("from_", exp.From(this=first))
    select.set("joins", [join.copy() for join in joins])
    for clause in ("with_", "where"):
        found = change.args.get(clause)
        select.set(clause, found.copy() if found is not None else None)
    return select
