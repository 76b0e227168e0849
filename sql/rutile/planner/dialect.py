"""From MySQL's dialect to DuckDB's, and the split of a query over one relation into its two halves."""

from __future__ import annotations

from collections.abc import Mapping

import sqlglot
from sqlglot import exp

from rutile.planner.names import TableKey
from rutile_coprocessor.partial import PushPlan
from rutile_coprocessor.partial import split_query as split_duckdb_query
from rutile_coprocessor.schema import TableSchema

PartialQuery = PushPlan


def to_duckdb_sql(expression: exp.Expr, schemas: Mapping[TableKey, TableSchema]) -> str:
    """The text of a qualified query in DuckDB's dialect."""
    return expression.sql(dialect="duckdb")


def split_query(sql: str) -> PartialQuery | None:
    """The halves of a query over one relation: what each store runs, and what runs here over their answers."""
    return split_duckdb_query(sqlglot.parse_one(sql, read="duckdb"))
