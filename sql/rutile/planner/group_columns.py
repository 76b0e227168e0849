"""Columns of a grouped query that are neither grouped by nor in an aggregate: where they are allowed, ANY_VALUE.

They are allowed where what is grouped by determines them: it has every column of a primary key, or of a unique index
without NULLs, of their table. Without ONLY_FULL_GROUP_BY every column is, and its value is that of any row of the
group, as in MySQL. The rest is left as it is written, and is 1055.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from sqlglot import exp

from rutile.planner.names import TableKey
from rutile.rows.access import TableAccess

_SUMMARIES = ("rollup", "cube", "grouping_sets", "totals", "all")
"""Ways to group in which one row stands for several groups: there nothing is determined."""


def allow_free_columns(qualified: exp.Expr, tables: Mapping[TableKey, TableAccess], *, any_column: bool) -> exp.Expr:
    """The query (changed in place) with the columns that are allowed in ANY_VALUE; `any_column`: all of them."""
    for select in list(qualified.find_all(exp.Select)):
        group = select.args.get("group")
        if group is not None and any(group.args.get(kind) for kind in _SUMMARIES):
            continue
        if group is None and not (any_column and _is_aggregated(select)):
            continue
        grouped = list(group.expressions) if group is not None else []
        sources = dict(_sources(select))
        free = set(sources) if any_column else _determined(sources, grouped, tables)
        if free:
            _wrap(select, grouped, free)
    return qualified


def _sources(select: exp.Select) -> Iterator[tuple[str, exp.Expr]]:
    """What it selects from, by alias."""
    origin = select.args.get("from_")
    joined = [join.this for join in select.args.get("joins") or []]
    for node in [origin.this, *joined] if origin is not None else joined:
        yield node.alias_or_name, node


def _determined(
    sources: Mapping[str, exp.Expr], grouped: list[exp.Expr], tables: Mapping[TableKey, TableAccess]
) -> set[str]:
    """The sources of which one row is behind each group."""
    names = {(column.table, column.name.lower()) for column in grouped if isinstance(column, exp.Column)}
    return {
        alias
        for alias, node in sources.items()
        if isinstance(node, exp.Table)
        and (access := tables.get((node.db.lower(), node.name.lower()))) is not None
        and any(all((alias, name) in names for name in key) for key in _keys(access))
    }


def _keys(access: TableAccess) -> Iterator[list[str]]:
    """The columns of each key that no two rows share."""
    primary = [column.name.lower() for column in access.schema.primary_key_columns]
    if primary:
        yield primary
    for index in access.indexes:
        whole = all(part.length is None for part in index.info.columns)
        if index.info.unique and index.info.is_public and whole and not any(each.nullable for each in index.columns):
            yield [column.name.lower() for column in index.columns]


def _parts(select: exp.Select) -> list[exp.Expr]:
    """Where columns are of the groups rather than of the rows."""
    having, order = select.args.get("having"), select.args.get("order")
    return [*select.expressions, *([having] if having is not None else []), *(order.expressions if order else [])]


def _is_aggregated(select: exp.Select) -> bool:
    return any(isinstance(node, exp.AggFunc) for part in _parts(select) for node in _own(part, ()))


def _wrap(select: exp.Select, grouped: list[exp.Expr], free: set[str]) -> None:
    for part in _parts(select):
        for node in list(_own(part, grouped)):
            if isinstance(node, exp.Column) and node.table in free:
                node.replace(exp.AnyValue(this=node.copy()))


def _own(part: exp.Expr, grouped: list[exp.Expr] | tuple[()]) -> Iterator[exp.Expr]:
    """The nodes of an expression that are worked out for each group; an aggregate is one, what is in it is not."""
    if part in grouped or isinstance(part, exp.Query | exp.Window):
        return
    yield part
    if not isinstance(part, exp.AggFunc):
        for child in part.iter_expressions():
            yield from _own(child, grouped)
