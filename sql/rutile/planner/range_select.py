"""Range plans: SELECTs from one table over a short stretch of a key, compiled once to closures.

Like point plans they are made from a statement's shape and serve all statements of it; DuckDB has no part in them. They
know columns, DISTINCT, ORDER BY, LIMIT, and the aggregates COUNT, SUM, MIN and MAX without GROUP BY: what OLTP asks of
neighbouring rows. Everything else raises NotPoint, and the general path has the statement. When a plan runs and finds
that its ranges are long, or that they do not bound the key after all, it gives up with NotCompilable: the general path
again (`rutile.execution.range_select`).

The result is that of the general path: same values, same types. So aggregates are limited to exact numbers, and
nothing is sorted or made distinct by floating numbers. (Twin: tests/sql/test_range_select.py.)
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from sqlglot import exp

from rutile.expressions.compile import Environment, Evaluate, NotCompilable, Scope, compile_evaluate
from rutile.parse import statements as st
from rutile.parse.projection_names import is_named_by_text
from rutile.planner.bounds import conjuncts
from rutile.planner.point import FindTable, NotPoint, one_table, only
from rutile.planner.ranges import KeyShape, index_shape, merge_ranges, primary_shape, ranges_of
from rutile.planner.table_columns import TableColumns
from rutile.rows.access import TableAccess
from rutile.rows.index_access import IndexAccess
from rutile.rows.origins import Origin, origin_of
from rutile.session.result import BIGINT, type_of_arrow
from rutile.session.storage import KeyRange
from rutile_coprocessor.schema import ColumnType, Kind

MAX_RANGES = 32
"""More stretches than this are looked up by the general path."""
MAX_ALTERNATIVES = 16
"""Of conditions joined by OR."""
PAUSE = 15
"""After ranges that were too long, so many statements of the shape go straight to the general path."""
WIDEST_PRECISION = 38
_AGGREGATES: dict[type[exp.Expr], str] = {exp.Count: "count", exp.Sum: "sum", exp.Min: "min", exp.Max: "max"}


@dataclass(frozen=True)
class Aggregate:
    """One aggregate over the rows; `position` None: of rows rather than values."""

    function: str
    position: int | None


@dataclass(frozen=True)
class KeyChoice:
    """A key by which the rows may be found."""

    index: IndexAccess | None
    """None: the primary key."""
    shape: KeyShape
    covering: bool
    """The entries hold every column the statement uses."""


@dataclass
class Patience:
    """Whether the plan is worth trying: not soon after its ranges were too long."""

    pause: int = 0


@dataclass(frozen=True)
class RangeSelect:
    """SELECT of rows in ranges of a key."""

    table: TableAccess
    alternatives: tuple[tuple[exp.Expr, ...], ...]
    """Conditions of which one group must hold: what ranges are made from."""
    keys: tuple[KeyChoice, ...]
    matches: Evaluate
    """The whole WHERE."""
    names: tuple[str, ...]
    types: tuple[ColumnType, ...]
    origins: tuple[Origin | None, ...]
    columns: tuple[int, ...]
    """Positions of the columns asked for; empty where there are aggregates."""
    aggregates: tuple[Aggregate, ...]
    distinct: bool
    order: tuple[tuple[int, bool], ...]
    """(position in the row, descending)."""
    limit: Evaluate | None
    patience: Patience = field(default_factory=Patience, compare=False)

    def ranges(self, key: KeyChoice, environment: Environment) -> tuple[list[KeyRange], bool] | None:
        """The ranges of `key` that hold the rows, apart and in order, and whether they hold no others; None if the
        conditions do not bound the key."""
        found: list[KeyRange] = []
        exact = True
        for conditions in self.alternatives:
            part = ranges_of(key.shape, conditions, environment)
            if not (part.equal or part.bounded):
                return None
            exact = exact and part.exact
            found += part.ranges
        return merge_ranges(found), exact


def plan_range(statement: st.Statement, find_table: FindTable) -> RangeSelect:
    """The range plan of a query. Raises NotPoint."""
    if not isinstance(statement, st.Query) or statement.as_of is not None:
        raise NotPoint("not a query")
    select = statement.expression
    if not isinstance(select, exp.Select):
        raise NotPoint("not one SELECT")
    only(select, "expressions", "from_", "where", "limit", "order", "distinct")
    source = select.args.get("from_")
    table, columns = one_table(source.this if source is not None else None, find_table)
    try:
        return _plan(select, table, columns)
    except NotCompilable as error:
        raise NotPoint(str(error)) from error


def _plan(select: exp.Select, table: TableAccess, columns: TableColumns) -> RangeSelect:
    where = select.args.get("where")
    if where is None or where.find(exp.AggFunc, exp.Select, exp.Window):
        raise NotPoint("no plain WHERE")
    items = [part for item in select.expressions for part in _expand(item, table)]
    aggregates = tuple(_aggregate(item.unalias(), columns, table) for item in items if _is_aggregate(item))
    if aggregates and (len(aggregates) != len(items) or select.args.get("distinct") or select.args.get("order")):
        raise NotPoint("aggregates beside something else")
    wanted = () if aggregates else tuple(_position(item.unalias(), columns) for item in items)
    order = tuple(_sorted_by(item, items, columns, table) for item in _order_items(select))
    is_distinct = _is_distinct(select)
    if is_distinct and not _may_be_compared(table, (*wanted, *(at for at, _ in order)), wanted, order):
        raise NotPoint("DISTINCT by what is not compared here")
    used = {*wanted, *(at for at, _ in order), *(each.position for each in aggregates if each.position is not None)}
    used |= {columns.find(column)[0] for column in where.find_all(exp.Column)}
    limit, alias = select.args.get("limit"), select.args["from_"].this.alias_or_name
    return RangeSelect(
        table,
        tuple(_alternatives(where.this)),
        tuple(_keys(table, used)),
        compile_evaluate(where.this, Scope(columns)),
        tuple(_name(item) for item in items),
        tuple(_aggregate_type(each, table) for each in aggregates)
        or tuple(table.schema.columns[at].type for at in wanted),
        (None,) * len(aggregates) or tuple(origin_of(table, at, alias) for at in wanted),
        wanted,
        aggregates,
        is_distinct,
        order,
        compile_evaluate(limit.expression, Scope(columns)) if limit else None,
    )


def _expand(item: exp.Expr, table: TableAccess) -> list[exp.Expr]:
    if isinstance(item, exp.Star) and not any(item.args.values()):
        return [exp.column(exp.to_identifier(column.name, quoted=True)) for column in table.schema.columns]
    return [item]


def _name(item: exp.Expr) -> str:
    if is_named_by_text(item) and item.find(exp.Placeholder):
        raise NotPoint("the column name contains a literal")
    return item.alias_or_name


def _position(node: exp.Expr, columns: TableColumns) -> int:
    if not isinstance(node, exp.Column):
        raise NotPoint("not a column")
    return columns.find(node)[0]


# --- aggregates, DISTINCT, ORDER BY -----------------------------------------------------------------------------------


def _is_aggregate(item: exp.Expr) -> bool:
    return type(item.unalias()) in _AGGREGATES


def _aggregate(node: exp.Expr, columns: TableColumns, table: TableAccess) -> Aggregate:
    function = _AGGREGATES[type(node)]
    only(node, "this", "big_int")
    if function == "count" and isinstance(node.this, exp.Star):
        return Aggregate(function, None)
    position = _position(node.this, columns)
    kind = table.schema.columns[position].type
    if function != "count" and not (_is_plain_integer(kind) or kind.kind is Kind.DECIMAL):
        raise NotPoint(f"{function} of {kind.kind.value}")
    return Aggregate(function, position)


def _is_plain_integer(kind: ColumnType) -> bool:
    return kind.is_integer and kind.kind not in (Kind.BOOL, Kind.YEAR) and not kind.is_enumerated


def _aggregate_type(aggregate: Aggregate, table: TableAccess) -> ColumnType:
    """As DuckDB types it: a sum of integers or decimals is a wide decimal, MIN and MAX are of the nearest type."""
    if aggregate.function == "count" or aggregate.position is None:
        return BIGINT
    kind = table.schema.columns[aggregate.position].type
    if aggregate.function == "sum":
        return ColumnType(Kind.DECIMAL, precision=WIDEST_PRECISION, scale=kind.scale)
    return type_of_arrow(kind.arrow_type)


def _order_items(select: exp.Select) -> Sequence[exp.Expr]:
    order = select.args.get("order")
    return order.expressions if order is not None else ()


def _sorted_by(
    item: exp.Expr, items: Sequence[exp.Expr], columns: TableColumns, table: TableAccess
) -> tuple[int, bool]:
    """(position, descending) of one ORDER BY: a column, or the name that a column has in the result."""
    only(item, "this", "desc", "nulls_first")
    node = item.this
    named = [each.unalias() for each in items if isinstance(each, exp.Alias) and each.alias == node.name]
    if isinstance(node, exp.Column) and not node.table and named:
        node = named[0]
    position = _position(node, columns)
    if not _is_ordered_here(table.schema.columns[position].type):
        raise NotPoint("sorted by what is not compared here")
    return position, bool(item.args.get("desc"))


def _is_distinct(select: exp.Select) -> bool:
    distinct = select.args.get("distinct")
    if distinct is not None and distinct.args.get("on"):
        raise NotPoint("DISTINCT ON")
    return distinct is not None


def _may_be_compared(
    table: TableAccess, used: Sequence[int], wanted: Sequence[int], order: Sequence[tuple[int, bool]]
) -> bool:
    kinds = [table.schema.columns[at].type for at in used]
    return all(map(_is_ordered_here, kinds)) and all(at in wanted for at, _ in order)


def _is_ordered_here(kind: ColumnType) -> bool:
    """Whether Python compares the type's values as the general path does."""
    return kind.kind not in (Kind.FLOAT, Kind.DOUBLE, Kind.JSON) and not kind.is_enumerated


# --- keys -------------------------------------------------------------------------------------------------------------


def _alternatives(where: exp.Expr) -> Iterator[tuple[exp.Expr, ...]]:
    """The groups of conditions of which one must hold: those of a top-level OR, otherwise all as one."""
    inner = where.unnest()
    parts = list(inner.flatten()) if isinstance(inner, exp.Or) else [inner]
    if len(parts) > MAX_ALTERNATIVES:
        raise NotPoint("too many alternatives")
    return (tuple(conjuncts(part)) for part in parts)


def _keys(table: TableAccess, used: set[int]) -> Iterator[KeyChoice]:
    if not table.is_hidden:
        yield KeyChoice(None, primary_shape(table.schema), covering=True)
    for index in table.indexes:
        if index.info.is_public:
            whole = {at for at, part in zip(index.positions, index.info.columns, strict=True) if part.length is None}
            is_told = not any(table.schema.columns[at].type.is_enumerated for at in used)  # entries hold their numbers
            covering = is_told and not table.is_hidden and used <= whole | set(table.key_positions)
            yield KeyChoice(index, index_shape(index), covering)
