"""Key ranges from conditions: what part of a table, or of an index, a query has to read.

From the conjuncts of WHERE that compare a key column with a constant, column by column in key order: as long as there
are equalities (=, IN, IS NULL) they fix a prefix of the key; the first column with only bounds (<, <=, >, >=, BETWEEN)
closes the range; what comes after cannot narrow it. The conditions stay in the query, so a range may be wider than
needed but never narrower. `KeyRanges.exact` says that it is not wider either.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from sqlglot import exp

from rutile.expressions.compile import Environment, NotCompilable, constant_value
from rutile.planner.key_values import NotExact, key_value
from rutile.rows.index_access import IndexAccess
from rutile.session.storage import KeyRange
from rutile_coprocessor.handles import HandleCodec
from rutile_coprocessor.index_entries import NOT_NULL
from rutile_coprocessor.schema import Column, Scalar, TableSchema
from rutile_proto import keys

MAX_RANGES = 1_024
"""More key combinations than this are read as one wider range."""


@dataclass(frozen=True, slots=True)
class KeyShape:
    """What ranges of a key are made with."""

    columns: tuple[Column, ...]
    lengths: tuple[int | None, ...]
    """Of columns that the key has only a prefix of."""
    start: bytes
    encode: Callable[[Sequence[Scalar]], bytes]
    with_nulls: bool
    """Index keys hold NULLs, before every value."""


def primary_shape(schema: TableSchema) -> KeyShape:
    """The rows of a table that has a primary key."""
    columns = schema.primary_key_columns
    encode = HandleCodec(schema).encode_prefix
    return KeyShape(columns, (None,) * len(columns), keys.record_prefix(schema.table_id), encode, with_nulls=False)


def index_shape(index: IndexAccess) -> KeyShape:
    """The entries of an index."""
    lengths = tuple(part.length for part in index.info.columns)
    return KeyShape(index.columns, lengths, index.prefix, index.codec.encode, with_nulls=True)


@dataclass(frozen=True, slots=True)
class KeyRanges:
    """Sorted ranges of keys, and how they came about."""

    ranges: tuple[KeyRange, ...]
    equal: int
    """How many leading columns are fixed to values."""
    bounded: bool
    """Whether the column after those has bounds."""
    exact: bool
    """The ranges hold no row that fails the conditions."""
    shown: str
    """For EXPLAIN: [1 2,1 3), ..."""


@dataclass(slots=True)
class Bounds:
    """What conditions say of one column."""

    equal: list[Scalar] | None = None
    """The values it can have; None when not limited to some."""
    low: Scalar = None
    low_open: bool = False
    high: Scalar = None
    high_open: bool = False
    conditions: int = 0
    """How many conditions are wholly told by this."""

    @property
    def is_bounded(self) -> bool:
        return self.low is not None or self.high is not None


@dataclass(slots=True)
class _Conditions:
    shape: KeyShape
    environment: Environment = field(default_factory=Environment)
    by_column: dict[int, Bounds] = field(default_factory=dict)

    def of(self, column: Column) -> Bounds:
        return self.by_column.setdefault(column.id, Bounds())

    def column(self, node: exp.Expr) -> Column | None:
        """The key column that `node` is."""
        if not isinstance(node, exp.Column):
            return None
        name = node.name.lower()
        return next((column for column in self.shape.columns if column.name.lower() == name), None)


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
    found = ranges_of(primary_shape(schema), list(conditions))
    return list(found.ranges) if found.equal or found.bounded else None


def ranges_of(shape: KeyShape, conditions: Sequence[exp.Expr], environment: Environment | None = None) -> KeyRanges:
    """The ranges of a key; one over all of it when the conditions say nothing of its first column. Parameters in the
    conditions have their values in `environment`."""
    found = _Conditions(shape) if environment is None else _Conditions(shape, environment)
    for condition in conditions:
        column = _read(condition, found)
        if column is not None:
            found.of(column).conditions += 1
    return _build(found, len(conditions))


def column_bounds(
    columns: Sequence[Column], conditions: Iterable[exp.Expr]
) -> tuple[dict[int, Bounds], list[exp.Expr]]:
    """What `conditions` say of each of the columns, by id, and those that say something else, or more."""
    found = _Conditions(KeyShape(tuple(columns), (None,) * len(columns), b"", lambda _: b"", with_nulls=True))
    rest = [condition for condition in conditions if _read(condition, found) is None]
    return found.by_column, rest


def _read(condition: exp.Expr, found: _Conditions) -> Column | None:
    """Take in what `condition` says; the column if it says no more than that."""
    if isinstance(condition, exp.Between):
        low = _bound(exp.GTE, condition.this, condition.args["low"], found)
        high = _bound(exp.LTE, condition.this, condition.args["high"], found)
        return low if low is not None and high is not None else None
    if isinstance(condition, exp.In):
        return _read_in(condition, found)
    if isinstance(condition, exp.Or):
        return _read_or(condition, found)
    if isinstance(condition, exp.Is) and isinstance(condition.expression, exp.Null):
        return _read_null(condition, found)
    if type(condition) in _MIRRORED:
        left, right = condition.this, condition.expression
        if isinstance(left, exp.Column):
            return _bound(type(condition), left, right, found)
        if isinstance(right, exp.Column):
            return _bound(_MIRRORED[type(condition)], right, left, found)
    return None


def _read_or(condition: exp.Or, found: _Conditions) -> Column | None:
    """a = 1 OR a = 2 OR ... as a IN (1, 2, ...)."""
    parts = [part.unnest() for part in condition.flatten()]
    columns = {
        part.this.name.lower() for part in parts if isinstance(part, exp.EQ) and isinstance(part.this, exp.Column)
    }
    if len(columns) == 1 and all(isinstance(part, exp.EQ) and isinstance(part.this, exp.Column) for part in parts):
        choices = [part.expression.copy() for part in parts]
        return _read_in(exp.In(this=parts[0].this.copy(), expressions=choices), found)
    return None


def _read_null(condition: exp.Is, found: _Conditions) -> Column | None:
    column = found.column(condition.this)
    if column is None or not found.shape.with_nulls:
        return None
    _limit_to(found.of(column), [None])
    return column


_MIRRORED: dict[type[exp.Expr], type[exp.Expr]] = {
    exp.EQ: exp.EQ, exp.LT: exp.GT, exp.LTE: exp.GTE, exp.GT: exp.LT, exp.GTE: exp.LTE,
}  # fmt: skip


def _constant(column: Column, node: exp.Expr, environment: Environment) -> Scalar:
    """The value of a constant expression as a value of `column`. Raises NotExact if it is not exactly one."""
    if node.find(exp.Column):
        raise NotExact
    try:
        return key_value(column, constant_value(node, environment))
    except NotCompilable as error:
        raise NotExact from error


def _bound(comparison: type[exp.Expr], left: exp.Expr, right: exp.Expr, found: _Conditions) -> Column | None:
    column = found.column(left)
    if column is None:
        return None
    try:
        value = _constant(column, right, found.environment)
    except NotExact:
        return None
    if column.type.is_enumerated and comparison is not exp.EQ:
        return None  # compared as texts, kept by number
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
    return column


def _read_in(condition: exp.In, found: _Conditions) -> Column | None:
    column = found.column(condition.this)
    if column is None or condition.args.get("query") or not condition.expressions:
        return None
    try:
        values = [_constant(column, choice, found.environment) for choice in condition.expressions]
    except NotExact:
        return None
    _limit_to(found.of(column), values)
    return column


def _limit_to(bounds: Bounds, values: list[Scalar]) -> None:
    bounds.equal = values if bounds.equal is None else [value for value in bounds.equal if value in values]


def _build(found: _Conditions, conditions: int) -> KeyRanges:
    shape, told, exact = found.shape, 0, True
    prefixes: list[tuple[Scalar, ...]] = [()]
    last = Bounds()
    for column in shape.columns:
        bounds = found.by_column.get(column.id, Bounds())
        if bounds.equal is None:
            last = bounds
            told += bounds.conditions
            break
        extended = [(*prefix, value) for prefix in prefixes for value in dict.fromkeys(bounds.equal)]
        if len(extended) > MAX_RANGES:
            known = [value for value in bounds.equal if value is not None]
            last = Bounds() if column.type.is_enumerated else Bounds(low=min(known), high=max(known))
            exact = False
            break
        # A column that is both fixed and bounded keeps its bounds as conditions only.
        told += bounds.conditions if not bounds.is_bounded else 0
        prefixes = extended
    equal = len(prefixes[0]) if prefixes else len(shape.columns)
    used = shape.lengths[: equal + last.is_bounded]
    made = [_range(shape, prefix, last) for prefix in prefixes]
    ranges = merge_ranges([(low, high) for low, high in made if low < high])
    exact = exact and told == conditions and all(length is None for length in used)
    shown = ", ".join(_shown(prefix, last) for prefix in prefixes[:_MAX_SHOWN]) + (
        ", …" if len(prefixes) > _MAX_SHOWN else ""
    )
    return KeyRanges(tuple(ranges), equal, last.is_bounded, exact, shown)


_MAX_SHOWN = 8


def _shown(prefix: tuple[Scalar, ...], bounds: Bounds) -> str:
    """One range as TiDB's EXPLAIN writes it."""
    fixed = ["NULL" if value is None else str(value) for value in prefix]
    if not bounds.is_bounded:
        return f"[{' '.join(fixed)},{' '.join(fixed)}]" if fixed else "[NULL,+inf]"
    low = "-inf" if bounds.low is None else str(bounds.low)
    high = "+inf" if bounds.high is None else str(bounds.high)
    opening = "(" if bounds.low_open or bounds.low is None else "["
    closing = ")" if bounds.high_open or bounds.high is None else "]"
    return f"{opening}{' '.join([*fixed, low])},{' '.join([*fixed, high])}{closing}"


def _range(shape: KeyShape, prefix: tuple[Scalar, ...], bounds: Bounds) -> KeyRange:
    base = shape.start + shape.encode(prefix)
    low, high = base, keys.prefix_next(base)
    cut = bounds.is_bounded and shape.lengths[len(prefix)] is not None
    if bounds.low is not None:
        low = shape.start + shape.encode((*prefix, bounds.low))
        low = keys.prefix_next(low) if bounds.low_open and not cut else low
    elif bounds.high is not None and shape.with_nulls:
        low = base + NOT_NULL
    if bounds.high is not None:
        high = shape.start + shape.encode((*prefix, bounds.high))
        high = high if bounds.high_open and not cut else keys.prefix_next(high)
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
