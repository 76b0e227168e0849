"""Names: every table found, every column given its table, every star spelled out (sqlglot's `qualify` alone).

Result columns keep the names the user wrote: `qualify` writes identifiers in lower case, so each projection of the
outermost SELECT carries its display name along in the node's metadata.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from sqlglot import exp
from sqlglot.errors import OptimizeError, SqlglotError
from sqlglot.optimizer.qualify import qualify
from sqlglot.optimizer.scope import Scope, traverse_scope

from rutile.errors import ER_NON_UNIQUE, SqlError, syntax_error, unknown_column
from rutile.parse.mysql_text import mysql_text
from rutile.parse.projection_names import expression_name
from rutile.rows.access import TableAccess
from rutile.rows.origins import Origin, origin_of
from rutile_coprocessor.schema import HIDDEN_HANDLE, ColumnType, TableSchema

DIALECT = "mysql, normalization_strategy=case_insensitive"
DISPLAY = "rutile_display"
_UNKNOWN_COLUMN = re.compile(r"Unknown column: (\S+)")

TableKey = tuple[str, str]
"""(database, table) in lower case."""


@dataclass(frozen=True, slots=True)
class OutputColumn:
    """A column of a query's result. `type` is known where it is a table's column unchanged."""

    name: str
    type: ColumnType | None
    origin: Origin | None = None
    """The table's column, if it is one."""


def base_tables(expression: exp.Expr, database: str | None) -> dict[TableKey, exp.Table]:
    """The tables a query names, other than its own CTEs; the database is the session's where none is written."""
    ctes = {cte.alias.lower() for cte in expression.find_all(exp.CTE)}
    found: dict[TableKey, exp.Table] = {}
    for table in expression.find_all(exp.Table):
        if not isinstance(table.this, exp.Identifier):
            raise syntax_error(mysql_text(table), "not a table")
        if not table.db and table.name.lower() in ctes:
            continue
        found.setdefault(((table.db or database or "").lower(), table.name.lower()), table)
    return found


def qualify_names(expression: exp.Expr, schemas: Mapping[TableKey, TableSchema], database: str | None) -> exp.Expr:
    """`expression` (changed in place) qualified. Raises 1052, 1054."""
    _keep_display_names(expression)
    _select_nothing_to_exist(expression)
    with_row_ids = any(column.name == HIDDEN_HANDLE for column in expression.find_all(exp.Column))
    nested: dict[str, dict[str, object]] = {}
    for (owner, name), schema in schemas.items():
        columns: dict[str, object] = {column.name.lower(): column.type.kind.value for column in schema.columns}
        if with_row_ids and schema.handle == "hidden":
            columns[HIDDEN_HANDLE] = "bigint"
        nested.setdefault(owner, {})[name] = columns
    try:
        return qualify(
            expression,
            dialect=DIALECT,
            schema=dict(nested),
            db=database.lower() if database else None,
            quote_identifiers=True,
        )
    except OptimizeError as error:
        raise _resolve_error(error, expression, schemas) from error
    except SqlglotError as error:
        raise syntax_error(str(error)) from error


_EXISTS_ALL = frozenset({"kind", "expressions", "from_", "joins", "where", "limit"})
"""What a SELECT may have for its columns to say nothing about whether there are rows."""


def _select_nothing_to_exist(expression: exp.Expr) -> None:
    """EXISTS (SELECT * ...) asks for rows, not for their columns: spelled out, the star would have all of them read."""
    for exists in expression.find_all(exp.Exists):
        select = exists.this
        if not isinstance(select, exp.Select) or select.args.get("from_") is None:
            continue
        is_plain = all(part in _EXISTS_ALL for part, value in select.args.items() if value)
        if is_plain and [type(item) for item in select.expressions] == [exp.Star]:
            select.set("expressions", [exp.Literal.number(1)])


def _keep_display_names(expression: exp.Expr) -> None:
    if not isinstance(expression, exp.Query):
        return
    for item in list(expression.selects):
        if item.alias:
            item.meta[DISPLAY] = item.alias
        elif not item.is_star:
            name = item.name if isinstance(item, exp.Column) else expression_name(item)
            alias = exp.alias_(item.copy(), name, quoted=True)
            alias.meta[DISPLAY] = name
            item.replace(alias)


def _resolve_error(error: OptimizeError, expression: exp.Expr, schemas: Mapping[TableKey, TableSchema]) -> SqlError:
    unknown = _UNKNOWN_COLUMN.match(str(error))
    if unknown:
        return unknown_column(unknown[1])
    parts = str(error).split("'")
    name = parts[1] if len(parts) > 1 else str(error)
    table = parts[3] if len(parts) > 3 else ""
    holders = sum(schema.has_column(name) for schema in schemas.values())
    if not table and holders > 1:
        return SqlError(ER_NON_UNIQUE, f"Column '{name}' in field list is ambiguous")
    if "could not be resolved" not in str(error):
        return syntax_error(str(error))
    return unknown_column(f"{table}.{name}" if table else name)


def output_columns(
    expression: exp.Expr, schemas: Mapping[TableKey, TableSchema], tables: Mapping[TableKey, TableAccess]
) -> list[OutputColumn]:
    """The result's columns of a qualified query; those of `tables` know where they come from."""
    assert isinstance(expression, exp.Query)
    top = _leftmost(expression)
    sources: dict[str, TableSchema] = {}
    if isinstance(expression, exp.Select | exp.Subquery):
        sources = _table_sources(top, schemas)
    return [_output(item, sources, tables) for item in expression.selects]


def _leftmost(expression: exp.Expr) -> exp.Expr:
    while isinstance(expression, exp.SetOperation | exp.Subquery):
        expression = expression.this
    return expression


def _table_sources(select: exp.Expr, schemas: Mapping[TableKey, TableSchema]) -> dict[str, TableSchema]:
    """Base tables of a SELECT by alias."""
    found: dict[str, TableSchema] = {}
    source = select.args.get("from_")
    nodes = [source.this] if source else []
    nodes += [join.this for join in select.args.get("joins") or []]
    for node in nodes:
        if isinstance(node, exp.Table) and (node.db.lower(), node.name.lower()) in schemas:
            found[node.alias_or_name.lower()] = schemas[node.db.lower(), node.name.lower()]
    return found


def _output(item: exp.Expr, sources: Mapping[str, TableSchema], tables: Mapping[TableKey, TableAccess]) -> OutputColumn:
    inner = item.unalias()
    column = origin = None
    if isinstance(inner, exp.Column):
        schema = sources.get(inner.table.lower())
        column = schema.column(inner.name) if schema is not None and schema.has_column(inner.name) else None
        access = None if schema is None else tables.get((schema.database.lower(), schema.name.lower()))
        if access is not None and column is not None:
            origin = origin_of(access, access.schema.index_of(inner.name), inner.table)
    name = item.meta.get(DISPLAY)
    if name is None:
        name = column.name if column is not None else item.alias_or_name
    return OutputColumn(name, column.type if column is not None else None, origin)


def scopes_of(expression: exp.Expr) -> list[Scope]:
    """The query's scopes, innermost first."""
    return list(traverse_scope(expression))
