"""The walk: every node of a query from MySQL's meaning to DuckDB's, children first, types on the way."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime

from sqlglot import exp

from rutile.parse.mysql_text import mysql_text
from rutile.translate.build import Typed, refuse
from rutile.translate.column_types import ColumnTypes
from rutile.translate.functions import translate_function
from rutile.translate.rules import RULES
from rutile.translate.sql_types import UNKNOWN, SqlType
from rutile_coprocessor.schema import TableSchema

Rule = Callable[["Translator", exp.Expr], Typed]
"""Gives a node's translation; it visits the children itself, as it wants them."""

STRUCTURE: frozenset[type[exp.Expr]] = frozenset({
    exp.Union, exp.Except, exp.Intersect, exp.With, exp.CTE, exp.From, exp.Table, exp.TableAlias, exp.Join,
    exp.Group, exp.Ordered, exp.Limit, exp.Offset, exp.Distinct, exp.WindowSpec, exp.Identifier, exp.Var,
    exp.Star, exp.DataType, exp.DataTypeParam, exp.Values, exp.Rollup,
})  # fmt: skip
"""Nodes that mean the same in both dialects whatever is in them."""


def duckdb_sql(
    query: exp.Expr,
    schemas: Mapping[str, TableSchema],
    *,
    now: datetime | None = None,
    wide_decimals: bool = False,
) -> str:
    """The text of a qualified MySQL query in DuckDB's dialect.

    `schemas` are by the table's name as the query writes it, in lower case. `now` is the statement's moment in the
    session's time zone; without it NOW() and its kin are refused. `wide_decimals` makes every product of DECIMALs a
    DECIMAL(38): several times slower, and what to do after DuckDB reported "Overflow in multiplication of DECIMAL(18)".
    Raises SqlError 1235 or 1305, naming what has no translation.
    """
    return to_duckdb(query, schemas, now=now, wide_decimals=wide_decimals).sql(dialect="duckdb")


def to_duckdb(
    query: exp.Expr,
    schemas: Mapping[str, TableSchema] | None = None,
    *,
    now: datetime | None = None,
    wide_decimals: bool = False,
) -> exp.Expr:
    """As `duckdb_sql`, as a new tree. Also takes a lone expression; `query` is left as it was."""
    return Translator(query, schemas or {}, now, wide_decimals).visit(query).node


class Translator:
    """One translation. Rules call `visit` for children, and `rebuild` to keep a node with its children translated."""

    def __init__(
        self, query: exp.Expr, schemas: Mapping[str, TableSchema], now: datetime | None, wide_decimals: bool
    ) -> None:
        self.now = now
        self.wide_decimals = wide_decimals
        self._done: dict[int, Typed] = {}
        self._columns = ColumnTypes(query, schemas, lambda node: self.visit(node).type)

    def visit(self, node: exp.Expr) -> Typed:
        """The translation of a node of the original query; asking twice gives the same."""
        found = self._done.get(id(node))
        if found is None:
            found = self._done[id(node)] = self._translate(node)
        return found

    def _translate(self, node: exp.Expr) -> Typed:
        found = _DISPATCH.get(type(node))
        if found is not None:
            rule, parts = found
            check_parts(node, parts)
            return rule(self, node)
        if isinstance(node, exp.Func):
            return translate_function(self, node)
        if type(node) in STRUCTURE:
            return Typed(self.rebuild(node), UNKNOWN)
        raise refuse(f"{node.key}: {mysql_text(node)[:80]}")

    def rebuild(self, node: exp.Expr, without: tuple[str, ...] = ()) -> exp.Expr:
        """The same kind of node over the translated children, except the parts named."""
        return type(node)(**{part: self._part(value) for part, value in node.args.items() if part not in without})

    def _part(self, value: object) -> object:
        if isinstance(value, list):
            return [self._part(item) for item in value]
        return self.visit(value).node if isinstance(value, exp.Expr) else value

    def visit_part(self, node: exp.Expr, part: str) -> Typed:
        """The translation of the child under that name."""
        return self.visit(node.args[part])

    def column_type(self, column: exp.Column) -> SqlType:
        return self._columns.of(column)


_COMMON_PARTS = frozenset({"this", "expression", "expressions"})
_DISPATCH: dict[type[exp.Expr], tuple[Rule, frozenset[str]]] = {
    kind: (rule, frozenset(parts.split())) for kinds, rule, parts in RULES for kind in kinds
}


def check_parts(node: exp.Expr, known: frozenset[str]) -> None:
    """Raises SqlError 1235 if the node has a part that its rule would overlook."""
    if "*" in known:
        return
    for part, value in node.args.items():
        if value and part not in _COMMON_PARTS and part not in known:
            raise refuse(f"{part} of {node.key.upper()}: {mysql_text(node)[:80]}")
