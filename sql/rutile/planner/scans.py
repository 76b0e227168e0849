"""Scans: which columns and which key ranges of each table a query needs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from sqlglot import exp
from sqlglot.optimizer.scope import Scope

from rutile.errors import not_supported
from rutile.planner.bounds import conjuncts
from rutile.planner.hints import Engine, hinted_engine
from rutile.planner.index_paths import IndexHints, IndexPath, Order, index_paths, order_of, read_hints
from rutile.planner.join_keys import JoinKey, join_keys
from rutile.planner.names import TableKey, scopes_of
from rutile.planner.partitions import chosen_partitions, pruned
from rutile.planner.ranges import key_ranges, merge_ranges
from rutile.rows.access import TableAccess
from rutile.rows.partitions import Partitions
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
    partitions: tuple[int, ...] | None = None
    """Of a partitioned table, the numbers of those that are read; `ranges` are within them."""
    keys: tuple[JoinKey, ...] = ()
    """Columns that equal columns of other scans in each row of the result."""
    engine: Engine | None = None
    """Where its rows must come from: the row store (tikv) or, not through an index, the mirror (tiflash)."""

    @property
    def schema(self) -> TableSchema:
        return self.table.schema

    def on_engine(self, engine: Engine) -> ScanPlan:
        """The scan with all its rows from one storage."""
        return replace(self, engine=engine, paths=() if engine == "tiflash" else self.paths)

    @property
    def read_parts(self) -> list[TableAccess]:
        """The tables its rows lie in, in the order of their keys: its own, or the partitions that are read."""
        if self.partitions is None:
            return [self.table]
        parts = [self.table.parts[number] for number in self.partitions]
        return sorted(parts, key=lambda part: part.schema.table_id)


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
    partitions: set[int] = field(default_factory=set)
    """Those that any use needs."""
    chosen: frozenset[int] | None = None
    """PARTITION (...)."""
    keys: tuple[JoinKey, ...] = ()
    engine: Engine | None = None

    @property
    def own_keys(self) -> tuple[JoinKey, ...]:
        """The keys, if they hold of each of the table's rows that the query needs."""
        return self.keys if self.uses == 1 else ()


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
            use, chosen = uses[key], chosen_partitions(source, tables[key])
            if use.uses and chosen != use.chosen:
                raise not_supported("different partitions of one table in one query")
            use.chosen = chosen
            _gather(use, tables[key], scope, alias, searches)
            uses[key].hints = read_hints(source, scope.expression, tables[key])
            uses[key].engine = hinted_engine(scope.expression, alias) or uses[key].engine
        _gather_keys(scope, uses, tables)
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


def _gather(use: _Use, table: TableAccess, scope: Scope, alias: str, searches: Callable[[exp.Expr], bool]) -> None:
    schema = table.schema
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
    applies = _filters_apply(scope, alias)
    if table.partitions is not None:
        # Where rows that fail a condition may not be dropped, IS NULL can hold of rows that an outer join fills.
        telling = searched if applies else [each for each in searched if each.find(exp.Is, exp.Null) is None]
        use.partitions |= pruned(table.partitions, telling)
    use.filters = tuple(own) if applies else ()
    use.searched = tuple(searched) if use.filters else ()


def _gather_keys(scope: Scope, uses: Mapping[TableKey, _Use], tables: Mapping[TableKey, TableAccess]) -> None:
    """What the scope's conditions say of columns that are equal, for tables whose rows may be dropped before that."""
    found = {alias: (source.db.lower(), source.name.lower()) for alias, source in _base_sources(scope)}
    names = {
        alias: scan_name(key) for alias, key in found.items() if key in tables and _filters_apply(scope, alias)
    }  # fmt: skip
    by_name = {scan_name(key): key for key in found.values()}
    schemas = {alias: tables[found[alias]].schema for alias in names}
    for name, key in join_keys(_conditions(scope), names, schemas):
        uses[by_name[name]].keys += (key,)


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
    numbers = _numbers(table, use)
    if table.partitions is not None and numbers is not None:
        ranges = table.partitions.spread(ranges, numbers)
        order = None
    if use.uses > 1:
        return ScanPlan(name, table, columns, ranges, full, partitions=numbers, engine=use.engine)
    paths = index_paths(table, use.searched, columns, use.hints, order)
    if table.partitions is not None and numbers is not None:
        paths = tuple(_spread(path, table.partitions, numbers) for path in paths)
    return ScanPlan(
        name, table, columns, ranges, full, use.filters, paths if use.engine != "tiflash" else (),
        partitions=numbers, keys=use.own_keys, engine=use.engine,
    )  # fmt: skip


def _numbers(table: TableAccess, use: _Use) -> tuple[int, ...] | None:
    """The partitions to read, in order; None for a table without."""
    if table.partitions is None:
        return None
    return tuple(sorted(use.partitions if use.chosen is None else use.partitions & use.chosen))


def _spread(path: IndexPath, partitions: Partitions, numbers: Sequence[int]) -> IndexPath:
    """The path through the index of each of the partitions."""
    ranges = replace(path.ranges, ranges=partitions.spread(path.ranges.ranges, numbers))
    return replace(path, ranges=ranges)


def _narrowest(schema: TableSchema) -> str:
    fixed = [column for column in schema.columns if not column.type.is_variable]
    return (fixed or list(schema.columns))[0].name
