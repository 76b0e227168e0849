"""The fragment that fetches one scan: its columns, and the rows the query's own conditions leave."""

from __future__ import annotations

from sqlglot import exp

from rutile.planner.dialect import to_duckdb_sql
from rutile.planner.query import fragment_scan
from rutile.planner.scans import ScanPlan
from rutile_coprocessor.fragment import Fragment


def fetch_fragment(scan: ScanPlan, *, pushed: bool) -> Fragment:
    """SELECT of the scan's columns; with `pushed`, of the rows meeting its filters."""
    filters = scan.filters if pushed else ()
    select = exp.Select(expressions=[exp.column(name, quoted=True) for name in scan.columns])
    select = select.from_(exp.Table(this=exp.to_identifier(scan.name, quoted=True)))
    for condition in filters:
        select = select.where(_bare(condition), copy=False)
    return Fragment(to_duckdb_sql(select, {}), (fragment_scan(scan),), rowwise=True)


def _bare(condition: exp.Expr) -> exp.Expr:
    """The condition with its columns unqualified: the fragment has one table."""
    return condition.transform(
        lambda node: exp.column(node.name, quoted=True) if isinstance(node, exp.Column) else node
    )
