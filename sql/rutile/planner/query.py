"""Plans queries: DuckDB text over named scans, what each scan reads, and how the work can be cut.

The plan says what is possible; where it then runs (`execution/query.py`) depends on the transaction, the cluster and
the session's `rutile_read_mode`:

    whole       the text, in one store that has a replica of everything
    per_store   one relation: `partial.fragment_sql` in each store, `partial.merge_sql` over what they return, here;
                several: one of them in the stores, joined there with the others, which are read first and sent along
                (`joined`), or each scan filtered and cut to its columns in the stores, the text here
    local       the scans fetched as they are, the text here
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

import pyarrow as pa
from sqlglot import exp

from rutile.catalog.changes import VIRTUAL_DATABASES
from rutile.expressions.compile import UTC
from rutile.planner.dialect import PartialQuery, split_resolved, translate, translate_join
from rutile.planner.group_columns import allow_free_columns
from rutile.planner.hints import ENGINES, Engine, QueryHints, expand_hints, not_read_from, read_query_hints
from rutile.planner.local_time import in_local_time
from rutile.planner.names import OutputColumn, TableKey, output_columns, qualify_names
from rutile.planner.scans import ScanPlan, plan_scans, scan_name
from rutile.rows.access import TableAccess
from rutile_coprocessor.fragment import Fragment, Scan
from rutile_coprocessor.schema import TableSchema


@dataclass(frozen=True)
class QueryPlan:
    """How to answer a query."""

    sql: str
    """DuckDB's dialect, over the scans' names."""
    scans: tuple[ScanPlan, ...]
    virtual: tuple[TableKey, ...]
    """The information_schema tables among the relations, by their bare names."""
    columns: tuple[OutputColumn, ...]
    partial: PartialQuery | None
    expression: exp.Expr
    """The qualified query, for EXPLAIN."""
    named: exp.Expr
    """The same with the relations' names for tables: what is translated."""
    relations: Mapping[str, TableSchema]
    dialect: Literal["mysql", "duckdb"] = "mysql"
    """What the user wrote. A query in DuckDB's dialect has results in DuckDB's types, and no `columns`."""
    held: Mapping[str, pa.Table] = field(default_factory=dict)
    """The session's own relations among its tables, by name."""
    pushable: bool = True
    """Whether stores may run it: it asks for nothing that is only here, such as the time or a held relation."""
    hints: QueryHints = field(default_factory=QueryHints)
    is_wide: bool = False
    """Products of decimals have 38 digits."""

    def widened(self) -> QueryPlan:
        """The plan with all products of decimals in 38 digits: slower, for when 18 were too few."""
        sql, partial = translate(self.named, self.relations, wide_decimals=True, one_relation=self.partial is not None)
        return replace(self, sql=sql, partial=partial, is_wide=True)

    def joined(self, spread: str) -> PartialQuery | None:
        """The halves of the query if each store joins its rows of one scan, `spread`, with all rows of the others."""
        if self.dialect == "mysql":
            return translate_join(self.named, self.relations, spread, wide_decimals=self.is_wide)
        return split_resolved(self.expression, spread, tuple(scan.name for scan in self.scans))

    def on_engines(self, engines: frozenset[str]) -> QueryPlan:
        """The plan on the storages the session reads from (tidb_isolation_read_engines), whatever hints ask for."""
        if engines.issuperset(ENGINES):
            return self
        engine: Engine = "tikv" if "tikv" in engines else "tiflash"
        missed = [scan for scan in self.scans if scan.engine not in (None, engine)]
        complaints = tuple(not_read_from(scan.engine, scan.schema.name, engines) for scan in missed if scan.engine)
        hints = replace(self.hints, complaints=self.hints.complaints + complaints)
        return replace(self, scans=tuple(scan.on_engine(engine) for scan in self.scans), hints=hints)

    @property
    def may_be_whole(self) -> bool:
        """Whether one store may run all of it, if it has all of it."""
        return self.pushable

    @property
    def is_spread(self) -> bool:
        """Whether a table it reads lies in partitions."""
        return any(scan.partitions is not None for scan in self.scans)

    def fragment(self) -> Fragment:
        """The whole query as a fragment."""
        return Fragment(self.sql, tuple(fragment_scan(scan) for scan in self.scans))


def fragment_scan(scan: ScanPlan) -> Scan:
    """A scan as fragments name it: of a partitioned table, all partitions that are left in one."""
    tables = () if scan.partitions is None else tuple(part.schema.table_id for part in scan.read_parts)
    return Scan(scan.name, scan.schema, scan.columns, scan.ranges, scan.engine == "tikv", tables)


def plan_query(
    expression: exp.Expr,
    tables: Mapping[TableKey, TableAccess],
    virtual: Mapping[TableKey, TableSchema],
    database: str | None,
    zone: str = UTC,
    *,
    full_group_by: bool = True,
) -> QueryPlan:
    """The plan of a bound query. `tables` and `virtual` together are all the tables it names; TIMESTAMPs are read in
    `zone`; `full_group_by` is the SQL mode of that name.

    Raises 1052, 1054, 1235 and what the translation raises.
    """
    expand_hints(expression)
    schemas = {key: access.schema for key, access in tables.items()} | dict(virtual)
    qualified = qualify_names(expression, schemas, database)
    columns = output_columns(qualified, schemas, tables)
    qualified = allow_free_columns(qualified, tables, any_column=not full_group_by)
    if zone != UTC and any(access.has_timestamps for access in tables.values()):
        qualified = in_local_time(qualified, tables, zone)
    all_scans = plan_scans(qualified, tables)
    named = with_scan_names(qualified, schemas)
    relations = {relation_name(key): schema for key, schema in schemas.items()}
    one_relation = len(all_scans) == 1 and not virtual
    sql, partial = translate(named, relations, wide_decimals=False, one_relation=one_relation)
    return QueryPlan(
        sql,
        tuple(all_scans),
        tuple(virtual),
        tuple(columns),
        partial,
        qualified,
        named,
        relations,
        hints=read_query_hints(qualified),
    )


def with_scan_names(expression: exp.Expr, schemas: Mapping[TableKey, TableSchema]) -> exp.Expr:
    """A copy in which tables are called by their scans' names."""
    named = expression.copy()
    for table in list(named.find_all(exp.Table)):
        key = (table.db.lower(), table.name.lower())
        if key in schemas:
            table.set("this", exp.to_identifier(relation_name(key), quoted=True))
            table.set("db", None)
            table.set("partition", None)
    return named


def relation_name(key: TableKey) -> str:
    """The name of a stored or virtual table in fragment SQL (names of DuckDB's own views are refused there)."""
    return f"virtual.{key[0]}.{key[1]}" if key[0] in VIRTUAL_DATABASES else scan_name(key)
