"""The fragment that fetches one scan: its columns, and the rows the query's own conditions leave."""

from __future__ import annotations

from sqlglot import exp

from rutile.planner.dialect import translate
from rutile.planner.query import fragment_scan
from rutile.planner.scans import ScanPlan
from rutile_coprocessor.fragment import Fragment


def fetch_fragment(scan: ScanPlan, *, pushed: bool) -> Fragment:
    """SELECT of the scan's columns; with `pushed`, of the rows meeting its filters."""
    filters = scan.filters if pushed else ()
    alias = _alias(scan)
    table = exp.Table(this=exp.to_identifier(scan.name, quoted=True), alias=exp.TableAlias(this=alias.copy()))
    columns = [exp.column(exp.to_identifier(name, quoted=True), table=alias.copy()) for name in scan.columns]
    select = exp.Select(expressions=columns).from_(table)
    for condition in filters:
        select = select.where(condition)
    return Fragment(_text(select, scan), (fragment_scan(scan),), rowwise=True)


def _text(select: exp.Select, scan: ScanPlan) -> str:
    if scan.dialect == "duckdb":
        return select.sql(dialect="duckdb")
    return translate(select, {scan.name: scan.schema}, wide_decimals=False, one_relation=False)[0]


def _alias(scan: ScanPlan) -> exp.Identifier:
    """What the filters call the table."""
    for condition in scan.filters:
        column = condition.find(exp.Column)
        if column is not None:
            return exp.to_identifier(column.table, quoted=True)
    return exp.to_identifier(scan.schema.name, quoted=True)
