"""Scans: which columns and which key ranges of each table a query needs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from sqlglot import exp
from sqlglot.optimizer.scope import Scope

from rutile.planner.index_paths import IndexHints, IndexPath, Order, index_paths, order_of, read_hints
from rutile.planner.names import TableKey, scopes_of
from rutile.planner.ranges import conjuncts, key_ranges, merge_ranges
from rutile.rows.access import TableAccess
from rutile.session.storage import KeyRange
from rutile_coprocessor.schema import HIDDEN_HANDLE, TableSchema

_OUTER_SIDES = ("LEFT", "RIGHT", "FULL")


@dataclass(frozen=True)
class ScanPlan:
    """One table as a query reads it; tables used several times are read once."""

    name: str
    """How fragment SQL calls it: `database.table`."""
    table: TableAccess
    columns: tuple[str, ...]
    ranges: tuple[KeyRange, ...]
    full: bool
    """The ranges are the whole table."""
    filters: tuple[exp.Expr, ...] = ()
    """Conditions each of its rows must meet for the query, with columns as written there (alias.column)."""
    paths: tuple[IndexPath, ...] = ()
    """Ways to its rows through an index, the most promising first."""
    dialect: Literal["mysql", "duckdb"] = "mysql"
    """What `filters` are written in."""

    @property
    def schema(self) -> TableSchema:
        return self.table.schema


@dataclass
class _Use:
    """What is gathered of one table."""

    columns: dict[str, None] = field(default_factory=dict)
    ranges: list[KeyRange] = field(default_factory=list)
    full: bool = False
    filters: tuple[exp.Expr, ...] = ()
    searched: tuple[exp.Expr, ...] = ()
    """Those of `filters` that index paths are looked for with."""
    hints: IndexHints = field(default_factory=IndexHints)
    uses: int = 0


def plan_scans(
    expression: exp.Expr,
    tables: Mapping[TableKey, TableAccess],
    *,
    searches: Callable[[exp.Expr], bool] = lambda condition: True,
    ordered: bool = True,
) -> list[ScanPlan]:
    """The scans of a qualified query, in the order the tables first appear; tables not in `tables` are virtual.

    `searches` says which conditions may narrow key ranges, `ordered` whether NULLs sort as they do in keys: first.
    """
    uses = {key: _Use() for key in tables}
    for scope in scopes_of(expression):
        for alias, source in _base_sources(scope):
            key = (source.db.lower(), source.name.lower())
            if key not in tables:
                continue
            _gather(uses[key], tables[key].schema, scope, alias, searches)
            uses[key].hints = read_hints(source, scope.expression, tables[key])
    used = [key for key in uses if uses[key].uses]
    order = order_of(expression) if ordered and len(used) == 1 and _all_filter(expression, uses[used[0]]) else None
    return [_scan(tables[key], uses[key], order) for key in used]


def _all_filter(query: exp.Expr, use: _Use) -> bool:
    """Whether all of WHERE is conditions on rows of the one table."""
    where = query.args.get("where")
    return len(list(conjuncts(where.this if where else None))) == len(use.filters)


def scan_name(key: TableKey) -> str:
    """The name of a table in fragment SQL."""
    return f"{key[0]}.{key[1]}"


def _base_sources(scope: Scope) -> Iterator[tuple[str, exp.Table]]:
    for alias, (_, source) in scope.selected_sources.items():
        if isinstance(source, exp.Table):
            yield alias, source


def _gather(use: _Use, schema: TableSchema, scope: Scope, alias: str, searches: Callable[[exp.Expr], bool]) -> None:
    use.uses += 1
    for column in scope.columns:
        if column.table != alias:
            continue
        if schema.has_column(column.name):
            use.columns[schema.column(column.name).name] = None
        elif column.name == HIDDEN_HANDLE:
            use.columns[HIDDEN_HANDLE] = None
    own = [condition for condition in _conditions(scope) if _only_of(condition, alias)]
    searched = [condition for condition in own if searches(condition)]
    ranges = key_ranges(schema, searched)
    if ranges is None:
        use.full = True
    else:
        use.ranges += ranges
    use.filters = tuple(own) if _filters_apply(scope, alias) else ()
    use.searched = tuple(searched) if use.filters else ()


def _conditions(scope: Scope) -> list[exp.Expr]:
    """What every row of the scope's result met: WHERE, and ON of inner joins when all joins are inner."""
    where = scope.expression.args.get("where")
    found = list(conjuncts(where.this if where else None))
    joins = scope.expression.args.get("joins") or []
    if not any(join.side in _OUTER_SIDES for join in joins):
        for join in joins:
            found += conjuncts(join.args.get("on"))
    return found


def _only_of(condition: exp.Expr, alias: str) -> bool:
    """Whether a condition is about this table alone, and can be checked on a row of it."""
    if condition.find(exp.Query, exp.AggFunc, exp.Window):
        return False
    columns = list(condition.find_all(exp.Column))
    return bool(columns) and all(column.table == alias for column in columns)


def _filters_apply(scope: Scope, alias: str) -> bool:
    """Whether rows failing WHERE may be dropped before the join: not on a side that an outer join fills with NULL."""
    joins = scope.expression.args.get("joins") or []
    sides = [join.side for join in joins]
    if not any(side in _OUTER_SIDES for side in sides):
        return True
    first = scope.expression.args["from_"].this.alias_or_name
    return alias == first and not any(side in ("RIGHT", "FULL") for side in sides)


def _scan(table: TableAccess, use: _Use, order: Order | None) -> ScanPlan:
    schema = table.schema
    columns = tuple(column.name for column in schema.columns if column.name in use.columns)
    columns += (HIDDEN_HANDLE,) if HIDDEN_HANDLE in use.columns else ()
    if not columns:
        # COUNT(*) needs rows, not values: the cheapest column there is.
        columns = (_narrowest(schema),)
    full = use.full or not schema.primary_key
    ranges = (table.range,) if full else tuple(merge_ranges(use.ranges))
    name = scan_name((schema.database.lower(), schema.name.lower()))
    if use.uses > 1:
        return ScanPlan(name, table, columns, ranges, full)
    paths = index_paths(table, use.searched, columns, use.hints, order)
    return ScanPlan(name, table, columns, ranges, full, use.filters, paths)


def _narrowest(schema: TableSchema) -> str:
    fixed = [column for column in schema.columns if not column.type.is_variable]
    return (fixed or list(schema.columns))[0].name
