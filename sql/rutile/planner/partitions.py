"""Pruning: which partitions of a table can have rows that meet the conditions of a query.

What the conditions say of the columns that choose the partition (`ranges.column_bounds`) is held against what each
partition has: values that are fixed go the way rows go; bounds of a RANGE are compared with the partitions' own, if the
expression is a column or never falls where its column grows; of a LIST each value is looked at. A partition is left out
only if no row in it can meet the conditions.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence

from sqlglot import exp

from rutile.catalog.partitions import not_partitioned
from rutile.errors import SqlError
from rutile.planner.bounds import Bounds, column_bounds
from rutile.rows.access import TableAccess
from rutile.rows.partitions import ER_NO_PARTITION, Partitions
from rutile_coprocessor.schema import Scalar

MAX_COMBINATIONS = 1_024
"""More combinations of fixed values than this are not looked at one by one."""


def chosen_partitions(node: exp.Expr, table: TableAccess) -> frozenset[int] | None:
    """The partitions that PARTITION (p, ...) after a table's name chooses; None if there is none. Raises 1735, 1747."""
    chosen = node.args.get("partition")
    if chosen is None:
        return None
    if table.info.partitioning is None:
        raise not_partitioned()
    names = [each.name for each in chosen.expressions]
    return table.info.partitioning.chosen(names, table.schema.name)


def pruned(partitions: Partitions, conditions: Iterable[exp.Expr]) -> frozenset[int]:
    """The numbers of the partitions left."""
    bounds, _ = column_bounds(partitions.columns, conditions)
    of_columns = [bounds.get(column.id, Bounds()) for column in partitions.columns]
    fixed = _fixed(of_columns)
    if fixed is not None:
        return frozenset(_of_values(partitions, fixed))
    if partitions.term is not None and (len(of_columns) != 1 or not partitions.term.is_monotone):
        return frozenset(range(len(partitions)))
    return frozenset(number for number in range(len(partitions)) if _may_have(partitions, number, of_columns[0]))


def _fixed(bounds: Sequence[Bounds]) -> list[tuple[Scalar, ...]] | None:
    """The combinations of values that the columns can have; None if that is not told, or too many."""
    choices = [each.equal for each in bounds]
    count = 1
    for values in choices:
        if values is None:
            return None
        count *= len(values)
    return list(itertools.product(*(values or [] for values in choices))) if count <= MAX_COMBINATIONS else None


def _of_values(partitions: Partitions, fixed: Iterable[tuple[Scalar, ...]]) -> Iterator[int]:
    row: list[Scalar] = [None] * (max(partitions.positions) + 1)
    for values in fixed:
        for position, value in zip(partitions.positions, values, strict=True):
            row[position] = value
        try:
            yield partitions.number_of(row)
        except SqlError as error:
            if error.code != ER_NO_PARTITION:
                raise


def _may_have(partitions: Partitions, number: int, bounds: Bounds) -> bool:
    """Whether the partition can have a row whose first column is within `bounds`."""
    if _is_empty(bounds):
        return False
    if partitions.partitioning.kind.startswith("RANGE"):
        return _range_may_have(partitions, number, bounds)
    if partitions.partitioning.kind == "HASH":
        return True
    if partitions.term is not None and not partitions.term.is_column:
        return True
    return any(_within(values[0], bounds) for values, owner in partitions.listed.items() if owner == number)


def _is_empty(bounds: Bounds) -> bool:
    if bounds.low is None or bounds.high is None:
        return False
    return bounds.low > bounds.high or (bounds.low == bounds.high and (bounds.low_open or bounds.high_open))  # type: ignore[operator]


def _within(value: Scalar, bounds: Bounds) -> bool:
    if bounds.equal is not None:
        return value in bounds.equal
    if value is None:
        return not bounds.is_bounded
    if bounds.low is not None and (value < bounds.low or (bounds.low_open and value == bounds.low)):  # type: ignore[operator]
        return False
    return bounds.high is None or value < bounds.high or (value == bounds.high and not bounds.high_open)  # type: ignore[operator]


def _range_may_have(partitions: Partitions, number: int, bounds: Bounds) -> bool:
    lowest = partitions.bounds[number - 1][0] if number else None
    highest = partitions.bounds[number][0] if number < len(partitions.bounds) else None
    reaches = len(partitions.columns) > 1 and partitions.term is None
    """Whether rows of a partition can have its bound in the first column."""
    wanted = [bounds] if bounds.equal is None else [Bounds(low=each, high=each) for each in bounds.equal]
    for each in wanted:
        if bounds.equal is not None and each.low is None:
            if number == 0 or (lowest is not None and not lowest[0]):
                return True
            continue
        low, high = _image(partitions, each.low), _image(partitions, each.high)
        too_high = (
            low is not None
            and highest is not None
            and (low > highest if reaches and not each.low_open else low >= highest)
        )
        is_open = each.high_open and (partitions.term is None or partitions.term.is_column) and not reaches
        too_low = high is not None and lowest is not None and (high <= lowest if is_open else high < lowest)
        if not too_high and not too_low:
            return True
    return False


def _image(partitions: Partitions, value: Scalar) -> tuple[bool, Scalar] | None:
    """What the partitioning expression makes of a value of its one column."""
    if value is None:
        return None
    if partitions.term is None:
        return True, value
    row: list[Scalar] = [None] * (partitions.positions[0] + 1)
    row[partitions.positions[0]] = value
    return partitions.ordered(partitions.values_of(row))[0]
