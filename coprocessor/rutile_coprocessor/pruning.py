"""Which values a fragment's conditions leave of a scan's columns, so that whole chunks of rows need not be read.

    SELECT ... FROM s0 WHERE s0.day >= DATE '2026-01-01' AND s0.n BETWEEN 1 AND 5 AND ...

leaves of `s0` nothing but rows with day in [2026-01-01, ∞) and n in [1, 5]. Only comparisons of a bare column with a
constant count, among the conditions that all hold (WHERE's ANDs) in the SELECT that reads the scan. Such a comparison
is never true of NULL; so rows that fail it may be missing even on the side of an outer join that is filled with NULLs,
for what is filled in fails it too. They may not be missing from an ASOF join, which would find another partner, nor
from a sample. Bounds are taken as if they belonged to the range: that reads a chunk too many, never one too few.

A scan read in several places keeps a row that any of them may want. (Twin: tests/coprocessor/test_pruning.py.)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any, TypeAlias

import sqlglot
from sqlglot import exp

Value: TypeAlias = int | float | Decimal | date | datetime
Evaluate = Callable[[Sequence[str]], Sequence[object]]
"""Gives the values of constant expressions; None for what has no value."""
_SLACK = 1e-9
"""Of a double: conversions and comparisons of doubles are not trusted to the last bits."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """A column's values lie in [low, high]; None: no bound on that side. The column's name is in lower case."""

    column: str
    low: Value | None
    high: Value | None


Use: TypeAlias = tuple[Bounds, ...]
"""What one place that reads a scan wants of it: rows within all the bounds."""


@dataclass(frozen=True, slots=True)
class _Comparison:
    column: str
    lows: tuple[exp.Expr, ...]
    highs: tuple[exp.Expr, ...]


def scan_bounds(sql: str, scan_names: Sequence[str], evaluate: Evaluate) -> Mapping[str, tuple[Use, ...]]:
    """For each scan of which not all rows are wanted, by its name: what each place that reads it wants."""
    tree = sqlglot.parse_one(sql, read="duckdb")
    if tree.find(exp.Where) is None:
        return {}
    ctes = {cte.alias.lower() for cte in tree.find_all(exp.CTE)}
    found: dict[str, tuple[Use, ...]] = {}
    for name in scan_names:
        uses = [] if name.lower() in ctes else [_comparisons(table) for table in _tables(tree, name)]
        if uses and all(uses):
            bounded = tuple(_bounded(use, evaluate) for use in uses)
            if all(bounded):
                found[name] = bounded
    return found


def _tables(tree: exp.Expr, name: str) -> Iterator[exp.Table]:
    return (table for table in tree.find_all(exp.Table) if table.name.lower() == name.lower())


def _comparisons(table: exp.Table) -> list[_Comparison]:
    """Those that all rows of the table meet which its SELECT can use."""
    select = table.find_ancestor(exp.Select)
    where = None if select is None else select.args.get("where")
    if select is None or where is None or table.args.get("sample") or not _is_direct(select, table):
        return []
    alias, is_alone = table.alias_or_name.lower(), not select.args.get("joins")
    found = (_comparison(each, alias, is_alone) for each in conjuncts(where.this))
    return [each for each in found if each is not None]


def conjuncts(condition: exp.Expr) -> Iterator[exp.Expr]:
    """The conditions that all hold where this one does: what its ANDs join."""
    for each in condition.unnest().flatten() if isinstance(condition.unnest(), exp.And) else [condition.unnest()]:
        if isinstance(each, exp.And | exp.Paren):
            yield from conjuncts(each)
        else:
            yield each


def _is_direct(select: exp.Select, table: exp.Table) -> bool:
    """Whether the table stands in FROM or in a join that drops no rows for want of others."""
    source = select.args.get("from_")
    joins = select.args.get("joins") or []
    if any(join.args.get("method") for join in joins):
        return False
    sources = [source.this if source else None, *(join.this for join in joins)]
    return any(each is table for each in sources)


def _comparison(condition: exp.Expr, alias: str, is_alone: bool) -> _Comparison | None:
    def column_of(node: exp.Expr | None) -> str | None:
        if not isinstance(node, exp.Column):
            return None
        is_ours = node.table.lower() == alias or (is_alone and not node.table)
        return node.name.lower() if is_ours else None

    if isinstance(condition, exp.Between):
        lows, highs = [condition.args["low"]], [condition.args["high"]]
        column = column_of(condition.this)
    elif isinstance(condition, exp.In):
        lows = highs = condition.expressions
        column = column_of(condition.this) if lows and not condition.args.get("query") else None
    elif type(condition) in _SIDES:
        column, (has_low, has_high) = column_of(condition.this), _SIDES[type(condition)]
        value = condition.expression
        if column is None:
            column, value, has_low, has_high = column_of(condition.expression), condition.this, has_high, has_low
        lows, highs = [value] if has_low else [], [value] if has_high else []
    else:
        return None
    if column is None or not all(map(_is_constant, [*lows, *highs])):
        return None
    return _Comparison(column, tuple(lows), tuple(highs))


_SIDES: dict[type[exp.Expr], tuple[bool, bool]] = {
    exp.EQ: (True, True),
    exp.GT: (True, False),
    exp.GTE: (True, False),
    exp.LT: (False, True),
    exp.LTE: (False, True),
}
"""Whether the value compared with bounds a column on the left from below, and from above."""


def _is_constant(node: exp.Expr) -> bool:
    return node.find(exp.Column, exp.Query, exp.AggFunc, exp.Window, exp.Star) is None


def _bounded(comparisons: Sequence[_Comparison], evaluate: Evaluate) -> Use:
    texts = [each.sql(dialect="duckdb") for one in comparisons for each in (*one.lows, *one.highs)]
    values = iter(evaluate(texts))
    found = []
    for one in comparisons:
        lows = [_value(next(values)) for _ in one.lows]
        highs = [_value(next(values)) for _ in one.highs]
        if None not in lows and None not in highs:
            ends = _ends([each for each in lows if each is not None], [each for each in highs if each is not None])
            found += [] if ends is None else [Bounds(one.column, *ends)]
    return tuple(found)


def _ends(lows: Sequence[Value], highs: Sequence[Value]) -> tuple[Value | None, Value | None] | None:
    """The least of `lows` and the largest of `highs`; None for values of different kinds."""
    moments = [isinstance(each, date) for each in (*lows, *highs)]
    if any(moments) and not all(moments):
        return None
    return min(lows, key=_comparable, default=None), max(highs, key=_comparable, default=None)


# --- values -----------------------------------------------------------------------------------------------------------


def _value(found: object) -> Value | None:
    """The value if it is of a kind that bounds are made of."""
    if isinstance(found, bool) or not isinstance(found, int | float | Decimal | date):
        return None
    if isinstance(found, float) and math.isnan(found):
        return None
    return None if isinstance(found, datetime) and found.tzinfo is not None else found


def _comparable(value: Value) -> Any:
    """What orders values of one kind exactly: Python compares integers, decimals and doubles by their true values."""
    return _moment(value) if isinstance(value, date) else value


def _moment(value: date) -> datetime:
    return value if isinstance(value, datetime) else datetime(value.year, value.month, value.day)


def is_above(one: Value, other: Value) -> bool:
    """Whether `one` is surely above `other`; never for values that do not compare."""
    if isinstance(one, date) or isinstance(other, date):
        return isinstance(one, date) and isinstance(other, date) and _moment(one) > _moment(other)
    if isinstance(one, float) or isinstance(other, float):
        return float(one) - float(other) > _SLACK * max(1.0, abs(float(one)), abs(float(other)))
    return one > other


def may_hold(bounds: Bounds, low: Value, high: Value) -> bool:
    """Whether a column whose values lie in [low, high] may have one within the bounds."""
    too_low = bounds.low is not None and is_above(bounds.low, high)
    too_high = bounds.high is not None and is_above(low, bounds.high)
    return not (too_low or too_high)
