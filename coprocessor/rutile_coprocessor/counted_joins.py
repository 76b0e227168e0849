"""Where a fragment counts, for each row of a relation, the rows of a scan joined to it; and the same, counted before.

    SELECT c.id, COUNT(o.id) AS n FROM c LEFT JOIN o ON c.id = o.customer AND o.total > 9 GROUP BY c.id

    SELECT c.id, COALESCE(CAST(SUM(o.count_0) AS BIGINT), 0) AS n FROM c LEFT JOIN
        (SELECT o.customer AS key, COUNT(o.id) AS count_0 FROM o WHERE o.total > 9 GROUP BY o.customer) AS o
    ON c.id = o.key GROUP BY c.id

Both are the same whatever the rows are: a row of the left side meets all rows of one customer, or none. The second
joins few rows instead of all, which is the faster the more rows a customer has. DuckDB does that by itself where it
knows how many different customers there are, which it does of its own tables only (`scan_sizes`).

Only what looks like the example is touched: one LEFT JOIN with one equality, conditions on the scan alone beside it,
columns of the left side to group by, and no aggregates but COUNT of the scan's columns, without HAVING or ORDER BY.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import sqlglot
from sqlglot import exp

from rutile_coprocessor.filtered_scans import REMEMBERED_TEXTS, is_about, is_bare
from rutile_coprocessor.pruning import conjuncts

_DIALECT = "duckdb"
_PARTS = frozenset({"expressions", "from_", "joins", "where", "group"})
"""What a SELECT may have to be rewritten."""


@dataclass(frozen=True, slots=True)
class CountedJoin:
    """A place where rows of a scan are counted through a join."""

    scan: str
    distinct: str
    """How many different values about the scan's side of the equality has, as an expression and FROM."""


@dataclass(frozen=True, slots=True)
class _Place:
    select: exp.Select
    join: exp.Join
    outer: exp.Column
    inner: exp.Column
    conditions: Sequence[exp.Expr]
    counts: Sequence[exp.Count]

    @property
    def table(self) -> exp.Table:
        table = self.join.this
        assert isinstance(table, exp.Table), "a place was found by its table"
        return table


@lru_cache(maxsize=REMEMBERED_TEXTS)
def counted_joins(sql: str, scan_names: tuple[str, ...]) -> tuple[CountedJoin, ...]:
    """The places of a checked text in the order `counted_before` takes them."""
    return tuple(_described(place) for place in _places(sqlglot.parse_one(sql, read=_DIALECT), scan_names))


@lru_cache(maxsize=REMEMBERED_TEXTS)
def counted_before(sql: str, scan_names: tuple[str, ...], chosen: tuple[bool, ...]) -> str:
    """The text with the chosen places counted before they are joined."""
    tree = sqlglot.parse_one(sql, read=_DIALECT)
    for place, is_chosen in zip(list(_places(tree, scan_names)), chosen, strict=True):
        if is_chosen:
            _rewrite(place)
    return tree.sql(dialect=_DIALECT)


def _places(tree: exp.Expr, scan_names: Sequence[str]) -> Iterator[_Place]:
    names = {name.lower() for name in scan_names} - {cte.alias.lower() for cte in tree.find_all(exp.CTE)}
    for select in tree.find_all(exp.Select):
        place = _place(select)
        if place is not None and place.table.name.lower() in names:
            yield place


def _place(select: exp.Select) -> _Place | None:
    join = _left_join(select)
    if join is None:
        return None
    alias = join.this.alias_or_name.lower()
    equality, conditions = _split(join, alias)
    counts = _counts(select, alias)
    if equality is None or not counts or not _is_grouped_by_others(select, alias):
        return None
    outer, inner = equality
    return _Place(select, join, outer, inner, conditions, counts)


def _left_join(select: exp.Select) -> exp.Join | None:
    """The one join of a SELECT that has nothing else to mind."""
    joins = select.args.get("joins") or []
    if len(joins) != 1 or any(value for part, value in select.args.items() if part not in _PARTS):
        return None
    join = joins[0]
    is_left = join.side == "LEFT" and join.kind in ("", "OUTER") and not join.method and not join.args.get("using")
    is_plain = isinstance(join.this, exp.Table) and is_bare(join.this) and join.args.get("on") is not None
    return join if is_left and is_plain else None


def _split(join: exp.Join, alias: str) -> tuple[tuple[exp.Column, exp.Column] | None, list[exp.Expr]]:
    """The equality of another relation's column with one of the scan's, and the conditions on the scan alone.

    None if there is anything else, or more than one equality.
    """
    conditions = list(conjuncts(join.args["on"]))
    others = [each for each in conditions if not is_about(each, alias)]
    if len(others) != 1 or not isinstance(others[0], exp.EQ):
        return None, []
    sides = sorted((others[0].this, others[0].expression), key=lambda side: _is_of(side, alias))
    outer, inner = sides
    if not isinstance(outer, exp.Column) or not outer.table or _is_of(outer, alias) or not _is_of(inner, alias):
        return None, []
    return (outer, inner), [each for each in conditions if each is not others[0]]


def _counts(select: exp.Select, alias: str) -> list[exp.Count]:
    """The counts of the scan's columns that are selected; none if anything is but those and others' columns."""
    found = []
    for item in select.expressions:
        value = item.unalias()
        if isinstance(value, exp.Count) and isinstance(item, exp.Alias):
            if not _is_of(value.this, alias) or value.expressions:
                return []
            found.append(value)
        elif not _is_of_others(value, alias):
            return []
    return found


def _is_grouped_by_others(select: exp.Select, alias: str) -> bool:
    """Whether it is grouped by columns of the other side, and no row of the scan decides which rows there count."""
    group, where = select.args.get("group"), select.args.get("where")
    if group is None or any(value for part, value in group.args.items() if part != "expressions"):
        return False
    columns = [] if where is None else list(where.find_all(exp.Column))
    if where is not None and where.find(exp.Query) is not None:
        return False
    return all(_is_of_others(each, alias) for each in (*group.expressions, *columns))


def _is_of(node: object, alias: str) -> bool:
    return isinstance(node, exp.Column) and node.table.lower() == alias


def _is_of_others(node: object, alias: str) -> bool:
    return isinstance(node, exp.Column) and node.table.lower() not in ("", alias) and not node.is_star


def _described(place: _Place) -> CountedJoin:
    table, column = place.table.sql(dialect=_DIALECT), place.inner.sql(dialect=_DIALECT)
    return CountedJoin(place.table.name, f"approx_count_distinct({column}) FROM {table}")


def _rewrite(place: _Place) -> None:
    alias = exp.to_identifier(place.table.alias_or_name, quoted=True)
    names = [f"count_{number}" for number, _ in enumerate(place.counts)]
    counts = [exp.alias_(each.copy(), name) for each, name in zip(place.counts, names, strict=True)]
    rows = exp.select(exp.alias_(place.inner.copy(), "key"), *counts).from_(place.table.copy())
    rows = rows.where(*(each.copy() for each in place.conditions)).group_by(place.inner.copy())
    place.join.set(
        "on", exp.EQ(this=place.outer.copy(), expression=exp.Column(this=exp.to_identifier("key"), table=alias))
    )
    place.table.replace(exp.Subquery(this=rows, alias=exp.TableAlias(this=alias.copy())))
    for count, name in zip(place.counts, names, strict=True):
        total = exp.cast(exp.Sum(this=exp.Column(this=exp.to_identifier(name), table=alias.copy())), "BIGINT")
        count.replace(exp.Coalesce(this=total, expressions=[exp.Literal.number(0)]))
