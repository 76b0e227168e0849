"""Aggregates and window functions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlglot import exp

from rutile.translate.build import (
    Typed,
    as_double,
    as_integer,
    as_number,
    as_plain_text,
    as_value,
    call,
    cast,
    refuse,
)
from rutile.translate.numbers import quotient
from rutile.translate.sql_types import DOUBLE, INT, TEXT, UNSIGNED, decimal
from rutile_coprocessor.partial_aggregate import APPROXIMATE

if TYPE_CHECKING:
    from rutile.translate.translator import Translator


def _argument(translator: Translator, node: exp.Expr) -> tuple[Typed, bool]:
    """The one argument of an aggregate, and whether it says DISTINCT."""
    inner = node.this
    if isinstance(inner, exp.Distinct):
        if len(inner.expressions) != 1:
            raise refuse(f"{node.key.upper()}(DISTINCT ...) of several values")
        return as_value(translator.visit(inner.expressions[0])), True
    return as_value(translator.visit(inner)), False


def _aggregate(kind: type[exp.Expr], value: exp.Expr, distinct: bool) -> exp.Expr:
    return kind(this=exp.Distinct(expressions=[value]) if distinct else value)


def total(translator: Translator, node: exp.Expr) -> Typed:
    """SUM: exact of exact numbers, of text the sum of the numbers it begins with."""
    value, distinct = _argument(translator, node)
    return _sum(as_number(value), distinct)


def _sum(value: Typed, distinct: bool) -> Typed:
    kind = decimal(value.type.scale) if value.type.is_exact else value.type
    return Typed(_aggregate(exp.Sum, value.node, distinct), kind)


def average(translator: Translator, node: exp.Expr) -> Typed:
    """AVG: of exact numbers a DECIMAL with four decimals more."""
    return _average(translator, node, None)


def _average(translator: Translator, node: exp.Expr, over: exp.Expr | None) -> Typed:
    value, distinct = _argument(translator, node)
    value = as_number(value)
    if not value.type.is_exact:
        return Typed(_windowed(_aggregate(exp.Avg, as_double(value), distinct), over), DOUBLE)
    summed = _sum(value, distinct)
    count = exp.Count(
        this=exp.Distinct(expressions=[value.node.copy()]) if distinct else value.node.copy(), big_int=True
    )
    return quotient(Typed(_windowed(summed.node, over), summed.type), Typed(_windowed(count, over), INT))


def extreme(translator: Translator, node: exp.Expr) -> Typed:
    """MIN, MAX, ANY_VALUE."""
    value, _ = _argument(translator, node)
    return Typed(type(node)(this=value.node), value.type)


def count(translator: Translator, node: exp.Expr) -> Typed:
    inner = node.this
    if isinstance(inner, exp.Star):
        return Typed(exp.Count(this=exp.Star(), big_int=True), INT)
    if isinstance(inner, exp.Distinct):
        values: list[exp.Expr] = [as_value(translator.visit(item)).node for item in inner.expressions]
        return Typed(exp.Count(this=exp.Distinct(expressions=values), big_int=True), INT)
    return Typed(exp.Count(this=as_value(translator.visit(inner)).node, big_int=True), INT)


def spread(translator: Translator, node: exp.Expr) -> Typed:
    """STD, STDDEV_SAMP, VARIANCE, VAR_SAMP."""
    value, distinct = _argument(translator, node)
    if distinct:
        raise refuse(f"{node.key.upper()}(DISTINCT ...)")
    return Typed(type(node)(this=as_double(value)), DOUBLE)


def group_concat(translator: Translator, node: exp.Expr) -> Typed:
    """GROUP_CONCAT([DISTINCT] x ORDER BY ... SEPARATOR s)."""
    inner, order = node.this, None
    if isinstance(inner, exp.Order):
        inner, order = inner.this, inner
    distinct = isinstance(inner, exp.Distinct)
    parts = inner.expressions if isinstance(inner, exp.Distinct) else [inner]
    value: exp.Expr = as_plain_text(translator.visit(parts[0]))
    for part in parts[1:]:
        value = exp.DPipe(this=value, expression=as_plain_text(translator.visit(part)))
    value = exp.Distinct(expressions=[value]) if distinct else value
    if order is not None:
        value = exp.Order(this=value, expressions=[translator.visit(item).node for item in order.expressions])
    separator = node.args.get("separator")
    text = exp.Literal.string(",") if separator is None else translator.visit(separator).node
    return Typed(exp.GroupConcat(this=value, separator=text), TEXT)


def approximate_distinct(translator: Translator, node: exp.Expr) -> Typed:
    """APPROX_COUNT_DISTINCT of one value: a sketch's guess, a few percent off where there are many."""
    value, _ = _argument(translator, node)
    return Typed(cast(exp.ApproxDistinct(this=value.node), "bigint"), INT)


def percentile(translator: Translator, arguments: list[exp.Expr]) -> Typed:
    """APPROX_PERCENTILE(x, p): the least value that p percent of the values do not exceed, p from 1 to 100."""
    share = arguments[1] if len(arguments) == 2 else None
    if not isinstance(share, exp.Literal) or not share.is_int or not 1 <= int(share.name) <= 100:
        raise refuse("APPROX_PERCENTILE() with a percentage that is no whole number from 1 to 100")
    value = as_value(translator.visit(arguments[0]))
    found = exp.Quantile(this=value.node, quantile=exp.Literal.number(str(int(share.name) / 100)))
    found.meta[APPROXIMATE] = True
    return Typed(found, value.type)


def bits(translator: Translator, node: exp.Expr) -> Typed:
    """BIT_AND, BIT_OR, BIT_XOR: of no rows, all ones or zero."""
    value, _ = _argument(translator, node)
    found = type(node)(this=call("mysql_bits", as_integer(value)))
    empty = (1 << 64) - 1 if isinstance(node, exp.BitwiseAndAgg) else 0
    nothing = cast(exp.Literal.number(empty), "ubigint")
    return Typed(exp.Coalesce(this=found, expressions=[nothing]), UNSIGNED)


# --- windows ----------------------------------------------------------------------------------------------------------


def window(translator: Translator, node: exp.Expr) -> Typed:
    """function OVER (...); AVG becomes a quotient of two windows."""
    if isinstance(node.this, exp.BitwiseAndAgg | exp.BitwiseOrAgg | exp.BitwiseXorAgg):
        raise refuse("bit aggregates over a window")
    parts = {part: value for part, value in node.args.items() if part != "this"}
    over = translator.rebuild(exp.Window(this=exp.Null(), **parts)) if parts else None
    if over is not None and over.args.get("order") and not over.args["order"].expressions:
        over.set("order", None)  # it named a constant
    if isinstance(node.this, exp.Avg):
        return _average(translator, node.this, over)
    inner = translator.visit(node.this)
    return Typed(_windowed(inner.node, over), inner.type)


def _windowed(aggregate: exp.Expr, over: exp.Expr | None) -> exp.Expr:
    if over is None:
        return aggregate
    built = over.copy()
    built.set("this", aggregate)
    return built


def neighbour(translator: Translator, node: exp.Expr) -> Typed:
    """LAG, LEAD, FIRST_VALUE, LAST_VALUE, NTH_VALUE."""
    value = as_value(translator.visit(node.this))
    parts = {part: translator.visit(child).node for part, child in node.args.items() if isinstance(child, exp.Expr)}
    parts["this"] = value.node
    return Typed(type(node)(**parts), value.type)


def place(translator: Translator, node: exp.Expr) -> Typed:
    """ROW_NUMBER, RANK, DENSE_RANK, NTILE, GROUPING."""
    return Typed(translator.rebuild(node), INT)


def share(translator: Translator, node: exp.Expr) -> Typed:
    """PERCENT_RANK and CUME_DIST."""
    return Typed(translator.rebuild(node), DOUBLE)


def nulls_kept(translator: Translator, node: exp.Expr) -> Typed:
    inner = translator.visit(node.this)
    return Typed(type(node)(this=inner.node), inner.type)
