"""How many rows meet conditions: selectivities from histograms, and the defaults where there are none."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal

from sqlglot import exp

from rutile.planner.bounds import Bounds, column_bounds
from rutile.planner.index_paths import IndexPath
from rutile.planner.scans import ScanPlan
from rutile.statistics.model import ColumnStatistics, TableStatistics
from rutile_coprocessor.schema import Column, Scalar

UNKNOWN = 0.8
"""Of a condition that nothing is known of: TiDB's selection factor."""
UNKNOWN_EQUAL = 0.1
UNKNOWN_RANGE = 1 / 3
"""System R's, for a column without statistics."""


def scan_rows(scan: ScanPlan, table: TableStatistics) -> float:
    """About how many rows of a scan meet its filters."""
    return table.rows * selectivity(scan.filters, scan.schema.columns, table)


def path_rows(scan: ScanPlan, path: IndexPath, table: TableStatistics) -> float:
    """About how many entries the ranges of an index path hold."""
    columns = path.index.columns if path.index is not None else scan.schema.primary_key_columns
    used = columns[: path.ranges.equal + path.ranges.bounded]
    rows = table.rows * selectivity(scan.filters, used, table, only=True)
    return rows if path.limit is None else min(rows, path.limit)


def selectivity(
    conditions: Iterable[exp.Expr], columns: Sequence[Column], table: TableStatistics, *, only: bool = False
) -> float:
    """The share of a table's rows that meet all conditions; with `only`, what they say of `columns` and no more."""
    bounds, rest = column_bounds(columns, conditions)
    share = 1.0
    for column in columns:
        if column.id in bounds:
            share *= _bounds_share(bounds[column.id], table.columns.get(column.id), table.rows)
    if only:
        return share
    for condition in rest:
        share *= _other_share(condition, columns, table)
    return share


def _other_share(condition: exp.Expr, columns: Sequence[Column], table: TableStatistics) -> float:
    """Of a condition that is no bound of one column."""
    match condition:
        case exp.Or():
            left, right = (
                selectivity([side.unnest()], columns, table) for side in (condition.this, condition.expression)
            )
            return left + right - left * right
        case exp.Not(this=inner):
            return 1 - selectivity([inner.unnest()], columns, table)
        case exp.NEQ(this=left, expression=right):
            return 1 - selectivity([exp.EQ(this=left.copy(), expression=right.copy())], columns, table)
        case exp.EQ():
            return UNKNOWN_EQUAL
        case exp.LT() | exp.LTE() | exp.GT() | exp.GTE() | exp.Between() | exp.Like():
            return UNKNOWN_RANGE
    return UNKNOWN


def _bounds_share(bounds: Bounds, column: ColumnStatistics | None, rows: int) -> float:
    if rows == 0:
        return 0.0
    if column is None:
        if bounds.equal is not None:
            return min(1.0, UNKNOWN_EQUAL * len(bounds.equal))
        return UNKNOWN_RANGE if bounds.is_bounded else 1.0
    if bounds.equal is not None:
        return min(1.0, sum(equal_rows(value, column) for value in bounds.equal) / rows)
    if not bounds.is_bounded:
        return 1.0
    below_low = 0.0 if bounds.low is None else rows_below(bounds.low, column, with_equal=bounds.low_open)
    present = _present(column)
    below_high = present if bounds.high is None else rows_below(bounds.high, column, with_equal=not bounds.high_open)
    return min(1.0, max(1.0, below_high - below_low) / rows)


def _present(column: ColumnStatistics) -> float:
    """Rows in which the column is not NULL."""
    histogram = column.buckets[-1].rows if column.buckets else 0.0
    return histogram + sum(rows for _, rows in column.common)


def equal_rows(value: Scalar, column: ColumnStatistics) -> float:
    """About how many rows have the value."""
    if value is None:
        return float(column.nulls)
    for known, rows in column.common:
        if known == value:
            return rows
    others = column.distinct - len(column.common)
    rest = column.buckets[-1].rows if column.buckets else 0.0
    if _is_outside(value, column) or not rest:
        return min(1.0, rest)
    return rest / max(1, others)


def _is_outside(value: Scalar, column: ColumnStatistics) -> bool:
    try:
        return value < column.low or value > column.high  # type: ignore[operator]
    except TypeError:
        return False


def rows_below(value: Scalar, column: ColumnStatistics, *, with_equal: bool) -> float:
    """About how many rows have smaller values (or equal ones, if asked for)."""
    try:
        return _common_below(value, column, with_equal) + _histogram_below(value, column, with_equal)
    except TypeError:  # the constant is of another kind than the values
        return UNKNOWN_RANGE * _present(column)


def _common_below(value: Scalar, column: ColumnStatistics, with_equal: bool) -> float:
    smaller = [rows for known, rows in column.common if known < value]  # type: ignore[operator]
    return sum(smaller) + sum(rows for known, rows in column.common if with_equal and known == value)


def _histogram_below(value: Scalar, column: ColumnStatistics, with_equal: bool) -> float:
    buckets = column.buckets
    place = bisect_left(buckets, value, key=lambda bucket: bucket.high)
    if place == len(buckets):
        return buckets[-1].rows if buckets else 0.0
    before = buckets[place - 1].rows if place else 0.0
    bucket = buckets[place]
    if value == bucket.high:
        return bucket.rows if with_equal else bucket.rows - bucket.repeats
    low = buckets[place - 1].high if place else column.low
    return before + (bucket.rows - bucket.repeats - before) * _share_of(low, value, bucket.high)


def _share_of(low: Scalar, value: Scalar, high: Scalar) -> float:
    """Where `value` lies between two others, 0 to 1; for texts, the middle."""
    numbers = [_as_number(each) for each in (low, value, high)]
    if any(each is None for each in numbers):
        return 0.5
    start, at, end = (float(each) for each in numbers if each is not None)
    return 0.5 if end <= start else min(1.0, max(0.0, (at - start) / (end - start)))


def _as_number(value: Scalar) -> float | None:
    match value:
        case int() | float() | Decimal():
            return float(value)
        case datetime():
            return (value - datetime(1970, 1, 1)).total_seconds()
        case date():
            return float(value.toordinal())
        case timedelta():
            return value.total_seconds()
    return None
