"""From MySQL's dialect to DuckDB's, and the split of a query over one relation into its two halves."""

from __future__ import annotations

from collections.abc import Mapping

from sqlglot import exp

from rutile.translate import to_duckdb
from rutile_coprocessor.partial import PushPlan, split_query
from rutile_coprocessor.schema import TableSchema

PartialQuery = PushPlan


def translate(
    query: exp.Expr, schemas: Mapping[str, TableSchema], *, wide_decimals: bool, one_relation: bool
) -> tuple[str, PartialQuery | None]:
    """The text of a qualified query in DuckDB's dialect, and its halves if it is over one relation.

    `schemas` are by the relations' names in the query. Raises 1235, 1305 for what has no translation.
    """
    tree = to_duckdb(query, schemas, wide_decimals=wide_decimals)
    return tree.sql(dialect="duckdb"), split_query(tree) if one_relation else None
