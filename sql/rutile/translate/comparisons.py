"""Comparisons between any two types, as MySQL makes them comparable."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sqlglot import exp

from rutile.parse.mysql_text import mysql_text
from rutile.rows.readings import datetime_of
from rutile.translate.build import (
    Typed,
    as_binary,
    as_datetime,
    as_double,
    as_number,
    as_plain_text,
    as_time,
    as_value,
    call,
    cast,
    paren,
    refuse,
)
from rutile.translate.sql_types import BOOL, INT, Base, SqlType

if TYPE_CHECKING:
    from rutile.translate.translator import Translator

_LOOSE = (Base.NULL, Base.UNKNOWN)


def compare(translator: Translator, node: exp.Expr) -> Typed:
    """= <> < <= > >= and <=>."""
    right = node.args["expression"]
    if isinstance(right, exp.Any | exp.All):
        return _compare_to_rows(translator, node, right)
    left = translator.visit(node.this)
    return Typed(comparison(type(node), left, translator.visit(right)), BOOL)


def comparison(kind: type[exp.Expr], left: Typed, right: Typed) -> exp.Expr:
    """`left kind right` of two translated sides."""
    if left.type.base is Base.TUPLE or right.type.base is Base.TUPLE:
        return _compare_tuples(kind, left.node, right.node)
    one, other = comparable(left, right)
    return kind(this=paren(one), expression=paren(other))


def _compare_tuples(kind: type[exp.Expr], left: exp.Expr, right: exp.Expr) -> exp.Expr:
    same_length = isinstance(left, exp.Tuple) and isinstance(right, exp.Tuple)
    if kind not in (exp.EQ, exp.NEQ, exp.NullSafeEQ) or not same_length:
        raise refuse("this comparison of rows")
    return kind(this=left, expression=right)


def _compare_to_rows(translator: Translator, node: exp.Expr, rows: exp.Expr) -> Typed:
    """`= ANY (SELECT ...)`: both sides must be comparable as they are."""
    left, right = as_value(translator.visit(node.this)), translator.visit(rows.this)
    _check_same_family(left, right, node)
    built = type(node)(this=paren(left.node), expression=type(rows)(this=right.node))
    return Typed(built, BOOL)


def comparable(left: Typed, right: Typed) -> tuple[exp.Expr, exp.Expr]:
    """Both sides in a form in which DuckDB compares them as MySQL would."""
    if left.type.base is Base.BOOL and right.type.base is Base.BOOL:
        return left.node, right.node
    json_sides = _json_booleans(left, right) or _json_booleans(right, left)
    if json_sides is not None:
        return json_sides
    left, right = as_value(left), as_value(right)
    bases = {left.type.base, right.type.base}
    if bases & set(_LOOSE) or _family(left.type) == _family(right.type):
        return left.node, right.node
    if Base.TIME in bases and not bases & {Base.INT, Base.DECIMAL, Base.DOUBLE}:
        return as_time(left), as_time(right)
    if left.type.is_moment or right.type.is_moment:
        return _moments(left, right)
    if left.type.is_number or right.type.is_number:
        return _numbers(left, right)
    if Base.BINARY in bases:
        return as_binary(left), as_binary(right)
    return as_plain_text(left), as_plain_text(right)


def _json_booleans(document: Typed, literal: Typed) -> tuple[exp.Expr, exp.Expr] | None:
    """JSON against TRUE or FALSE, which are JSON's there; which side is which does not matter to = and <>."""
    if document.type.base is not Base.JSON or not isinstance(literal.node, exp.Boolean):
        return None
    return cast(document.node, "varchar"), exp.Literal.string("true" if literal.node.this else "false")


def _family(kind: SqlType) -> object:
    if kind.is_number:
        return "number"
    if kind.is_moment:
        return "moment"
    return "text" if kind.is_text else kind.base


def _numbers(left: Typed, right: Typed) -> tuple[exp.Expr, exp.Expr]:
    """A number and a text: as doubles; a text literal that spells an integer is that integer."""
    return _number_side(left, right), _number_side(right, left)


def _number_side(side: Typed, other: Typed) -> exp.Expr:
    if side.is_text_literal and other.type.is_exact and side.node.name.lstrip("-").isdigit():
        return as_number(Typed(exp.Literal.number(side.node.name), INT)).node
    if side.type.is_exact and (other.is_text_literal and other.node.name.lstrip("-").isdigit()):
        return side.node
    if side.type.base is Base.BINARY:
        raise refuse(f"comparing bytes with a number: {mysql_text(side.node)}")
    return as_double(side)


def _moments(left: Typed, right: Typed) -> tuple[exp.Expr, exp.Expr]:
    """A date against text or a number: the other side is read as a date."""
    return _moment_side(left, right), _moment_side(right, left)


def _moment_side(side: Typed, other: Typed) -> exp.Expr:
    if side.type.is_moment:
        keeps_date = side.type.base is Base.DATE and _midnight(other)
        return side.node if side.type.base is Base.DATETIME or keeps_date else as_datetime(side)
    if side.type.is_text or (side.type.base is Base.INT and side.literal is not None):
        if other.type.base is Base.DATE and _midnight(side):
            return cast(_moment_text(side), "date")
        return as_datetime(side) if side.type.is_text else cast(_moment_text(side), "timestamp")
    raise refuse(f"comparing a date with {mysql_text(side.node)}")


def _midnight(side: Typed) -> bool:
    moment = None if side.literal is None else datetime_of(side.literal)
    return moment is not None and moment.time().isoformat() == "00:00:00"


def _moment_text(side: Typed) -> exp.Expr:
    moment = None if side.literal is None else datetime_of(side.literal)
    return exp.Null() if moment is None else exp.Literal.string(moment.isoformat(sep=" "))


def between(translator: Translator, node: exp.Expr) -> Typed:
    """BETWEEN, as two comparisons where its three sides are not alike."""
    value = translator.visit(node.this)
    low, high = translator.visit_part(node, "low"), translator.visit_part(node, "high")
    above, least = comparable(value, low)
    below, most = comparable(value, high)
    if above == below:
        return Typed(exp.Between(this=paren(above), low=paren(least), high=paren(most)), BOOL)
    over = exp.GTE(this=paren(above), expression=paren(least))
    under = exp.LTE(this=paren(below), expression=paren(most))
    return Typed(exp.Paren(this=exp.And(this=over, expression=under)), BOOL)


def membership(translator: Translator, node: exp.Expr) -> Typed:
    """IN over a list or a subquery."""
    value = as_value(translator.visit(node.this))
    if node.args.get("query") is not None:
        rows = translator.visit_part(node, "query")
        if value.type.base is not Base.TUPLE:
            _check_same_family(value, rows, node)
        return Typed(exp.In(this=paren(value.node), query=rows.node), BOOL)
    items = [translator.visit(item) for item in node.expressions]
    if value.type.base is Base.TUPLE:
        return Typed(exp.In(this=value.node, expressions=[item.node for item in items]), BOOL)
    return Typed(_in_list(value, items), BOOL)


def _in_list(value: Typed, items: Sequence[Typed]) -> exp.Expr:
    pairs = [comparable(value, item) for item in items]
    if all(left == pairs[0][0] for left, _ in pairs):
        return exp.In(this=paren(pairs[0][0]), expressions=[right for _, right in pairs])
    tests = [exp.EQ(this=paren(left.copy()), expression=paren(right)) for left, right in pairs]
    return exp.paren(exp.or_(*tests))


def _check_same_family(left: Typed, right: Typed, node: exp.Expr) -> None:
    loose = left.type.base in _LOOSE or right.type.base in _LOOSE
    if not loose and _family(left.type) != _family(right.type):
        raise refuse(f"comparing {left.type.base.name} with rows of {right.type.base.name}: {mysql_text(node)[:60]}")


# --- patterns ---------------------------------------------------------------------------------------------------------


def like(translator: Translator, node: exp.Expr) -> Typed:
    """[NOT] LIKE, whose escape character is a backslash unless another is named."""
    value, pattern = _pattern_sides(translator, node)
    built: exp.Expr = exp.Like(this=paren(value), expression=paren(pattern))
    if not isinstance(pattern, exp.Literal) or "\\" in pattern.name:
        built = exp.Escape(this=built, expression=exp.Literal.string("\\"))
    return _negated(built, node)


def like_escape(translator: Translator, node: exp.Expr) -> Typed:
    value, pattern = _pattern_sides(translator, node.this)
    built = exp.Like(this=paren(value), expression=paren(pattern))
    return _negated(exp.Escape(this=built, expression=translator.visit_part(node, "expression").node), node.this)


def _negated(test: exp.Expr, node: exp.Expr) -> Typed:
    return Typed(exp.Not(this=exp.Paren(this=test)) if node.args.get("negate") else test, BOOL)


def _pattern_sides(translator: Translator, node: exp.Expr) -> tuple[exp.Expr, exp.Expr]:
    left, right = translator.visit(node.this), translator.visit(node.args["expression"])
    return as_plain_text(left), as_plain_text(right)


def regexp_like(translator: Translator, node: exp.Expr) -> Typed:
    """REGEXP, RLIKE, REGEXP_LIKE: case counts, as in utf8mb4_bin."""
    value, pattern = _pattern_sides(translator, node)
    if node.args.get("flag") is not None:
        options = as_plain_text(translator.visit_part(node, "flag"))
        return Typed(call("mysql_regexp_like", value, pattern, options), BOOL)
    return Typed(call("regexp_matches", value, pattern), BOOL)
