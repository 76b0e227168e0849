"""INSERT and REPLACE: which column gets which value."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto

from sqlglot import exp

from rutile import errors
from rutile.errors import SqlError, not_supported
from rutile.expressions.compile import Evaluate, NoColumns, NotCompilable, Scope, compile_evaluate
from rutile.parse import statements as st
from rutile.parse.mysql_text import mysql_text
from rutile.planner.partitions import chosen_partitions
from rutile.planner.point import FindTable, NotPoint, compile_assignments, is_default
from rutile.planner.table_columns import INSERTED, TableColumns
from rutile.rows.access import TableAccess


class OnDuplicate(Enum):
    """What happens when the primary key exists already."""

    FAIL = auto()
    IGNORE = auto()
    REPLACE = auto()
    UPDATE = auto()


@dataclass(frozen=True)
class InsertPlan:
    """An INSERT whose rows come from expressions or from a query."""

    table: TableAccess
    positions: tuple[int, ...]
    """The column each value goes to, by position in the schema."""
    rows: tuple[tuple[Evaluate | None, ...], ...]
    """For VALUES, the closures of each row; None stands for DEFAULT."""
    query: exp.Expr | None
    """For INSERT ... SELECT, the query."""
    on_duplicate: OnDuplicate
    assignments: tuple[tuple[int, Evaluate], ...] = ()
    """ON DUPLICATE KEY UPDATE, over the existing row followed by the one to insert."""
    partitions: frozenset[int] | None = None
    """Where rows may go, if the statement says PARTITION (...)."""


def plan_insert(statement: st.Insert, find_table: FindTable) -> InsertPlan:
    """The plan. Raises 1054, 1110, 1136, 1146, 1235; NotPoint when VALUES hold more than closures can do."""
    insert = statement.expression
    _refuse_unknown(insert)
    target = insert.this
    node = target.this if isinstance(target, exp.Schema) else target
    if not isinstance(node, exp.Table):
        raise not_supported(f"INSERT INTO {mysql_text(node)}")
    table = find_table(st.TableName(node.name, node.db or None))
    names = [identifier.name for identifier in target.expressions] if isinstance(target, exp.Schema) else None
    positions = _positions(table, names)
    on_duplicate, assignments = _on_duplicate(statement, table)
    chosen = chosen_partitions(node, table)
    source = insert.expression
    if isinstance(source, exp.Values) and not insert.args.get("with_"):
        rows = tuple(_row(table, positions, item, number) for number, item in enumerate(source.expressions, start=1))
        positions = positions if names is not None or any(rows) else ()
        return InsertPlan(table, positions, rows, None, on_duplicate, assignments, chosen)
    return InsertPlan(table, positions, (), _query(insert), on_duplicate, assignments, chosen)


def _query(insert: exp.Insert) -> exp.Expr:
    """The source query, with a WITH that sqlglot hung on the INSERT."""
    query: exp.Expr = insert.expression.copy()
    outer = insert.args.get("with_")
    if outer is not None:
        query.set("with_", outer.copy())
    return query


def _refuse_unknown(insert: exp.Insert) -> None:
    known = {"this", "expression", "conflict", "ignore", "with_"}
    for name, value in insert.args.items():
        if value and name not in known:
            raise not_supported(f"INSERT ... {name.upper()}")


def _positions(table: TableAccess, names: list[str] | None) -> tuple[int, ...]:
    schema = table.schema
    if names is None:
        return tuple(range(len(schema.columns)))
    positions: list[int] = []
    for name in names:
        if not schema.has_column(name):
            raise errors.unknown_column(name)
        position = schema.index_of(name)
        if position in positions:
            raise SqlError(errors.ER_FIELD_SPECIFIED_TWICE, f"Column '{name}' specified twice")
        positions.append(position)
    return tuple(positions)


def _row(table: TableAccess, positions: tuple[int, ...], item: exp.Expr, number: int) -> tuple[Evaluate | None, ...]:
    values = _values_of(item)
    if len(values) != len(positions) and values:
        raise wrong_value_count(number)
    if not values and len(positions) not in (0, len(table.schema.columns)):
        raise wrong_value_count(number)
    try:
        scope = Scope(NoColumns(), strict=True)
        return tuple(None if is_default(value) else compile_evaluate(value, scope) for value in values)
    except NotCompilable as error:
        raise NotPoint(str(error)) from error


def _values_of(item: exp.Expr) -> Sequence[exp.Expr]:
    """The values of (a, b), or of a bare one."""
    if isinstance(item, exp.Tuple):
        return item.expressions
    return [item.this] if isinstance(item, exp.Paren) else [item]


def wrong_value_count(row: int) -> SqlError:
    """1136: a row has not as many values as there are columns."""
    return SqlError(errors.ER_WRONG_VALUE_COUNT, f"Column count doesn't match value count at row {row}")


def _on_duplicate(statement: st.Insert, table: TableAccess) -> tuple[OnDuplicate, tuple[tuple[int, Evaluate], ...]]:
    insert = statement.expression
    conflict = insert.args.get("conflict")
    if statement.replace:
        return OnDuplicate.REPLACE, ()
    if conflict is not None:
        return OnDuplicate.UPDATE, _duplicate_assignments(conflict, table)
    return (OnDuplicate.IGNORE if insert.args.get("ignore") else OnDuplicate.FAIL), ()


def _duplicate_assignments(conflict: exp.Expr, table: TableAccess) -> tuple[tuple[int, Evaluate], ...]:
    columns = TableColumns(table.schema, with_inserted=True, is_local=table.is_local)
    nodes = [node.transform(_inserted_value) for node in conflict.expressions]
    try:
        return compile_assignments(nodes, columns, table)
    except NotCompilable as error:
        raise not_supported(f"ON DUPLICATE KEY UPDATE with {error}") from error


def _inserted_value(node: exp.Expr) -> exp.Expr:
    """VALUES(column) as the column of the row to insert."""
    if isinstance(node, exp.Anonymous) and node.name.upper() == "VALUES" and len(node.expressions) == 1:
        return exp.column(node.expressions[0].name, table=INSERTED)
    return node


def insert_query(statement: st.Insert, find_table: FindTable) -> InsertPlan:
    """The plan of INSERT ... VALUES whose expressions closures cannot do: the rows come from a query instead."""
    rows = statement.expression.expression.expressions
    selects = []
    for item in rows:
        values = _values_of(item)
        if any(is_default(value) for value in values):
            raise not_supported("DEFAULT beside an expression of this kind in VALUES")
        selects.append(exp.select(*(value.copy() for value in values)))
    query = selects[0] if len(selects) == 1 else exp.union(*selects, distinct=False)
    as_select = statement.expression.copy()
    as_select.set("expression", query)
    return plan_insert(st.Insert(as_select, statement.replace), find_table)
