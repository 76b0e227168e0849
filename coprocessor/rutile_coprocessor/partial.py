"""Splits a query into a fragment for every store, which reads one table there, and a query that merges the answers.

`split_query` tries the plans in the order of `STRATEGIES`; the first that fits does the most work beside the data:

| plan      | fragment, on each store                         | merge, in the front end                             |
|-----------|-------------------------------------------------|-----------------------------------------------------|
| aggregate | group keys, partial aggregates                  | the aggregates of the partial ones, HAVING, ORDER BY |
| rowwise   | the query itself: filter and projection         | none: the answers are simply put together           |
| sorted    | filter, projection, first limit + offset rows   | ORDER BY, LIMIT, DISTINCT once more                 |
| filter    | the filter, the columns the query mentions      | all of the query (windows, odd aggregates, ...)     |

Both are text in DuckDB's dialect. The merge reads the union of all answers under the name MERGE_INPUT. Any partition of
the table's rows into stores gives the same final answer as the query run on all rows at once (tested as such).

The table may be joined with others that are the same everywhere, because they travel with the fragment (`inputs`): the
join of a union with such a table is the union of the joins, as long as no outer join fills the split table's own side
with NULLs, and it is read nowhere else. See `partial_join`.

Columns are expected to carry their table's name, as sqlglot's `qualify` writes them; one without it that has the name
of an output column means that.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from sqlglot import exp

from rutile_coprocessor.partial_aggregate import SOURCES, computed, output_name, split_grouping
from rutile_coprocessor.partial_join import is_spread_over

MERGE_INPUT = "rutile_partials"
_DIALECT = "duckdb"


@dataclass(frozen=True)
class PushPlan:
    """A split query."""

    fragment_sql: str
    merge_sql: str | None
    """None when the fragments' answers together are the answer."""
    kind: str
    """The plan's name in the table of the module, for EXPLAIN."""
    joined: bool = False
    """It reads inputs too."""

    @property
    def rowwise(self) -> bool:
        return self.kind == "rowwise" and not self.joined


def split_query(select: exp.Expr) -> PushPlan | None:
    """The plan for a SELECT (in DuckDB's dialect) over one named table; None if it joins, nests or has several."""
    if not isinstance(select, exp.Select) or not _reads_one_table(select):
        return None
    plans = (strategy(select) for strategy in STRATEGIES)
    return next(plan for plan in plans if plan is not None)


def split_join(select: exp.Expr, spread: str) -> PushPlan | None:
    """The plan for a SELECT in which the table `spread` lies in the stores and all others travel; None if it has none.

    Only the plans that send back less than the joined rows are tried: the others are no better than fetching the table.
    """
    if not isinstance(select, exp.Select) or not is_spread_over(select, spread):
        return None
    plans = (strategy(select) for strategy in (split_aggregate, split_rowwise, split_sorted))
    found = next((plan for plan in plans if plan is not None), None)
    return None if found is None else replace(found, joined=True)


def split_aggregate(select: exp.Select) -> PushPlan | None:
    """Partial aggregation, if every aggregate has a partial form."""
    if select.find(exp.Window) or select.args.get("qualify"):
        return None
    grouping = split_grouping(select)
    if grouping is None:
        return None
    fragment, merge = grouping
    merge.set("from_", _merge_input())
    return _plan("aggregate", fragment, merge)


def split_rowwise(select: exp.Select) -> PushPlan | None:
    """Filter and projection."""
    if _needs_all_rows(select) or any(select.args.get(part) for part in ("distinct", "order", "limit", "offset")):
        return None
    return PushPlan(select.sql(dialect=_DIALECT), None, "rowwise")


def split_sorted(select: exp.Select) -> PushPlan | None:
    """DISTINCT, ORDER BY and LIMIT in any combination; the columns travel under numbers, as names may repeat."""
    limit, offset = _row_count(select.args.get("limit")), _row_count(select.args.get("offset"))
    distinct, order = select.args.get("distinct"), select.args.get("order")
    if _needs_all_rows(select) or limit is None or offset is None or (distinct and distinct.args.get("on")):
        return None
    if any(projection.is_star for projection in select.expressions):
        return None
    names = [output_name(projection) for projection in select.expressions]
    carried = [projection.unalias().copy() for projection in select.expressions]
    ordered = [_carry(item, names, carried) for item in (order.expressions if order else [])]
    if distinct and len(carried) > len(names):
        return None  # sorted by something that is not selected: what DISTINCT then means is the engine's to say
    return _sorted_plan(select, names, carried, ordered)


def _carry(item: exp.Ordered, names: list[str], carried: list[exp.Expr]) -> exp.Ordered:
    """The ORDER BY item for the merge, over a numbered column; adds the column if it is not selected."""
    key = item.this
    if isinstance(key, exp.Literal) and key.is_int:
        place = int(key.name) - 1
    elif isinstance(key, exp.Column) and not key.table and key.name in names:
        place = names.index(key.name)
    elif key in carried:
        place = carried.index(key)
    else:
        place = len(carried)
        carried.append(key.copy())
    item = item.copy()
    item.set("this", _numbered(place))
    return item


def _sorted_plan(select: exp.Select, names: list[str], carried: list[exp.Expr], ordered: list[exp.Ordered]) -> PushPlan:
    limit, offset = select.args.get("limit"), select.args.get("offset")
    fragment = exp.Select(expressions=[exp.alias_(value, _number(place)) for place, value in enumerate(carried)])
    merge = exp.Select(expressions=[exp.alias_(_numbered(place), name) for place, name in enumerate(names)])
    for part in (*SOURCES, "distinct"):
        fragment.set(part, _copy(select.args.get(part)))
    for part in ("distinct", "limit", "offset"):
        merge.set(part, _copy(select.args.get(part)))
    merge.set("from_", _merge_input())
    order = exp.Order(expressions=ordered) if ordered else None
    merge.set("order", order)
    if limit is not None:
        rows = (_row_count(limit) or 0) + (_row_count(offset) or 0)
        fragment.set("order", _copy(order))
        fragment = fragment.limit(rows)
    return _plan("sorted", fragment, merge)


def split_filter(select: exp.Select) -> PushPlan:
    """The rows that pass WHERE, with the columns the query mentions."""
    table = select.args["from_"].this
    fragment = exp.Select(expressions=_mentioned_columns(select, table.alias_or_name))
    fragment.set("from_", _copy(select.args["from_"]))
    fragment.set("where", _copy(select.args.get("where")))
    merge = select.copy()
    merge.set("from_", _merge_input(table.alias_or_name))
    merge.set("where", None)
    return _plan("filter", fragment, merge)


def _mentioned_columns(select: exp.Select, table: str) -> list[exp.Expr]:
    """The columns of the table that the query mentions; all, where a star or an alias hides which they are."""
    names = sorted({column.name for column in select.find_all(exp.Column)})
    aliases = {projection.alias for projection in select.expressions if isinstance(projection, exp.Alias)}
    stars = [star for star in select.find_all(exp.Star) if not isinstance(star.parent, exp.Count)]
    if stars or not names or aliases.intersection(names):
        return [exp.Star()]
    return [exp.column(name, table=table, quoted=True) for name in names]


STRATEGIES: tuple[Callable[[exp.Select], PushPlan | None], ...] = (
    split_aggregate,
    split_rowwise,
    split_sorted,
    split_filter,
)


def _reads_one_table(select: exp.Select) -> bool:
    source = select.args.get("from_")
    if source is None or not isinstance(source.this, exp.Table) or not isinstance(source.this.this, exp.Identifier):
        return False
    if any(select.args.get(part) for part in ("joins", "laterals", "with_", "into", "sample")):
        return False
    return not any(node is not select for node in select.find_all(exp.Query, exp.Values))


def _needs_all_rows(select: exp.Select) -> bool:
    """Windows and aggregates look at rows of other stores too."""
    if any(select.args.get(part) for part in ("group", "having", "qualify", "windows")):
        return True
    return any(part.find(exp.Window, exp.AggFunc, exp.AnonymousAggFunc) is not None for part in computed(select))


def _row_count(clause: exp.Expr | None) -> int | None:
    """The number in a LIMIT or OFFSET; 0 if there is none; None if it is not a plain number."""
    if clause is None:
        return 0
    number = clause.args.get("expression")
    return int(number.name) if isinstance(number, exp.Literal) and number.is_int else None


def _number(place: int) -> str:
    return f"rutile_c{place}"


def _numbered(place: int) -> exp.Column:
    return exp.column(_number(place), quoted=True)


def _merge_input(alias: str | None = None) -> exp.From:
    table = exp.to_table(MERGE_INPUT)
    return exp.From(this=exp.alias_(table, alias, table=True, quoted=True) if alias else table)


def _copy(node: exp.Expr | list[exp.Expr] | None) -> exp.Expr | list[exp.Expr] | None:
    if isinstance(node, list):
        return [each.copy() for each in node]
    return None if node is None else node.copy()


def _plan(kind: str, fragment: exp.Select, merge: exp.Select) -> PushPlan:
    return PushPlan(fragment.sql(dialect=_DIALECT), merge.sql(dialect=_DIALECT), kind)
