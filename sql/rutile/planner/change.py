"""UPDATE and DELETE that are not by primary key: the query that finds their rows, and what happens to each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlglot import exp

from rutile.catalog.sequence_info import names_sequence
from rutile.errors import not_supported
from rutile.expressions.compile import Evaluate, NotCompilable
from rutile.parse import statements as st
from rutile.planner.literals import literal_node
from rutile.planner.local_time import stored_column
from rutile.planner.partitions import chosen_partitions
from rutile.planner.point import FindTable, compile_assignments, is_default
from rutile.planner.table_columns import TableColumns
from rutile.rows.access import TableAccess
from rutile_coprocessor.schema import HIDDEN_HANDLE, Column


@dataclass(frozen=True)
class ChangePlan:
    """A data change over the rows of a query."""

    table: TableAccess
    query: exp.Expr
    """Gives every column of the rows to change; then the row id, for tables without primary key; then, for an UPDATE
    whose expressions closures cannot do, the new values."""
    assignments: tuple[tuple[int, Evaluate], ...] | None
    """For UPDATE, the new values as closures; None when the query computes them, and for DELETE."""
    computed: tuple[int, ...] = ()
    """The columns the query's last values go to."""
    ignores: bool = False
    """IGNORE: a row whose change is refused stays as it is, with a warning."""
    partitions: frozenset[int] | None = None
    """Where rows may go, if the statement says PARTITION (...)."""


def plan_update(statement: st.Update, find_table: FindTable) -> ChangePlan:
    """The plan of an UPDATE. Raises 1054, 1146, 1235 for several tables."""
    update = statement.expression
    table, columns = _single_table(update.this, find_table, "UPDATE of several tables")
    chosen = chosen_partitions(update.this, table)
    for name in ("from_", "returning"):
        if update.args.get(name):
            raise not_supported(f"UPDATE with {name.strip('_').upper()}")
    for node in update.expressions:
        columns.place(node.this)
    try:
        assignments = compile_assignments(update.expressions, columns, table)
        query = _query(update, table, [])
        return ChangePlan(table, query, assignments, ignores=statement.ignores, partitions=chosen)
    except NotCompilable:
        positions = tuple(columns.place(node.this)[0] for node in update.expressions)
        query = _query(update, table, _new_values(update, table, columns))
        return ChangePlan(table, query, None, positions, statement.ignores, chosen)


def plan_delete(statement: st.Delete, find_table: FindTable) -> ChangePlan:
    """The plan of a DELETE. Raises 1146, 1235 for several tables."""
    delete = statement.expression
    if delete.args.get("returning"):
        raise not_supported("DELETE with RETURNING")
    if delete.args.get("tables") or delete.args.get("using"):
        raise not_supported("DELETE of several tables")
    table, _ = _single_table(delete.this, find_table, "DELETE of several tables")
    return ChangePlan(table, _query(delete, table, []), None, ignores=statement.ignores)


def _single_table(node: exp.Expr, find_table: FindTable, feature: str) -> tuple[TableAccess, TableColumns]:
    if not isinstance(node, exp.Table) or node.args.get("joins"):
        raise not_supported(feature)
    table = find_table(st.TableName(node.name, node.db or None))
    return table, TableColumns(table.schema, (node.alias or node.name,), is_local=table.is_local)


def _query(change: exp.Expr, table: TableAccess, values: Sequence[exp.Expr]) -> exp.Expr:
    """SELECT columns [, row id] [, new values] FROM the table WHERE ... ORDER BY ... LIMIT, as the statement has it."""
    name = change.this.alias_or_name
    columns: list[exp.Expr] = [stored_column(column.name, name) for column in table.schema.columns]
    if table.is_hidden:
        columns.append(stored_column(HIDDEN_HANDLE, name))
    outputs = [*columns, *values]
    select = exp.Select(expressions=[exp.alias_(output, f"_c{at}") for at, output in enumerate(outputs)])
    select.set("from_", exp.From(this=change.this.copy()))
    for clause in ("with_", "where", "order", "limit"):
        found = change.args.get(clause)
        select.set(clause, found.copy() if found is not None else None)
    return select


def _new_values(update: exp.Update, table: TableAccess, columns: TableColumns) -> list[exp.Expr]:
    """The assigned expressions over the old row: later ones see earlier ones, as in MySQL, by substitution."""
    assigned: dict[int, exp.Expr] = {}
    for node in update.expressions:
        position, _, _ = columns.place(node.this)
        value = _default(table.schema.columns[position]) if is_default(node.expression) else node.expression.copy()
        assigned[position] = _substitute(value, assigned, columns)
    return [assigned[columns.place(node.this)[0]] for node in update.expressions]


def _default(column: Column) -> exp.Expr:
    if column.default_sql and names_sequence(column.default_sql):
        raise not_supported(f"{column.name} = DEFAULT, which is a sequence, for every row of an UPDATE")
    if column.default_sql:
        return exp.CurrentTimestamp()
    return literal_node(column.default)


def _substitute(value: exp.Expr, assigned: dict[int, exp.Expr], columns: TableColumns) -> exp.Expr:
    def replace(node: exp.Expr) -> exp.Expr:
        if isinstance(node, exp.Column) and node.parent_select is None:
            earlier = assigned.get(columns.place(node)[0])
            return exp.paren(earlier.copy()) if earlier is not None else node
        return node

    return value.transform(replace)
