"""Views in a query: each is replaced by its own query, as a subquery of the view's name, until there are none left."""

from __future__ import annotations

from collections.abc import Callable

from sqlglot import exp

from rutile.catalog.view_info import ViewInfo
from rutile.errors import SqlError
from rutile.parse.tree import parse_tree
from rutile.planner.names import TableKey

FindView = Callable[[TableKey], ViewInfo | None]
MAX_DEPTH = 32
ER_VIEW_INVALID = 1356
ER_VIEW_RECURSIVE = 1462


def expand_views(expression: exp.Expr, database: str | None, find: FindView) -> exp.Expr:
    """The query without views (changed in place). Raises 1356 for a view whose query gives other columns now."""
    for _ in range(MAX_DEPTH):
        found = [(node, view) for node, view in _named(expression, database, find) if view is not None]
        if not found:
            return expression
        for node, view in found:
            node.replace(_subquery(node, view))
    raise SqlError(ER_VIEW_RECURSIVE, f"views are nested over {MAX_DEPTH} deep")


def _named(expression: exp.Expr, database: str | None, find: FindView) -> list[tuple[exp.Table, ViewInfo | None]]:
    tables = stored_tables(expression)
    return [(node, find(((node.db or database or "").lower(), node.name.lower()))) for node in tables]


def stored_tables(expression: exp.Expr) -> list[exp.Table]:
    """The tables a query names, other than its own CTEs."""
    ctes = {cte.alias.lower() for cte in expression.find_all(exp.CTE)}
    tables = [node for node in expression.find_all(exp.Table) if isinstance(node.this, exp.Identifier)]
    return [node for node in tables if node.db or node.name.lower() not in ctes]


def in_database(expression: exp.Expr, database: str) -> exp.Expr:
    """The query with a database at every table (changed in place)."""
    for node in stored_tables(expression):
        if not node.db:
            node.set("db", exp.to_identifier(database, quoted=True))
    return expression


def with_names(query: exp.Query, names: list[str]) -> exp.Query:
    """The query with other names for its columns. Raises 1356 if it has not as many."""
    select: exp.Expr = query
    while isinstance(select, exp.SetOperation | exp.Subquery):
        select = select.this
    if not isinstance(select, exp.Select) or len(select.expressions) != len(names):
        raise SqlError(ER_VIEW_INVALID, "the view's query has not the columns the view was made with")
    aliased = [
        exp.alias_(item.unalias(), name, quoted=True) for item, name in zip(select.expressions, names, strict=True)
    ]
    select.set("expressions", aliased)
    return query


def _subquery(node: exp.Table, view: ViewInfo) -> exp.Expr:
    query = in_database(parse_tree(view.sql), view.schema.database)
    assert isinstance(query, exp.Query)
    inner = with_names(query, [column.name for column in view.schema.columns])
    joins, alias = node.args.get("joins"), node.alias or node.name
    built = inner.subquery(exp.to_identifier(alias, quoted=True), copy=False)
    if joins:
        built.set("joins", joins)
    return built
