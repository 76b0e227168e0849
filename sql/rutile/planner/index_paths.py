"""Access paths: the ways by which the rows of one scan can be found through an index.

Which paths there are is a matter of the statement: an index whose first columns the conditions fix or bound, an index
in the order a LIMIT asks for, an index the statement names in a hint. Which of them is taken is decided when the query
runs, by asking the index itself (`rutile.execution.index_read`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from sqlglot import exp

from rutile.errors import SqlError
from rutile.planner.ranges import KeyRanges, index_shape, primary_shape, ranges_of
from rutile.rows.access import TableAccess
from rutile.rows.index_access import IndexAccess
from rutile_coprocessor.index_entries import NOT_NULL
from rutile_coprocessor.schema import HIDDEN_HANDLE

ER_KEY_DOES_NOT_EXIST = 1176
PRIMARY = "primary"


@dataclass(frozen=True)
class IndexPath:
    """Entries of an index (None: the rows themselves, by primary key) that lead to all rows a scan needs."""

    index: IndexAccess | None
    ranges: KeyRanges
    covering: bool
    """The entries hold every column the scan needs."""
    forced: bool = False
    """The statement asks for it: it is taken however many entries there are."""
    limit: int | None = None
    """The first so many entries are enough."""
    reverse: bool = False
    """They are the last ones rather than the first."""

    @property
    def is_unique(self) -> bool:
        """At most one row for each range."""
        if self.index is None or not self.index.info.unique:
            return False
        return self.ranges.equal == len(self.index.columns)

    @property
    def name(self) -> str:
        return self.index.info.name if self.index is not None else "PRIMARY"


@dataclass(frozen=True, slots=True)
class IndexHints:
    """USE, FORCE and IGNORE INDEX of one table; names in lower case. `wanted` None: any.

    USE leaves the choice between the indexes named and none; FORCE takes one of them however many entries there are.
    """

    wanted: frozenset[str] | None = None
    ignored: frozenset[str] = frozenset()
    force: bool = False

    def allows(self, name: str) -> bool:
        return name.lower() not in self.ignored and (self.wanted is None or name.lower() in self.wanted)


@dataclass(frozen=True, slots=True)
class Order:
    """The rows a query needs are the first `count` in the order of `columns` (all ascending, or all `descending`)."""

    columns: tuple[str, ...]
    descending: bool
    count: int
    skips_nulls: bool = False
    """For MIN and MAX."""


def read_hints(table: exp.Table, select: exp.Expr, access: TableAccess) -> IndexHints:
    """The hints of one table of a query. Raises 1176 for an index it has not."""
    wanted: set[str] | None = None
    ignored: set[str] = set()
    force = False
    for kind, names in _hints(table, select):
        for name in names:
            if name.lower() != PRIMARY and access.info.index(name) is None:
                message = f"Key '{name}' doesn't exist in table '{access.schema.name}'"
                raise SqlError(ER_KEY_DOES_NOT_EXIST, message, sqlstate="42000")
        if kind == "IGNORE":
            ignored.update(name.lower() for name in names)
        else:
            wanted = (wanted or set()) | {name.lower() for name in names}
            force = force or kind == "FORCE"
    return IndexHints(None if wanted is None else frozenset(wanted), frozenset(ignored), force)


def _hints(table: exp.Table, select: exp.Expr) -> Iterator[tuple[str, list[str]]]:
    for hint in table.args.get("hints") or []:
        if isinstance(hint, exp.IndexTableHint):
            yield str(hint.this).split()[0].upper(), [part.name for part in hint.expressions]
    comment = select.args.get("hint")
    for hint in comment.expressions if comment is not None else []:
        kind = _COMMENT_HINTS.get(hint.name.upper()) if isinstance(hint, exp.Anonymous) else None
        names = [part.name for part in hint.expressions] if kind else []
        if kind and names and names[0].lower() == table.alias_or_name.lower():
            yield kind, names[1:]


_COMMENT_HINTS = {"USE_INDEX": "USE", "FORCE_INDEX": "FORCE", "IGNORE_INDEX": "IGNORE"}


def index_paths(
    table: TableAccess, conditions: Sequence[exp.Expr], columns: Sequence[str], hints: IndexHints, order: Order | None
) -> tuple[IndexPath, ...]:
    """The paths for a scan of `columns`, the most promising first; none if the conditions fit no index."""
    found = []
    for index in table.indexes:
        if not index.info.is_public or not hints.allows(index.info.name):
            continue
        ranges = ranges_of(index_shape(index), conditions)
        path = IndexPath(index, ranges, _covers(table, index, columns), hints.force)
        path = _ordered(path, [column.name for column in index.columns], order)
        if ranges.equal or ranges.bounded or path.limit is not None or hints.force:
            found.append(path)
    if not table.is_hidden and hints.allows("PRIMARY"):
        path = IndexPath(None, ranges_of(primary_shape(table.schema), conditions), covering=True)
        path = _ordered(path, [column.name for column in table.schema.primary_key_columns], order)
        if path.limit is not None:
            found.append(path)
    return tuple(sorted(found, key=_promise))


def _promise(path: IndexPath) -> tuple[bool, bool, int, int]:
    return (not path.is_unique, path.limit is None, -2 * path.ranges.equal - path.ranges.bounded, -path.covering)


def _covers(table: TableAccess, index: IndexAccess, columns: Sequence[str]) -> bool:
    held = {column.name for column, part in zip(index.columns, index.info.columns, strict=True) if part.length is None}
    held |= {column.name for column in table.schema.primary_key_columns}
    return all(name in held or name == HIDDEN_HANDLE for name in columns)


def _ordered(path: IndexPath, names: list[str], order: Order | None) -> IndexPath:
    """The path with the LIMIT it satisfies by its own order: one exact range, read from one end."""
    ranges = path.ranges
    if order is None or not ranges.exact or len(ranges.ranges) != 1:
        return path
    index_order = tuple(name.lower() for name in names[ranges.equal :])
    prefixes = [] if path.index is None else [part.length for part in path.index.info.columns[ranges.equal :]]
    if index_order[: len(order.columns)] != order.columns:
        return path
    if any(length is not None for length in prefixes[: len(order.columns)]):
        return path
    low, high = ranges.ranges[0]
    if order.skips_nulls and path.index is not None and not ranges.bounded:
        low += NOT_NULL
    return replace(path, ranges=replace(ranges, ranges=((low, high),)), limit=order.count, reverse=order.descending)


def order_of(query: exp.Expr) -> Order | None:
    """What a query over one table asks for in order: ORDER BY columns LIMIT n, or one MIN or MAX."""
    if not isinstance(query, exp.Select):
        return None
    args = query.args
    if any(args.get(name) for name in ("joins", "group", "having", "distinct", "with_", "windows", "qualify")):
        return None
    if query.find(exp.Subquery, exp.Window, exp.Exists) is not None:
        return None
    return _extreme(query) or _top(query)


def _extreme(query: exp.Select) -> Order | None:
    """SELECT MIN(column) or MAX(column), alone."""
    if len(query.expressions) != 1 or query.args.get("limit") is not None or query.args.get("order") is not None:
        return None
    call = query.expressions[0].unalias()
    if type(call) not in (exp.Min, exp.Max) or not isinstance(call.this, exp.Column) or call.expressions:
        return None
    return Order((call.this.name.lower(),), isinstance(call, exp.Max), 1, skips_nulls=True)


def _top(query: exp.Select) -> Order | None:
    limit, order, offset = query.args.get("limit"), query.args.get("order"), query.args.get("offset")
    if limit is None or order is None or any(item.find(exp.AggFunc) for item in query.expressions):
        return None
    counts = [limit.expression, offset.expression if offset is not None else exp.Literal.number(0)]
    if not all(isinstance(count, exp.Literal) and count.name.isdigit() for count in counts):
        return None
    columns, directions = [], set()
    for item in order.expressions:
        column = _sorted_by(item.this, query)
        if column is None:
            return None
        columns.append(column)
        directions.add(bool(item.args.get("desc")))
    if len(directions) != 1:
        return None
    return Order(tuple(columns), directions.pop(), sum(int(count.name) for count in counts))


def _sorted_by(node: exp.Expr, query: exp.Select) -> str | None:
    """The table's column that ORDER BY names, directly or as an alias of the result."""
    if not isinstance(node, exp.Column):
        return None
    if node.table:
        return node.name.lower()
    for item in query.expressions:
        if item.alias_or_name.lower() == node.name.lower():
            inner = item.unalias()
            return inner.name.lower() if isinstance(inner, exp.Column) else None
    return None
