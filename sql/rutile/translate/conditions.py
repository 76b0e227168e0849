"""Truth values, and the functions that choose between values."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlglot import exp

from rutile.parse.mysql_text import mysql_text
from rutile.translate.build import Typed, as_condition, as_type, as_value, paren, refuse, when
from rutile.translate.comparisons import comparison
from rutile.translate.sql_types import BOOL, SqlType, common

if TYPE_CHECKING:
    from rutile.translate.translator import Translator


def filter_clause(translator: Translator, node: exp.Expr) -> Typed:
    """WHERE and HAVING."""
    return Typed(type(node)(this=as_condition(translator.visit(node.this))), BOOL)


def connect(translator: Translator, node: exp.Expr) -> Typed:
    """AND and OR (also spelled && and ||)."""
    left, right = (as_condition(translator.visit_part(node, part)) for part in ("this", "expression"))
    return Typed(type(node)(this=left, expression=right), BOOL)


def negate(translator: Translator, node: exp.Expr) -> Typed:
    return Typed(exp.Not(this=paren(as_condition(translator.visit(node.this)))), BOOL)


def exclusive_or(translator: Translator, node: exp.Expr) -> Typed:
    left, right = (as_condition(translator.visit_part(node, part)) for part in ("this", "expression"))
    truths = [exp.Is(this=exp.Paren(this=side), expression=exp.Boolean(this=True)) for side in (left, right)]
    known = [exp.Not(this=exp.Is(this=exp.Paren(this=side.copy()), expression=exp.Null())) for side in (left, right)]
    differ = exp.NEQ(this=exp.Paren(this=truths[0]), expression=exp.Paren(this=truths[1]))
    return Typed(exp.Case(ifs=[when(exp.and_(*known), differ)]), BOOL)


def exists(translator: Translator, node: exp.Expr) -> Typed:
    return Typed(translator.rebuild(node), BOOL)


def is_test(translator: Translator, node: exp.Expr) -> Typed:
    """IS NULL, IS TRUE, IS FALSE, IS UNKNOWN."""
    left, right = translator.visit(node.this), node.args["expression"]
    if isinstance(right, exp.Null):
        return Typed(exp.Is(this=paren(left.node), expression=exp.Null()), BOOL)
    if isinstance(right, exp.Boolean):
        return Typed(exp.Is(this=paren(as_condition(left)), expression=right.copy()), BOOL)
    raise refuse(mysql_text(node))


def case(translator: Translator, node: exp.Expr) -> Typed:
    """CASE with and without an operand; its branches get the type they have in common."""
    operand = node.args.get("this")
    subject = None if operand is None else translator.visit(operand)
    branches = node.args["ifs"]
    values = [translator.visit(branch.args["true"]) for branch in branches]
    default = node.args.get("default")
    if default is not None:
        values.append(translator.visit(default))
    kind = _chosen_type(values)
    conditions = [
        as_condition(translator.visit(branch.this))
        if subject is None
        else comparison(exp.EQ, subject, translator.visit(branch.this))
        for branch in branches
    ]
    ifs = [when(condition, as_type(value, kind)) for condition, value in zip(conditions, values, strict=False)]
    built = exp.Case(ifs=ifs, default=None if default is None else as_type(values[-1], kind))
    return Typed(built, kind)


def _chosen_type(values: list[Typed]) -> SqlType:
    return common(value.type for value in values)


def if_function(translator: Translator, node: exp.Expr) -> Typed:
    """IF(condition, then, else)."""
    then, otherwise = translator.visit_part(node, "true"), translator.visit_part(node, "false")
    kind = _chosen_type([then, otherwise])
    condition = as_condition(translator.visit(node.this))
    return Typed(exp.Case(ifs=[when(condition, as_type(then, kind))], default=as_type(otherwise, kind)), kind)


def coalesce(translator: Translator, node: exp.Expr) -> Typed:
    """COALESCE and IFNULL."""
    values = [translator.visit(value) for value in (node.this, *node.expressions)]
    kind = _chosen_type(values)
    first, *rest = [as_type(value, kind) for value in values]
    return Typed(exp.Coalesce(this=first, expressions=rest), kind)


def nullif(translator: Translator, node: exp.Expr) -> Typed:
    left, right = as_value(translator.visit(node.this)), translator.visit_part(node, "expression")
    equal = comparison(exp.EQ, left, right)
    return Typed(exp.Case(ifs=[when(equal, exp.Null())], default=left.node.copy()), left.type)


def extreme(translator: Translator, node: exp.Expr) -> Typed:
    """GREATEST and LEAST: NULL if any argument is, which DuckDB's ignore."""
    values = [translator.visit(value) for value in (node.this, *node.expressions)]
    kind = _chosen_type([as_value(value) for value in values])
    first, *rest = [as_type(as_value(value), kind) for value in values]
    nulls = [exp.Is(this=paren(value.copy()), expression=exp.Null()) for value in (first, *rest)]
    found = type(node)(this=first, expressions=rest, ignore_nulls=True)
    return Typed(exp.Case(ifs=[when(exp.or_(*nulls), exp.Null())], default=found), kind)
