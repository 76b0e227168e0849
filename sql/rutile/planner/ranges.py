"""Primary-key ranges from conditions: what part of a table a query has to read.

From the conjuncts of WHERE that compare a key column with a constant, column by column in key order: as long as there
are equalities (= or IN) they fix a prefix of the key; the first column with only bounds (<, <=, >, >=, BETWEEN) closes
the range; what comes after cannot narrow it. The conditions stay in the query, so a range may be wider than needed but
never narrower.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from sqlglot import exp

from rutile.expressions.compile import Environment, NotCompilable, constant_value
from rutile.planner.key_values import NotExact, key_value
from rutile.storage import KeyRange
from rutile_coprocessor.handles import HandleCodec
from rutile_coprocessor.schema import Column, Scalar, TableSchema
from rutile_proto import keys

MAX_RANGES = 1_024
"""More key combinations than this are read as one wider range."""


@dataclass(slots=True)
class _Bounds:
    """What the conditions say of one column."""

    equal: list[Scalar] | None = None
    """The values it can have; None when not limited to some."""
    low: Scalar = None
    low_open: bool = False
    high: Scalar = None
    high_open: bool = False


@dataclass(slots=True)
class _Conditions:
    by_column: dict[int, _Bounds] = field(default_factory=dict)

    def of(self, column: Column) -> _Bounds:
        return self.by_column.setdefault(column.id, _Bounds())


def conjuncts(condition: exp.Expr | None) -> Iterator[exp.Expr]:
    """The conditions that must all hold."""
    if condition is None:
        return
    if isinstance(condition, exp.And):
        yield from conjuncts(condition.this)
        yield from conjuncts(condition.expression)
    elif isinstance(condition, exp.Paren):
        yield from conjuncts(condition.this)
    else:
        yield condition


def key_ranges(schema: TableSchema, conditions: Iterable[exp.Expr]) -> list[KeyRange] | None:
    """The ranges of user keys that hold every row meeting all `conditions`, in order; None for the whole table.

    Columns in `conditions` must all belong to this table. An empty list means that no row can meet them.
    """
    if schema.handle == "hidden":
        return None
    found = _Conditions()
    for condition in conditions:
        _read(schema, condition, found)
    return _build(schema, found)


def _read(schema: TableSchema, condition: exp.Expr, found: _Conditions) -> None:
    if isinstance(condition, exp.Between):
        _bound(schema, exp.GTE, condition.this, condition.args["low"], found)
        _bound(schema, exp.LTE, condition.this, condition.args["high"], found)
    elif isinstance(condition, exp.In):
        _read_in(schema, condition, found)
    elif isinstance(condition, exp.Or):
        _read_or(schema, condition, found)
    elif type(condition) in _MIRRORED:
        left, right = condition.this, condition.expression
        if isinstance(left, exp.Column):
            _bound(schema, type(condition), left, right, found)
        elif isinstance(right, exp.Column):
            _bound(schema, _MIRRORED[type(condition)], right, left, found)


def _read_or(schema: TableSchema, condition: exp.Or, found: _Conditions) -> None:
    """a = 1 OR a = 2 OR ... as a IN (1, 2, ...)."""
    parts = [part.unnest() for part in condition.flatten()]
    columns = {
        part.this.name.lower() for part in parts if isinstance(part, exp.EQ) and isinstance(part.this, exp.Column)
    }
    if len(columns) == 1 and all(isinstance(part, exp.EQ) and isinstance(part.this, exp.Column) for part in parts):
        choices = [part.expression.copy() for part in parts]
        _read_in(schema, exp.In(this=parts[0].this.copy(), expressions=choices), found)


_MIRRORED: dict[type[exp.Expr], type[exp.Expr]] = {
    exp.EQ: exp.EQ, exp.LT: exp.GT, exp.LTE: exp.GTE, exp.GT: exp.LT, exp.GTE: exp.LTE,
}  # fmt: skip


def _key_column(schema: TableSchema, node: exp.Expr) -> Column | None:
    if not isinstance(node, exp.Column) or not schema.has_column(node.name):
        return None
    column = schema.column(node.name)
    return column if column.id in schema.primary_key else None


def _constant(column: Column, node: exp.Expr) -> Scalar:
    """The value of a constant expression as a value of `column`. Raises NotExact if it is not exactly one."""
    if node.find(exp.Column):
        raise NotExact
    try:
        return key_value(column, constant_value(node, Environment()))
    except NotCompilable as error:
        raise NotExact from error


def _bound(
    schema: TableSchema,
    comparison: type[exp.Expr],
    left: exp.Expr,
    right: exp.Expr,
    found: _Conditions,
) -> None:
    column = _key_column(schema, left)
    if column is None:
        return
    try:
        value = _constant(column, right)
    except NotExact:
        return
    bounds = found.of(column)
    if comparison is exp.EQ:
        _limit_to(bounds, [value])
    elif comparison in (exp.GT, exp.GTE):
        if bounds.low is None or value >= bounds.low:  # type: ignore[operator]
            bounds.low_open = comparison is exp.GT or (bounds.low_open and value == bounds.low)
            bounds.low = value
    elif bounds.high is None or value <= bounds.high:  # type: ignore[operator]
        bounds.high_open = comparison is exp.LT or (bounds.high_open and value == bounds.high)
        bounds.high = value


def _read_in(schema: TableSchema, condition: exp.In, found: _Conditions) -> None:
    column = _key_column(schema, condition.this)
    if column is None or condition.args.get("query") or not condition.expressions:
        return
    try:
        values = [_constant(column, choice) for choice in condition.expressions]
    except NotExact:
        return
    _limit_to(found.of(column), values)


def _limit_to(bounds: _Bounds, values: list[Scalar]) -> None:
    bounds.equal = values if bounds.equal is None else [value for value in bounds.equal if value in values]


def _build(schema: TableSchema, found: _Conditions) -> list[KeyRange] | None:
    codec = HandleCodec(schema)
    prefixes: list[tuple[Scalar, ...]] = [()]
    for column in schema.primary_key_columns:
        bounds = found.by_column.get(column.id, _Bounds())
        if bounds.equal is None:
            break
        extended = [(*prefix, value) for prefix in prefixes for value in dict.fromkeys(bounds.equal)]
        if len(extended) > MAX_RANGES:
            bounds = _Bounds(low=min(bounds.equal), high=max(bounds.equal))  # type: ignore[type-var]
            break
        prefixes = extended
    else:
        bounds = _Bounds()
    if prefixes == [()] and bounds.low is None and bounds.high is None:
        return None
    start = keys.record_prefix(schema.table_id)
    ranges = [_range(codec, start, prefix, bounds) for prefix in prefixes]
    return sorted((low, high) for low, high in ranges if low < high)


def _range(codec: HandleCodec, start: bytes, prefix: Sequence[Scalar], bounds: _Bounds) -> KeyRange:
    base = start + codec.encode_prefix(prefix)
    low, high = base, keys.prefix_next(base)
    if bounds.low is not None:
        low = start + codec.encode_prefix((*prefix, bounds.low))
        low = keys.prefix_next(low) if bounds.low_open else low
    if bounds.high is not None:
        high = start + codec.encode_prefix((*prefix, bounds.high))
        high = high if bounds.high_open else keys.prefix_next(high)
    return low, high


def merge_ranges(ranges: Sequence[KeyRange]) -> list[KeyRange]:
    """The same keys in sorted ranges that do not touch."""
    merged: list[KeyRange] = []
    for low, high in sorted(ranges):
        if merged and low <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(high, merged[-1][1]))
        else:
            merged.append((low, high))
    return merged
