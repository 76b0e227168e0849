"""From MySQL's dialect to DuckDB's, and the split of a query over one relation into its two halves."""

from __future__ import annotations

from collections.abc import Mapping

from sqlglot import exp

from rutile.translate import to_duckdb
from rutile_coprocessor.fragment import check_fragment
from rutile_coprocessor.partial import PushPlan, split_join, split_query
from rutile_coprocessor.schema import TableSchema
from rutile_proto.errors import FragmentRefused

PartialQuery = PushPlan


def translate(
    query: exp.Expr, schemas: Mapping[str, TableSchema], *, wide_decimals: bool, one_relation: bool
) -> tuple[str, PartialQuery | None]:
    """The text of a qualified query in DuckDB's dialect, and its halves if it is over one relation.

    `schemas` are by the relations' names in the query. Raises 1235, 1305 for what has no translation.
    """
    tree = to_duckdb(query, schemas, wide_decimals=wide_decimals)
    return tree.sql(dialect="duckdb"), split_query(tree) if one_relation else None


def translate_join(
    query: exp.Expr, schemas: Mapping[str, TableSchema], spread: str, *, wide_decimals: bool
) -> PartialQuery | None:
    """The halves of a query that joins a relation in every store with all the others; None if it cannot be cut so."""
    return split_join(to_duckdb(query, schemas, wide_decimals=wide_decimals), spread)


def split_resolved(query: exp.Expr, spread: str, names: tuple[str, ...]) -> PartialQuery | None:
    """The same for a query in DuckDB's dialect, its tables as database.table; `names` are all relations."""
    tree = query.copy()
    for table in list(tree.find_all(exp.Table)):
        if table.db:
            table.set("this", exp.to_identifier(f"{table.db}.{table.name}".lower(), quoted=True))
            table.set("db", None)
            table.set("catalog", None)
    plan = split_join(tree, spread)
    try:
        return plan if plan is not None and check_fragment(plan.fragment_sql, names) else None
    except FragmentRefused:
        return None
