"""TIMESTAMP columns in a session whose time_zone is not UTC: stored in UTC, read and written as local time.

A query's plan has CONVERT_TZ around each such column. Around it and not under it where the moment itself is meant and
two moments may look alike, in the hour that summer time ends: a column that rows are grouped or (without DISTINCT)
ordered by, one compared with another such column, and the arguments of COUNT, MIN, MAX and UNIX_TIMESTAMP. The rows
that a data change takes over as they are (`stored_column`) are never converted.

Such a query finds its rows by other columns' indexes, or by reading them all: no index holds local time.
"""

from __future__ import annotations

from collections.abc import Mapping

from sqlglot import exp

from rutile.expressions.compile import UTC
from rutile.planner.names import TableKey
from rutile.rows.access import TableAccess
from rutile_coprocessor.schema import Kind

_AS_STORED = "as_stored"
_COMPARED = (exp.EQ, exp.NEQ, exp.LT, exp.LTE, exp.GT, exp.GTE, exp.NullSafeEQ)


def stored_column(name: str, table: str) -> exp.Column:
    """A column whose values go into rows again: not converted."""
    column = exp.column(exp.to_identifier(name, quoted=True), table=exp.to_identifier(table, quoted=True))
    column.meta[_AS_STORED] = True
    return column


def in_local_time(query: exp.Expr, tables: Mapping[TableKey, TableAccess], zone: str) -> exp.Expr:
    """A copy of a query with qualified names, its TIMESTAMPs in `zone`."""
    local = query.copy()
    found = [node for node in local.find_all(exp.Column) if _is_timestamp(node, tables)]
    for column in [node for node in found if not _is_moment(node, set(map(id, found)))]:
        outer = column.parent if isinstance(column.parent, exp.Min | exp.Max) else column
        if _is_unix_timestamp(column, zone):
            assert column.parent is not None
            column.parent.replace(column.copy())
            continue
        as_name = isinstance(outer.parent, exp.Select) and outer.arg_key == "expressions"
        converted: exp.Expr = _converted(outer.copy(), zone)
        outer.replace(exp.alias_(converted, column.name, quoted=True) if as_name and outer is column else converted)
    return local


def _converted(moment: exp.Expr, zone: str) -> exp.Expr:
    source, target = exp.Literal.string(UTC), exp.Literal.string(zone)
    return exp.ConvertTimezone(timestamp=moment, source_tz=source, target_tz=target)


def _is_timestamp(column: exp.Column, tables: Mapping[TableKey, TableAccess]) -> bool:
    """Whether it is a TIMESTAMP of a stored table, as far as the query around it names one."""
    if column.meta.get(_AS_STORED):
        return False
    node: exp.Expr | None = column
    while node is not None:
        node = node.parent
        if not isinstance(node, exp.Select | exp.Update | exp.Delete):
            continue
        for source in _sources(node):
            if source.alias_or_name.lower() == column.table.lower():
                access = tables.get((source.db.lower(), source.name.lower())) if isinstance(source, exp.Table) else None
                schema = access.schema if access is not None else None
                known = schema is not None and schema.has_column(column.name)
                return known and schema is not None and schema.column(column.name).type.kind is Kind.TIMESTAMP
    return False


def _sources(select: exp.Expr) -> list[exp.Expr]:
    source = select.args.get("from_")
    return [*([source.this] if source is not None else []), *(join.this for join in select.args.get("joins") or [])]


def _is_moment(column: exp.Column, timestamps: set[int]) -> bool:
    """Whether the moment itself is meant, whatever clocks show."""
    parent = column.parent
    if isinstance(parent, exp.Group):
        return True
    if isinstance(parent, exp.Ordered) and isinstance(parent.parent, exp.Order):
        select = parent.parent.parent
        return isinstance(select, exp.Select) and not select.args.get("distinct")
    if isinstance(parent, exp.Count) or isinstance(getattr(parent, "parent", None), exp.Count):
        return isinstance(parent, exp.Count | exp.Distinct)
    if isinstance(parent, _COMPARED):
        other = parent.expression if parent.this is column else parent.this
        return id(other) in timestamps
    return False


def _is_unix_timestamp(column: exp.Column, zone: str) -> bool:
    """Whether it is read as local time only to be turned into UTC again: UNIX_TIMESTAMP(column)."""
    around = column.parent
    if not isinstance(around, exp.ConvertTimezone) or not isinstance(around.parent, exp.Anonymous):
        return False
    back = around.args["source_tz"].name == zone and around.args["target_tz"].name == UTC
    return back and around.parent.name.lower() == "unix_timestamp"
