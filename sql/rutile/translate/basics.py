"""Queries and leaves: SELECT, columns, literals."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlglot import exp

from rutile.translate.build import Typed, as_condition, as_number, as_value, call, number, refuse
from rutile.translate.sql_types import BINARY, BOOL, INT, NULL, TEXT, TUPLE, UNKNOWN, UNSIGNED, of_literal

if TYPE_CHECKING:
    from rutile.translate.translator import Translator

BINARY_COLLATIONS = ("utf8mb4_bin", "utf8_bin", "binary")


def select(translator: Translator, node: exp.Expr) -> Typed:
    """SELECT: truth values leave as numbers, WITH ROLLUP becomes GROUP BY ROLLUP."""
    built = translator.rebuild(node, without=("hint", "operation_modifiers", "locks", "kind"))
    built.set("expressions", [as_value(translator.visit(item)).node for item in node.expressions])
    if not built.args.get("order") or not built.args["order"].expressions:
        built.set("order", None)
    group = built.args.get("group")
    if group is not None and any(not rollup.expressions for rollup in group.args.get("rollup") or []):
        rollup = exp.Rollup(expressions=group.expressions)
        built.set("group", exp.Group(expressions=[], rollup=[rollup]))
    return Typed(built, UNKNOWN)


def subquery(translator: Translator, node: exp.Expr) -> Typed:
    """A subquery has the type of its first column, which is what matters where it stands for a value."""
    built = translator.rebuild(node)
    selects = node.this.selects if isinstance(node.this, exp.Query) else []
    kind = as_value(translator.visit(selects[0])).type if len(selects) == 1 else UNKNOWN
    return Typed(built, kind)


def table(translator: Translator, node: exp.Expr) -> Typed:
    """A table; index hints are advice to another optimiser."""
    return Typed(translator.rebuild(node, without=("hints",)), UNKNOWN)


def order(translator: Translator, node: exp.Expr) -> Typed:
    """ORDER BY, without constants: ORDER BY NULL says that no order is wanted."""
    items = [item for item in node.expressions if not isinstance(item.this, exp.Null) and not item.this.is_string]
    return Typed(exp.Order(expressions=[translator.visit(item).node for item in items]), UNKNOWN)


def ordered(translator: Translator, node: exp.Expr) -> Typed:
    """One key of ORDER BY: an ENUM or SET is ordered by its number."""
    query = node.parent.parent if node.parent is not None else None
    chosen = _chosen_column(translator, node.this, query) if isinstance(query, exp.Select) else None
    value = chosen or translator.visit(node.this)
    if value.type.enumeration is None:
        return Typed(translator.rebuild(node), UNKNOWN)
    if isinstance(query, exp.Select) and query.args.get("distinct") is not None:
        raise refuse("ORDER BY of an ENUM or SET with DISTINCT (GROUP BY its column instead)")
    built = node.copy()
    built.set("this", as_number(value).node)
    return Typed(built, UNKNOWN)


def _chosen_column(translator: Translator, key: exp.Expr, query: exp.Select) -> Typed | None:
    """What ORDER BY names by its alias or its place in the SELECT list."""
    for place, item in enumerate(query.selects, start=1):
        by_place = isinstance(key, exp.Literal) and key.name == str(place)
        by_name = isinstance(key, exp.Column) and not key.table and key.name == item.alias_or_name
        if by_place or by_name:
            return Typed(exp.column(exp.to_identifier(item.alias_or_name, quoted=True)), translator.visit(item).type)
    return None


def join(translator: Translator, node: exp.Expr) -> Typed:
    """Any join; STRAIGHT_JOIN is an inner one."""
    built = translator.rebuild(node)
    if str(node.args.get("kind") or "").upper().startswith("STRAIGHT"):
        built.set("kind", None)
    if node.args.get("on") is not None:
        built.set("on", as_condition(translator.visit_part(node, "on")))
    return Typed(built, UNKNOWN)


def alias(translator: Translator, node: exp.Expr) -> Typed:
    value = as_value(translator.visit(node.this))
    return Typed(exp.Alias(this=value.node, alias=node.args["alias"].copy()), value.type)


def column(translator: Translator, node: exp.Expr) -> Typed:
    assert isinstance(node, exp.Column)
    if isinstance(node.this, exp.Star):
        return Typed(node.copy(), UNKNOWN)
    plain = exp.Column(this=node.this.copy(), table=_copy(node.args.get("table")))
    return Typed(plain, translator.column_type(node))


def _copy(node: exp.Expr | None) -> exp.Expr | None:
    return None if node is None else node.copy()


def literal(translator: Translator, node: exp.Expr) -> Typed:
    assert isinstance(node, exp.Literal)
    return Typed(node.copy(), of_literal(node))


def null(translator: Translator, node: exp.Expr) -> Typed:
    return Typed(exp.Null(), NULL)


def boolean(translator: Translator, node: exp.Expr) -> Typed:
    return Typed(node.copy(), BOOL)


def hex_string(translator: Translator, node: exp.Expr) -> Typed:
    """x'4D' and 0x4D are bytes."""
    digits = node.name
    return Typed(call("unhex", digits if len(digits) % 2 == 0 else "0" + digits), BINARY)


def bit_string(translator: Translator, node: exp.Expr) -> Typed:
    """b'101' counts as a number where one is wanted, which is all it is used for."""
    value = int(node.name, 2)
    if value >= 1 << 64:
        raise refuse("bit literals over 64 bits")
    return Typed(number(value), UNSIGNED if value >= 1 << 63 else INT)


def introduced_text(translator: Translator, node: exp.Expr) -> Typed:
    """_utf8mb4'...' and N'...': all text is UTF-8 here."""
    if isinstance(node, exp.National):
        return Typed(exp.Literal.string(node.name), TEXT)
    name = str(node.name).lower()
    inner = translator.visit(node.args["expression"])
    if name == "_binary":
        return Typed(call("encode", inner.node), BINARY)
    if name not in ("_utf8mb4", "_utf8", "_utf8mb3", "_ascii"):
        raise refuse(f"character set introducer {name}")
    return inner


def collate(translator: Translator, node: exp.Expr) -> Typed:
    """Only the collation that everything has anyway."""
    name = node.args["expression"].name.lower()
    if name not in BINARY_COLLATIONS:
        raise refuse(f"COLLATE {name} (text compares as in utf8mb4_bin)")
    return translator.visit(node.this)


def paren(translator: Translator, node: exp.Expr) -> Typed:
    days = _to_days_argument(node)
    if days is not None:
        return Typed(call("mysql_to_days", translator.visit(days).node), INT)
    inner = translator.visit(node.this)
    return Typed(exp.Paren(this=inner.node), inner.type)


def _to_days_argument(node: exp.Expr) -> exp.Expr | None:
    """The date in what sqlglot makes of TO_DAYS(date): (date - '0000-01-01' in days, plus 1)."""
    added = node.this
    if not isinstance(added, exp.Add) or not isinstance(added.this, exp.DateDiff):
        return None
    origin = added.this.expression
    is_origin = isinstance(origin, exp.TsOrDsToDate) and origin.this.name == "0000-01-01"
    return added.this.this if is_origin else None


def tuple_of(translator: Translator, node: exp.Expr) -> Typed:
    items = [as_value(translator.visit(item)).node for item in node.expressions]
    return Typed(exp.Tuple(expressions=items), TUPLE)
