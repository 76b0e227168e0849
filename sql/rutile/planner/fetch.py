"""The fragment that fetches one scan: its columns, and the rows the query's own conditions leave."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
from sqlglot import exp

from rutile.planner.dialect import translate
from rutile.planner.join_keys import JoinKey
from rutile.planner.query import fragment_scan
from rutile.planner.scans import ScanPlan
from rutile_coprocessor.fragment import Fragment
from rutile_coprocessor.inputs import Input
from rutile_coprocessor.schema import Column, TableSchema

KEYS = "rutile_keys"
"""What the keys a fetch is filtered by are called in its fragment, with a number."""


@dataclass(frozen=True)
class KeyFilter:
    """Only rows whose column of `key` is one of `keys` are wanted: TiDB's runtime filter."""

    key: JoinKey
    keys: pa.Table
    """One column, `k`, without NULL and without duplicates."""

    @property
    def bounds(self) -> tuple[int, int] | None:
        """The least and the greatest key, of integers: what chunks of the mirror can be left out by."""
        column = self.keys.column("k")
        if not pa.types.is_integer(column.type) or not len(column):
            return None
        ends = pc.min_max(column).as_py()
        return ends["min"], ends["max"]


def fetch_fragment(scan: ScanPlan, *, pushed: bool, filters: Sequence[KeyFilter] = ()) -> Fragment:
    """SELECT of the scan's columns; with `pushed`, of the rows meeting its filters, and of those with these keys."""
    conditions = scan.filters if pushed else ()
    alias = _alias(scan)
    table = exp.Table(this=exp.to_identifier(scan.name, quoted=True), alias=exp.TableAlias(this=alias.copy()))
    columns = [exp.column(exp.to_identifier(name, quoted=True), table=alias.copy()) for name in scan.columns]
    select = exp.Select(expressions=columns).from_(table)
    for condition in conditions:
        select = select.where(condition)
    schemas, inputs = {scan.name: scan.schema}, []
    for number, each in enumerate(filters):
        name = f"{KEYS}{number}"
        for condition in _met(each, name, alias):
            select = select.where(condition)
        schemas[name] = TableSchema(0, name, (Column(1, "k", scan.schema.column(each.key.column).type),))
        inputs.append(Input.of(name, each.keys))
    text = _text(select, scan, schemas)
    return Fragment(text, (fragment_scan(scan),), rowwise=not inputs, inputs=tuple(inputs))


def _met(each: KeyFilter, name: str, alias: exp.Identifier) -> Iterator[exp.Expr]:
    column = exp.column(exp.to_identifier(each.key.column, quoted=True), table=alias.copy())
    keys = exp.Select(expressions=[exp.column("k", table=name, quoted=True)]).from_(exp.to_table(name))
    yield exp.In(this=column, query=exp.Subquery(this=keys))
    if each.bounds is not None:
        low, high = (exp.convert(bound) for bound in each.bounds)
        yield exp.Between(this=column.copy(), low=low, high=high)


def _text(select: exp.Select, scan: ScanPlan, schemas: Mapping[str, TableSchema]) -> str:
    if scan.dialect == "duckdb":
        return select.sql(dialect="duckdb")
    return translate(select, schemas, wide_decimals=False, one_relation=False)[0]


def _alias(scan: ScanPlan) -> exp.Identifier:
    """What the filters call the table."""
    for condition in scan.filters:
        column = condition.find(exp.Column)
        if column is not None:
            return exp.to_identifier(column.table, quoted=True)
    return exp.to_identifier(scan.schema.name, quoted=True)
