"""Point plans: statements on rows named by a whole primary or unique key, compiled once to closures.

A plan is made from a statement's shape (its literals are parameters) and serves every statement of that shape. What
does not fit raises NotPoint and takes the general path: that is not an error. A fitting statement whose parameter turns
out not to be a value of the key's type (`WHERE id = 'x'`) falls back too, by NotCompilable when it runs.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sqlglot import exp

from rutile.errors import SqlError
from rutile.expressions.compile import (
    Environment,
    Evaluate,
    NoColumns,
    NotCompilable,
    Scope,
    compile_evaluate,
)
from rutile.parse import statements as st
from rutile.parse.projection_names import is_named_by_text
from rutile.planner.bounds import conjuncts
from rutile.planner.key_values import NotExact, key_value
from rutile.planner.plain import PlainSelect, plain_select
from rutile.planner.table_columns import TableColumns
from rutile.rows.access import TableAccess
from rutile.rows.index_access import IndexAccess
from rutile.rows.origins import Origin, origin_of
from rutile.rows.row_rules import generated_value_given
from rutile_coprocessor.schema import Column, ColumnType, Scalar

MAX_POINT_KEYS = 1_024
"""Longer IN lists take the general path."""


class NotPoint(Exception):
    """The statement is not one on rows named by their primary keys."""


FindTable = Callable[[st.TableName], TableAccess]


@dataclass(frozen=True)
class KeyFinder:
    """The keys a WHERE clause names."""

    table: TableAccess
    choices: tuple[tuple[Evaluate, ...], ...]
    """For each key column, the values it may have."""
    matches: Evaluate | None
    """What else WHERE asks of the row."""
    index: IndexAccess | None = None
    """The unique index whose columns these are; None for the primary key."""

    def keys(self, environment: Environment) -> list[bytes]:
        """The rows' keys, or the index's entries', in order, each once. Raises NotCompilable if a value does not fit
        its column."""
        index = self.index
        columns = self.table.schema.primary_key_columns if index is None else index.columns
        values = [_values(column, choices, environment) for column, choices in zip(columns, self.choices, strict=True)]
        if index is None:
            return sorted({self.table.key_of(key) for key in itertools.product(*values)})
        return sorted({index.prefix + index.codec.encode(key) for key in itertools.product(*values)})


def _values(column: Column, choices: Sequence[Evaluate], environment: Environment) -> list[Scalar]:
    values = [choice((), environment) for choice in choices]
    try:
        return [key_value(column, value) for value in values if value is not None]
    except NotExact as error:
        raise NotCompilable(f"key column {column.name}") from error


@dataclass(frozen=True)
class PointSelect:
    """SELECT of rows by key: get, filter, project."""

    finder: KeyFinder
    names: tuple[str, ...]
    types: tuple[ColumnType | None, ...]
    """None where the value decides."""
    origins: tuple[Origin | None, ...]
    project: tuple[Evaluate, ...]
    limit: Evaluate | None
    for_update: bool
    plain: PlainSelect | None = None
    """Where it is no more than that: it can be answered promptly (`rutile.session.prompt`)."""


@dataclass(frozen=True)
class ConstantSelect:
    """SELECT without FROM: one row of expressions."""

    names: tuple[str, ...]
    project: tuple[Evaluate, ...]


@dataclass(frozen=True)
class PointUpdate:
    """UPDATE of rows by key."""

    finder: KeyFinder
    assignments: tuple[tuple[int, Evaluate], ...]
    """(column position, new value), applied from left to right, each seeing those before it."""


@dataclass(frozen=True)
class PointDelete:
    """DELETE of rows by key."""

    finder: KeyFinder


PointPlan = ConstantSelect | PointSelect | PointUpdate | PointDelete


def plan_point(statement: st.Statement, find_table: FindTable) -> PointPlan:
    """The point plan of a query or data change. Raises NotPoint."""
    try:
        match statement:
            case st.Query(exp.Select() as select, None):
                return _plan_select(select, find_table)
            case st.Update(update, ignores=False):
                return _plan_update(update, find_table)
            case st.Delete(delete, ignores=False):
                return _plan_delete(delete, find_table)
    except NotCompilable as error:
        raise NotPoint(str(error)) from error
    raise NotPoint(type(statement).__name__)


def only(node: exp.Expr, *allowed: str) -> None:
    """Refuse clauses this planner does not know."""
    for name, value in node.args.items():
        if value and name not in allowed:
            raise NotPoint(name)


def one_table(node: exp.Expr | None, find_table: FindTable) -> tuple[TableAccess, TableColumns]:
    """The one stored table that a clause names, and its columns. Raises NotPoint for anything else."""
    if not isinstance(node, exp.Table) or not isinstance(node.this, exp.Identifier):
        raise NotPoint("not one table")
    only(node, "this", "db", "alias")
    table = find_table(st.TableName(node.name, node.db or None))
    if table.is_local:
        raise NotPoint("TIMESTAMPs in another time zone")
    if table.partitions is not None:
        raise NotPoint("a partitioned table")
    return table, TableColumns(table.schema, (node.alias or node.name,))


def plan_constant(select: exp.Select) -> ConstantSelect:
    """The plan of a SELECT without FROM. Raises NotPoint, NotCompilable."""
    only(select, "expressions")
    scope = Scope(NoColumns())
    if any(item.is_star for item in select.expressions):
        raise SqlError(1096, "No tables used")
    projected = tuple(compile_evaluate(item.unalias(), scope) for item in select.expressions)
    return ConstantSelect(tuple(_name(item) for item in select.expressions), projected)


def _plan_select(select: exp.Select, find_table: FindTable) -> ConstantSelect | PointSelect:
    if select.args.get("from_") is None:
        return plan_constant(select)
    only(select, "expressions", "from_", "where", "limit", "locks")
    source = select.args["from_"].this
    table, columns = one_table(source, find_table)
    projections = [part for item in select.expressions for part in _expand(item, table)]
    inner = [item.unalias() for item in projections]
    positions = [columns.find(item)[0] if isinstance(item, exp.Column) else None for item in inner]
    finder = _finder(table, columns, select.args.get("where"))
    scope = Scope(columns)
    limit = select.args.get("limit")
    is_plain = finder.index is None and finder.matches is None
    return PointSelect(
        finder,
        tuple(_name(item) for item in projections),
        tuple(None if at is None else table.schema.columns[at].type for at in positions),
        tuple(None if at is None else origin_of(table, at, source.alias_or_name) for at in positions),
        tuple(compile_evaluate(item.unalias(), scope) for item in projections),
        compile_evaluate(limit.expression, Scope(columns)) if limit else None,
        _locks(select),
        plain_select(select, projections, columns, table.key_positions) if is_plain else None,
    )


def _locks(select: exp.Select) -> bool:
    locks = select.args.get("locks") or []
    if any(not lock.args.get("update") or lock.args.get("wait") is not None or lock.expressions for lock in locks):
        raise NotPoint("FOR SHARE, NOWAIT, SKIP LOCKED")
    return bool(locks)


def _expand(item: exp.Expr, table: TableAccess) -> list[exp.Expr]:
    if isinstance(item, exp.Star) and not any(item.args.values()):
        return [exp.column(exp.to_identifier(column.name, quoted=True)) for column in table.schema.columns]
    if item.is_star:
        raise NotPoint("a qualified star")
    return [item]


def _name(item: exp.Expr) -> str:
    if is_named_by_text(item) and item.find(exp.Placeholder):
        raise NotPoint("the column name contains a literal")
    return item.alias_or_name


def _finder(table: TableAccess, columns: TableColumns, where: exp.Expr | None) -> KeyFinder:
    """The values of the primary key's or a unique index's columns, and a filter of what else WHERE says."""
    choices: dict[int, tuple[Evaluate, ...]] = {}
    sources: dict[int, exp.Expr] = {}
    rest: list[exp.Expr] = []
    scope = Scope(columns)
    for condition in conjuncts(where.this if where else None):
        found = _key_choice(table, condition, scope)
        if found is None or found[0] in choices:
            rest.append(condition)
        else:
            choices[found[0]], sources[found[0]] = found[1], condition
    index, positions = _fixed_key(table, set(choices))
    rest += [condition for position, condition in sources.items() if position not in positions]
    matches = compile_evaluate(exp.and_(*rest, copy=True), scope) if rest else None
    return KeyFinder(table, tuple(choices[position] for position in positions), matches, index)


def _fixed_key(table: TableAccess, fixed: set[int]) -> tuple[IndexAccess | None, tuple[int, ...]]:
    """The key all of whose columns are `fixed`, with their positions. Raises NotPoint."""
    if not table.is_hidden and fixed.issuperset(table.key_positions):
        return None, table.key_positions
    for index in table.point_indexes:
        if fixed.issuperset(index.positions):
            return index, index.positions
    raise NotPoint("WHERE does not fix the primary key or a unique one")


def _key_choice(table: TableAccess, condition: exp.Expr, scope: Scope) -> tuple[int, tuple[Evaluate, ...]] | None:
    """(position of a key column, its possible values) if that is what `condition` says."""
    if isinstance(condition, exp.EQ):
        column, values = condition.this, [condition.expression]
        if not isinstance(column, exp.Column):
            column, values = condition.expression, [condition.this]
    elif isinstance(condition, exp.In) and condition.expressions and not condition.args.get("query"):
        column, values = condition.this, condition.expressions
    else:
        return None
    if not isinstance(column, exp.Column) or len(values) > MAX_POINT_KEYS:
        return None
    position, _ = scope.columns.find(column)
    if position not in table.point_positions or any(value.find(exp.Column) for value in values):
        return None
    return position, tuple(compile_evaluate(value, scope) for value in values)


def _plan_update(update: exp.Update, find_table: FindTable) -> PointUpdate:
    only(update, "this", "expressions", "where")
    table, columns = one_table(update.this, find_table)
    finder = _finder(table, columns, update.args.get("where"))
    return PointUpdate(finder, compile_assignments(update.expressions, columns, table))


def compile_assignments(
    nodes: Sequence[exp.Expr], columns: TableColumns, table: TableAccess
) -> tuple[tuple[int, Evaluate], ...]:
    """SET a = ..., b = ... as (position, closure). Raises NotCompilable, 1054."""
    scope = Scope(columns, strict=True)
    assignments = []
    for node in nodes:
        if not isinstance(node, exp.EQ) or not isinstance(node.this, exp.Column):
            raise NotCompilable("SET")
        position, _, _ = columns.place(node.this)
        if not table.takes_value(position):
            raise generated_value_given(table.schema.columns[position], table.schema.name)
        assignments.append((position, _assigned(node.expression, scope, table.schema.columns[position])))
    return tuple(assignments)


def _assigned(node: exp.Expr, scope: Scope, column: Column) -> Evaluate:
    if is_default(node):
        if column.default_sql:
            raise NotCompilable("DEFAULT of an expression")
        return lambda row, env: column.default
    return compile_evaluate(node, scope)


def is_default(node: exp.Expr) -> bool:
    """Whether `node` is the keyword DEFAULT."""
    return isinstance(node, exp.Var | exp.Column) and node.name.upper() == "DEFAULT" and not node.args.get("table")


def _plan_delete(delete: exp.Delete, find_table: FindTable) -> PointDelete:
    only(delete, "this", "where")
    table, columns = one_table(delete.this, find_table)
    return PointDelete(_finder(table, columns, delete.args.get("where")))
