"""Queries whose result is what the stores answer, one after the other: a scan, filter and projection of one table.

Such a query needs no merge, so its result can be fetched region by region, by whoever wants it, and never has to be
anywhere as a whole: Flight gives it out in parts, exports write it as it comes, `Connection.stream` reads it as it is
taken.
"""

from __future__ import annotations

from sqlglot import exp

from rutile.planner.query import QueryPlan
from rutile_coprocessor.fragment import Fragment


def is_row_stream(plan: QueryPlan) -> bool:
    """Whether the stores' answers together are the result, in types that do not depend on the rows."""
    partial = plan.partial
    if partial is None or not partial.rowwise or plan.virtual or plan.held or len(plan.scans) != 1 or plan.is_spread:
        return False
    if plan.dialect == "duckdb":
        return True
    return plan.expression.find(exp.Mul) is None or plan.widened().sql == plan.sql


def row_fragment(plan: QueryPlan) -> Fragment:
    """What each store runs for such a query."""
    whole = plan.fragment()
    assert plan.partial is not None
    return Fragment(plan.partial.fragment_sql, whole.scans, rowwise=True)


def plain_columns(plan: QueryPlan) -> list[str]:
    """The table's columns in the order of the result, if the scan does no more than name them; else nothing."""
    select = plan.expression
    if not isinstance(select, exp.Select) or select.args.get("where"):
        return []
    if any(not isinstance(each.unalias(), exp.Column) for each in select.expressions):
        return []
    schema = plan.scans[0].schema
    if not all(schema.has_column(each.unalias().name) for each in select.expressions):
        return []  # the hidden row id
    return [schema.column(each.unalias().name).name for each in select.expressions]
