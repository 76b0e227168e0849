"""Key ranges from conditions: what part of a table, or of an index, a query has to read.

From the conjuncts of WHERE that compare a key column with a constant (`rutile.planner.bounds`), column by column in key
order: as long as there are equalities (=, IN, IS NULL) they fix a prefix of the key; the first column with only bounds
(<, <=, >, >=, BETWEEN, LIKE 'text%') closes the range; what comes after cannot narrow it. The conditions stay in the
query, so a range may be wider than needed but never narrower. `KeyRanges.exact` says that it is not wider either.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from sqlglot import exp

from rutile.expressions.compile import Environment
from rutile.planner.bounds import Bounds, Conditions
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
    found = Conditions(shape.columns, shape.with_nulls, environment or Environment())
    for condition in conditions:
        found.read(condition)
    return _build(shape, found, len(conditions))


def _build(shape: KeyShape, found: Conditions, conditions: int) -> KeyRanges:
    told, exact = 0, True
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
