"""Where a fragment filters a scan before joining it, and the same text with the number of rows that leaves.

    FROM part, lineitem WHERE p_type = 'STEEL' AND p_partkey = l_partkey
    FROM (SELECT * FROM part WHERE p_type = 'STEEL' LIMIT 1451) AS part, lineitem WHERE p_partkey = l_partkey

Both are the same as long as no more than 1451 rows meet the condition. Why anybody would want that: `scan_sizes`.

A condition can be moved into a FROM if it concerns one relation only, which no outer join fills with NULLs, and if it
says the same whenever it is asked.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import sqlglot
from sqlglot import exp

from rutile_coprocessor.pruning import conjuncts

REMEMBERED_TEXTS = 512
_DIALECT = "duckdb"
_CHANCE = frozenset({"mysql_rand", "mysql_uuid"})
"""Macros with another value for each row and each time."""
_OTHER = (exp.Query, exp.AggFunc, exp.Window)
"""What is no condition on a row alone."""
_REORDERED = (None, "", "INNER", "CROSS")
"""Kinds of joins whose sides may be filtered before them."""


@dataclass(frozen=True, slots=True)
class FilteredScan:
    """A place where a scan is read, with conditions of its own."""

    scan: str
    rows: str
    """What is read there, as DuckDB's text from FROM on."""


@dataclass(frozen=True, slots=True)
class _Place:
    select: exp.Select
    table: exp.Table
    conditions: Sequence[exp.Expr]


@lru_cache(maxsize=REMEMBERED_TEXTS)
def filtered_scans(sql: str, scan_names: tuple[str, ...]) -> tuple[FilteredScan, ...]:
    """The places of a checked text in the order `with_limits` counts them; none if it reads only one relation."""
    tree = sqlglot.parse_one(sql, read=_DIALECT)
    return tuple(
        FilteredScan(place.table.name, _filtered(place).sql(dialect=_DIALECT).removeprefix("SELECT * "))
        for place in _places(tree, scan_names)
    )


@lru_cache(maxsize=REMEMBERED_TEXTS)
def with_limits(sql: str, scan_names: tuple[str, ...], limits: tuple[int | None, ...]) -> str:
    """The text with the places filtered first and cut to so many rows; None: that place stays as it is."""
    tree = sqlglot.parse_one(sql, read=_DIALECT)
    for place, limit in zip(list(_places(tree, scan_names)), limits, strict=True):
        if limit is not None:
            _cut(place, limit)
    return tree.sql(dialect=_DIALECT)


def _places(tree: exp.Expr, scan_names: Sequence[str]) -> Iterator[_Place]:
    names = {name.lower() for name in scan_names} - {cte.alias.lower() for cte in tree.find_all(exp.CTE)}
    if sum(table.name.lower() in names for table in tree.find_all(exp.Table)) < 2:
        return
    for select in tree.find_all(exp.Select):
        where = select.args.get("where")
        if where is None:
            continue
        conditions = list(conjuncts(where.this))
        for table in _inner_tables(select):
            mine = [each for each in conditions if is_about(each, table.alias_or_name.lower())]
            if mine and table.name.lower() in names:
                yield _Place(select, table, mine)


def _inner_tables(select: exp.Select) -> list[exp.Table]:
    """The tables in a SELECT's FROM and inner joins; none if another join fills those with NULLs or looks at order."""
    source, joins = select.args.get("from_"), select.args.get("joins") or []
    if source is None or any(join.method or join.side in ("RIGHT", "FULL") for join in joins):
        return []
    inner = [join.this for join in joins if not join.side and join.kind in _REORDERED]
    return [each for each in (source.this, *inner) if isinstance(each, exp.Table) and is_bare(each)]


def is_bare(table: exp.Table) -> bool:
    alias = table.args.get("alias")
    extras = [part for part, value in table.args.items() if value and part not in ("this", "alias")]
    return not extras and not (alias is not None and alias.columns)


def is_about(condition: exp.Expr, alias: str) -> bool:
    """Whether a condition is about one relation's columns only, and always has the same answer."""
    columns = list(condition.find_all(exp.Column))
    if not columns or any(column.table.lower() != alias for column in columns):
        return False
    chance = (each for each in condition.find_all(exp.Anonymous) if each.name.lower() in _CHANCE)
    return condition.find(*_OTHER) is None and next(chance, None) is None


def _filtered(place: _Place) -> exp.Select:
    return exp.select("*").from_(place.table.copy()).where(*place.conditions)


def _cut(place: _Place, limit: int) -> None:
    """The place's conditions move from WHERE into FROM."""
    where = place.select.args["where"]
    alias = exp.TableAlias(this=exp.to_identifier(place.table.alias_or_name, quoted=True))
    rows = exp.Subquery(this=_filtered(place).limit(limit), alias=alias)
    moved = {id(each) for each in place.conditions}
    rest = [each for each in conjuncts(where.this) if id(each) not in moved]
    place.select.set("where", exp.Where(this=exp.and_(*rest)) if rest else None)
    place.table.replace(rows)
