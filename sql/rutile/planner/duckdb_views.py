"""Views of the catalogue in queries of DuckDB's dialect: a view is MySQL's text, so its query is translated first.

The names in it are resolved as MySQL resolves them, in the view's database, and its meaning stays MySQL's. What comes
of it names stored tables, as if the user had written it in DuckDB's dialect: from there on there is no difference.
"""

from __future__ import annotations

from collections.abc import Container

from sqlglot import exp

from rutile.errors import unknown_table
from rutile.parse import statements as st
from rutile.parse.table_finder import TableFinder
from rutile.planner.names import TableKey, base_tables, qualify_names
from rutile.planner.query import relation_name, with_scan_names
from rutile.planner.views import expand_views, stored_tables
from rutile.show.information_schema import virtual_schema
from rutile.translate import to_duckdb
from rutile_coprocessor.schema import TableSchema


def with_catalog_views(query: exp.Expr, database: str | None, find: TableFinder, own: Container[str] = ()) -> exp.Expr:
    """The query (changed in place) with catalogue views in their places. `own` are names of the session's tables.

    Raises what naming and translating a view's query raise; 1356 for a view whose query gives other columns now.
    """
    for node in stored_tables(query):
        key = ((node.db or database or "").lower(), node.name.lower())
        is_own = not node.db and node.name.lower() in own
        if not is_own and find.view(key) is not None:
            alias = exp.TableAlias(this=exp.to_identifier(node.alias_or_name, quoted=True))
            select = _translated(key, find)
            node.replace(exp.Subquery(this=select, alias=alias, joins=node.args.get("joins")))
    return query


def _translated(key: TableKey, find: TableFinder) -> exp.Expr:
    """A view's rows as a query of DuckDB's dialect over stored tables."""
    owner, name = key
    expanded = expand_views(exp.select("*").from_(exp.table_(name, db=owner, quoted=True)), owner, find.view)
    schemas = {each: _schema(each, node, find) for each, node in base_tables(expanded, owner).items()}
    qualified = qualify_names(expanded, schemas, owner)
    relations = {relation_name(each): schema for each, schema in schemas.items()}
    tree = to_duckdb(with_scan_names(qualified, schemas), relations, wide_decimals=True)
    names = {relation_name(each): each for each in schemas}
    for node in tree.find_all(exp.Table):
        if node.name in names:
            database, table = names[node.name]
            node.set("this", exp.to_identifier(table, quoted=True))
            node.set("db", exp.to_identifier(database, quoted=True))
    return tree


def _schema(key: TableKey, node: exp.Table, find: TableFinder) -> TableSchema:
    if key[0] != "information_schema":
        return find(st.TableName(node.name, node.db or None)).schema
    schema = virtual_schema(key[1])
    if schema is None:
        raise unknown_table(*key)
    return schema
