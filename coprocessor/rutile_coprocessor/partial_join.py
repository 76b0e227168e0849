"""Joins of a table that is spread over stores with tables that are the same in each: which of them can be split.

A query may be run on any part of the spread table, its answers merged as those of a query over one table, if the rows
FROM and WHERE leave of a union are the union of those they leave of its parts. That holds where the table

* is read once, in FROM itself and not within a subquery: else a row would have to meet rows of other stores;
* is on no side of an outer join that is filled with NULLs: whether a row of the other side has a partner here says
  nothing about the other stores. For the same reason it is not the right side of a semi or anti join.

Subqueries over the other tables alone mean the same everywhere, EXISTS, NOT IN and all, unless which rows they give is
left open: LIMIT, windows and aggregates that go by the order of the rows are refused in them.
"""

from __future__ import annotations

from sqlglot import exp

_ORDERED = (exp.Limit, exp.Offset, exp.Fetch, exp.Window, exp.TableSample, exp.AnonymousAggFunc)
_SETTLED = (
    exp.Count, exp.CountIf, exp.Sum, exp.Avg, exp.Min, exp.Max, exp.BitwiseAndAgg, exp.BitwiseOrAgg, exp.BitwiseXorAgg,
    exp.LogicalAnd, exp.LogicalOr, exp.ApproxDistinct,
)  # fmt: skip
"""Aggregates of exact values that do not depend on the order of the rows; of doubles, as far as addition does not."""
_KINDS = ("", "INNER", "OUTER", "CROSS", "SEMI", "ANTI")


def is_spread_over(select: exp.Select, spread: str) -> bool:
    """Whether `select` can be run on parts of the table `spread`, all other tables being whole everywhere."""
    uses = [table for table in select.find_all(exp.Table) if table.name == spread and not table.db]
    items = _items(select)
    if len(uses) != 1 or any(select.args.get(part) for part in ("with_", "laterals", "into", "sample")):
        return False
    at = next((place for place, item in enumerate(items) if item is uses[0]), None)
    if at is None or not all(_is_plain(item) for item in items):
        return False
    joins = select.args.get("joins") or []
    return all(_keeps(join, place, at) for place, join in enumerate(joins, start=1)) and _subqueries_hold(select)


def _items(select: exp.Select) -> list[exp.Expr]:
    """What FROM lists, in order; joins nested in one another do not appear as such."""
    source = select.args.get("from_")
    first = [source.this] if source is not None else []
    return first + [join.this for join in select.args.get("joins") or []]


def _is_plain(item: exp.Expr) -> bool:
    if item.args.get("joins") or item.args.get("sample"):
        return False
    return isinstance(item, exp.Table) or (isinstance(item, exp.Subquery) and isinstance(item.this, exp.Query))


def _keeps(join: exp.Join, place: int, at: int) -> bool:
    """Whether each row this join makes with the spread table, at `at`, is made of a row that is there."""
    if join.args.get("method") or join.kind not in _KINDS:
        return False
    if place < at:  # of other tables alone: the same everywhere
        return True
    if place == at:
        return join.side not in ("LEFT", "FULL") and join.kind not in ("SEMI", "ANTI")
    return join.side not in ("RIGHT", "FULL")


def _subqueries_hold(select: exp.Select) -> bool:
    """Whether all subqueries are in FROM and WHERE, and what they give is settled."""
    sources: list[exp.Expr] = list(select.args.get("joins") or [])
    sources += [select.args[part] for part in ("from_", "where") if select.args.get(part) is not None]
    within = [node for source in sources for node in source.find_all(exp.Query)]
    everywhere = [node for node in select.find_all(exp.Query) if node is not select]
    if len(within) != len(everywhere) or select.find(exp.Values, exp.Lateral, exp.Unnest) is not None:
        return False
    return all(_is_settled(each) for each in within)


def _is_settled(query: exp.Expr) -> bool:
    aggregates = list(query.find_all(exp.AggFunc))
    return query.find(*_ORDERED) is None and all(isinstance(each, _SETTLED) for each in aggregates)
