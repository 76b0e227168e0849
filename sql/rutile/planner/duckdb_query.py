"""Plans queries that are already in DuckDB's dialect: the door of the DataFrame API.

There is nothing to translate, so the text that runs is the user's own, with tables under their scans' names. What the
planner has to know (which columns and key ranges of each table, what can be cut into fragments) it learns from a copy:
names resolved, unused columns dropped, nested SELECTs folded into one another by sqlglot. DataFrame libraries nest
deeply, and a query over one table can only be split for the stores once it is a single SELECT.

What sqlglot cannot resolve (DuckDB knows more) is planned without a copy: all columns, all rows, the query here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from sqlglot import exp
from sqlglot.errors import SqlglotError
from sqlglot.optimizer.merge_subqueries import merge_subqueries
from sqlglot.optimizer.pushdown_projections import pushdown_projections
from sqlglot.optimizer.qualify import qualify

from rutile.planner.duckdb_columns import has_own_types, reading
from rutile.planner.names import TableKey
from rutile.planner.query import QueryPlan, relation_name
from rutile.planner.scans import ScanPlan, plan_scans, scan_name
from rutile.rows.access import TableAccess
from rutile.session.relations import HeldTable
from rutile_coprocessor.fragment import check_fragment
from rutile_coprocessor.partial import PushPlan, split_query
from rutile_coprocessor.schema import TableSchema
from rutile_proto.errors import FragmentRefused

DUCKDB: Final = "duckdb"
EXACT_NAMES = "duckdb, normalization_strategy=case_sensitive"
"""Result columns keep their names; a name written in other letters than the table's is left to DuckDB to resolve."""


@dataclass(frozen=True)
class _Sources:
    """What the tables of a query are."""

    stored: Mapping[TableKey, TableAccess]
    virtual: Mapping[TableKey, TableSchema]
    held: Mapping[str, HeldTable]
    database: str

    def columns(self, table: exp.Table) -> list[str]:
        """The names of a table's columns; none if it is no table of ours."""
        key = self.key(table)
        if key is None:
            held = self.held.get(table.name.lower()) if not table.db else None
            return list(held.table.column_names) if held is not None else []
        schema = self.stored[key].schema if key in self.stored else self.virtual[key]
        return [column.name for column in schema.columns]

    def key(self, table: exp.Table) -> TableKey | None:
        """The stored or virtual table a node names; None for a held one and for a CTE."""
        if not table.db and table.name.lower() in self.held:
            return None
        key = ((table.db or self.database).lower(), table.name.lower())
        return key if key in self.stored or key in self.virtual else None


def plan_duckdb_query(
    query: exp.Expr,
    stored: Mapping[TableKey, TableAccess],
    virtual: Mapping[TableKey, TableSchema],
    held: Mapping[str, HeldTable],
    database: str | None,
) -> QueryPlan:
    """The plan of a query in DuckDB's dialect. `stored`, `virtual` and `held` (by name) are all the tables it names.

    Raises FragmentRefused for what may not run at all.
    """
    sources = _Sources(stored, virtual, held, database or "")
    resolved = _resolved(query, sources)
    scans = _narrow_scans(query, resolved, sources) if resolved is not None else []
    if len(scans) < len(stored):  # a way to read a table that sqlglot's scopes do not tell, such as SEMI JOIN
        resolved, scans = None, _full_scans(sources)
    sql = _executable(query, sources, {scan.name: scan for scan in scans}).sql(DUCKDB)
    names = tuple(scan.name for scan in scans)
    everything = (*names, *(relation_name(key) for key in virtual), *held)
    check_fragment(sql, everything, here=True)
    only_stored = not virtual and not held
    pushable = only_stored and _passes(sql, names)
    return QueryPlan(
        sql=sql,
        scans=tuple(scans),
        virtual=tuple(virtual),
        columns=(),
        partial=_split(resolved, scans, sources) if pushable and resolved is not None and len(scans) == 1 else None,
        expression=resolved if resolved is not None else query,
        named=query,
        relations={relation_name(key): schema for key, schema in virtual.items()},
        dialect=DUCKDB,
        held={name: each.table for name, each in held.items()},
        pushable=pushable,
    )


# --- the copy that is looked at ---------------------------------------------------------------------------------------


def _resolved(query: exp.Expr, sources: _Sources) -> exp.Expr | None:
    """The query with its names resolved and its SELECTs folded; None if sqlglot cannot."""
    schema = _schema(query, sources)
    try:
        tree = qualify(
            _with_readings(without_literal_casts(query), sources),
            dialect=EXACT_NAMES,
            schema=schema,
            db=sources.database or None,
            quote_identifiers=True,
        )
        if tree.find(exp.SetOperation) is None:  # whose sides go by position: both keep all they have
            tree = pushdown_projections(tree)
        return merge_subqueries(tree, leave_tables_isolated=False)
    except (
        SqlglotError,
        AttributeError,
        KeyError,
        TypeError,
        ValueError,
    ):  # what its rules raise for what they don't know
        return None


def _schema(query: exp.Expr, sources: _Sources) -> dict[str, object]:
    """The columns of the query's tables, under the names it uses for them."""
    nested: dict[str, dict[str, dict[str, str]]] = {}
    for table in query.find_all(exp.Table):
        names = sources.columns(table)
        if names:
            owner = nested.setdefault(table.db or sources.database, {})
            owner[table.name] = dict.fromkeys(names, "unknown")
    return dict(nested)


def _with_readings(tree: exp.Expr, sources: _Sources) -> exp.Expr:
    """Tables whose columns are converted when read, as subqueries that do so."""
    for table in list(tree.find_all(exp.Table)):
        key = sources.key(table)
        access = sources.stored.get(key) if key is not None else None
        if access is not None and has_own_types(access.schema):
            _wrap(table, exp.select(*(reading(column) for column in access.schema.columns)))
    return tree


def _wrap(table: exp.Table, select: exp.Select) -> None:
    """Put `select` from the table in its place, under its alias."""
    alias = exp.TableAlias(this=exp.to_identifier(table.alias_or_name, quoted=True))
    bare = table.copy()
    for part in ("alias", "joins", "sample"):
        bare.set(part, None)
    wrapped = exp.Subquery(this=select.from_(bare), alias=alias, joins=table.args.get("joins"))
    table.replace(wrapped)


# --- scans ------------------------------------------------------------------------------------------------------------


def _narrow_scans(query: exp.Expr, resolved: exp.Expr, sources: _Sources) -> list[ScanPlan]:
    """Of each table the columns that are needed, and those the text that runs mentions though nobody needs them."""
    mentioned = {identifier.name.lower() for identifier in query.find_all(exp.Identifier)}
    narrow = []
    for scan in plan_scans(resolved, sources.stored, searches=_is_plain, ordered=False):
        used = {name.lower() for name in scan.columns} | mentioned
        columns = tuple(column.name for column in scan.schema.columns if column.name.lower() in used)
        hidden = tuple(name for name in scan.columns if not scan.schema.has_column(name))
        narrow.append(replace(scan, columns=columns + hidden, dialect=DUCKDB))
    return narrow


def _full_scans(sources: _Sources) -> list[ScanPlan]:
    """Every table as a whole."""
    return [
        ScanPlan(
            scan_name(key), access, tuple(column.name for column in access.schema.columns), access.ranges, True,
            dialect=DUCKDB,
            partitions=None if access.partitions is None else tuple(range(len(access.partitions))),
        )
        for key, access in sources.stored.items()
    ]  # fmt: skip


_PLAIN = (
    exp.Column, exp.Identifier, exp.Literal, exp.Null, exp.Boolean, exp.Paren, exp.Neg, exp.EQ, exp.GT, exp.GTE,
    exp.LT, exp.LTE, exp.Between, exp.In, exp.Is, exp.And, exp.Or,
)  # fmt: skip


def _is_plain(condition: exp.Expr) -> bool:
    """Whether a condition means the same in MySQL, whose reading of constants finds key ranges and index paths."""
    return all(isinstance(node, _PLAIN) for node in condition.walk())


def without_literal_casts(query: exp.Expr) -> exp.Expr:
    """CAST(5 AS TINYINT) as 5 in comparisons with a column: how DataFrame libraries write constants."""

    def plain(node: exp.Expr) -> exp.Expr:
        if isinstance(node, exp.Cast) and isinstance(node.this, exp.Literal) and not node.this.is_string:
            compared = isinstance(node.parent, exp.EQ | exp.GT | exp.GTE | exp.LT | exp.LTE | exp.Between | exp.In)
            return node.this if compared and node.to.this in exp.DataType.INTEGER_TYPES else node
        return node

    return query.transform(plain)


# --- the texts that run -----------------------------------------------------------------------------------------------


def _executable(query: exp.Expr, sources: _Sources, scans: Mapping[str, ScanPlan]) -> exp.Expr:
    """The user's query over the scans."""
    tree = query.copy()
    for table in list(tree.find_all(exp.Table)):
        key = sources.key(table)
        if key is None:
            _read_held(table, sources)
            continue
        name = relation_name(key)
        alias = table.args.get("alias") or exp.TableAlias(this=exp.to_identifier(table.name, quoted=True))
        table.set("this", exp.to_identifier(name, quoted=True))
        table.set("db", None)
        table.set("catalog", None)
        table.set("alias", alias)
        scan = scans.get(name)
        if scan is not None and has_own_types(scan.schema):
            columns = [scan.schema.column(each) for each in scan.columns if scan.schema.has_column(each)]
            _wrap(table, exp.select(*(reading(column) for column in columns)))
    return tree


def _read_held(table: exp.Table, sources: _Sources) -> None:
    """A temporary table's columns in the types they were declared with, where Arrow has no such types."""
    held = sources.held.get(table.name.lower()) if not table.db else None
    lost = [name for name, kind in held.types.items() if kind in ("JSON", "UUID")] if held is not None else []
    if held is not None and lost:
        columns = [exp.column(name, quoted=True) for name in held.table.column_names]
        read = [
            exp.alias_(exp.cast(column, held.types[column.name], dialect=DUCKDB), column.name, quoted=True)
            if column.name in lost
            else column
            for column in columns
        ]
        _wrap(table, exp.select(*read))


def _split(resolved: exp.Expr, scans: list[ScanPlan], sources: _Sources) -> PushPlan | None:
    """The halves of the folded query, if it is one SELECT over one table and both halves may run."""
    tree = resolved.copy()
    for table in list(tree.find_all(exp.Table)):
        key = sources.key(table)
        if key is not None:
            table.set("this", exp.to_identifier(relation_name(key), quoted=True))
            table.set("db", None)
            table.set("catalog", None)
    plan = split_query(tree)
    return plan if plan is not None and _passes(plan.fragment_sql, tuple(scan.name for scan in scans)) else None


def _passes(sql: str, names: tuple[str, ...]) -> bool:
    """Whether stores take the text."""
    try:
        check_fragment(sql, names)
    except FragmentRefused:
        return False
    return True
