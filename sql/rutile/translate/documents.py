"""JSON: what is found in documents, and documents made of values."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from sqlglot import exp

from rutile.parse.mysql_text import mysql_text
from rutile.translate.build import Typed, as_json, as_plain_text, call, refuse
from rutile.translate.casts import convert
from rutile.translate.sql_types import INT, JSON, TEXT

if TYPE_CHECKING:
    from rutile.translate.translator import Translator

_SIMPLE_PATH = re.compile(r"\$(\.[A-Za-z_]\w*|\[\d+\])*")
"""Paths that DuckDB understands as MySQL does."""


def extract(translator: Translator, node: exp.Expr) -> Typed:
    """JSON_EXTRACT and ->, and ->> which takes off the quotes."""
    document = as_plain_text(translator.visit(node.this))
    where = _path(translator, node.args["expression"])
    if isinstance(node, exp.JSONExtractScalar):
        is_simple = isinstance(where, exp.Literal) and _SIMPLE_PATH.fullmatch(where.name)
        return Typed(call("mysql_json_scalar" if is_simple else "mysql_json_extract_text", document, where), TEXT)
    more = [_path(translator, item) for item in node.expressions]
    return Typed(call("mysql_json_extract", document, where, *more), JSON)


def path(translator: Translator, node: exp.Expr) -> Typed:
    """A literal path, which sqlglot has taken apart, as text."""
    written = mysql_text(exp.JSONExtract(this=exp.column("x"), expression=node.copy()))
    return Typed(exp.Literal.string(written.partition("'")[2].rpartition("'")[0]), TEXT)


def _path(translator: Translator, node: exp.Expr) -> exp.Expr:
    return as_plain_text(translator.visit(node))


def value(translator: Translator, node: exp.Expr) -> Typed:
    """JSON_VALUE(document, path [RETURNING type])."""
    if node.args.get("on_condition") is not None:
        raise refuse("ON EMPTY and ON ERROR of JSON_VALUE")
    found = call("mysql_json_value", as_plain_text(translator.visit(node.this)), _path(translator, node.args["path"]))
    target = node.args.get("returning")
    return convert(Typed(found, TEXT), target) if target else Typed(found, TEXT)


def object_of(translator: Translator, node: exp.Expr) -> Typed:
    """JSON_OBJECT(key, value, ...)."""
    return Typed(call("mysql_json_object", *_members(translator, node)), JSON)


def _members(translator: Translator, node: exp.Expr) -> list[exp.Expr]:
    read: list[exp.Expr] = []
    for pair in node.expressions:
        if not isinstance(pair, exp.JSONKeyValue):
            raise refuse(f"{node.key.upper()} of something other than keys and values")
        read += [as_plain_text(translator.visit(pair.this)), as_json(translator.visit(pair.expression))]
    return read


def array_aggregate(translator: Translator, arguments: list[exp.Expr]) -> Typed:
    """JSON_ARRAYAGG: NULLs count; NULL for no rows."""
    (argument,) = arguments
    item = exp.Coalesce(this=as_json(translator.visit(argument)), expressions=[exp.Literal.string("null")])
    return Typed(_enclosed("[", _joined(item), "]"), JSON)


def object_aggregate(translator: Translator, node: exp.Expr) -> Typed:
    """JSON_OBJECTAGG: the last of equal keys counts; NULL for no rows."""
    key, item = _members(translator, node)
    quoted: exp.Expr = call("mysql_json_quote", key)
    value = exp.Coalesce(this=item, expressions=[exp.Literal.string("null")])
    pair = exp.DPipe(this=exp.DPipe(this=quoted, expression=exp.Literal.string(": ")), expression=value)
    return Typed(call("mysql_json", _enclosed("{", _joined(pair), "}")), JSON)


def _joined(item: exp.Expr) -> exp.Expr:
    return exp.GroupConcat(this=item, separator=exp.Literal.string(", "))


def _enclosed(left: str, middle: exp.Expr, right: str) -> exp.Expr:
    opened = exp.DPipe(this=exp.Literal.string(left), expression=middle)
    return exp.Paren(this=exp.DPipe(this=opened, expression=exp.Literal.string(right)))


def member_of(translator: Translator, node: exp.Expr) -> Typed:
    """value MEMBER OF (array)."""
    array = as_plain_text(translator.visit_part(node, "expression"))
    return Typed(call("mysql_json_member_of", as_json(translator.visit(node.this)), array), INT)
