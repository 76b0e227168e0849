"""Optimizer hints, as TiDB has them: which are obeyed, and what is said of the others.

    USE_INDEX, FORCE_INDEX, IGNORE_INDEX    index_paths.py
    MAX_EXECUTION_TIME                      rutile.session.time_limits
    READ_FROM_STORAGE(TIKV[t], TIFLASH[t])  TIKV: t's rows come from the row store, perhaps through an index, never from
                                            the columnar mirror; TIFLASH: beside the mirror, never through an index
    BROADCAST_JOIN(t, ...)                  every store joins its part of another table with t, which travels there
    HASH_JOIN, HASH_AGG                     as it is anyway

A hint that is unknown or cannot be obeyed is no error: the query runs without it and has a warning. Tables go by their
aliases, those of the SELECT that has the hint.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import sqlglot
from sqlglot import exp

from rutile.errors import ER_PARSE
from rutile.parse.mysql_text import mysql_text

ER_INTERNAL = 1815
"""TiDB's code for hints that mean something elsewhere, but not here."""
Engine = Literal["tikv", "tiflash"]
ENGINES: tuple[Engine, ...] = ("tikv", "tiflash")

_HINT = re.compile(r"\w+\s*\([^()]*(?:\([^()]*\)[^()]*)*\)|[^\s,()]+")
"""A name with arguments in parentheses, which may hold others; else a word."""
_ARGUMENTS = re.compile(r"\(\s*[^\s)]")

_INDEX_HINTS = ("USE_INDEX", "FORCE_INDEX", "IGNORE_INDEX")
_OF_TABLES = ("BROADCAST_JOIN", "HASH_JOIN")
_WITHOUT_EFFECT = ("HASH_JOIN", "HASH_AGG", "MAX_EXECUTION_TIME", *_INDEX_HINTS)
"""Obeyed elsewhere, or by doing what is done anyway."""
_INAPPLICABLE = frozenset({
    "AGG_TO_COP", "HASH_JOIN_BUILD", "HASH_JOIN_PROBE", "HYPO_INDEX", "IGNORE_PLAN_CACHE", "INL_HASH_JOIN", "INL_JOIN",
    "INL_MERGE_JOIN", "LEADING", "LIMIT_TO_COP", "MEMORY_QUOTA", "MERGE", "MERGE_JOIN", "MPP_1PHASE_AGG",
    "MPP_2PHASE_AGG", "NO_DECORRELATE", "NO_HASH_JOIN", "NO_INDEX_HASH_JOIN", "NO_INDEX_JOIN", "NO_INDEX_MERGE",
    "NO_INDEX_MERGE_JOIN", "NO_MERGE_JOIN", "NO_ORDER_INDEX", "NO_REORDER", "NO_SWAP_JOIN_INPUTS", "NTH_PLAN",
    "ORDER_INDEX", "QB_NAME", "READ_CONSISTENT_REPLICA", "RESOURCE_GROUP", "SEMI_JOIN_REWRITE", "SET_VAR",
    "SHUFFLE_JOIN", "SM_JOIN", "STRAIGHT_JOIN", "STREAM_AGG", "SWAP_JOIN_INPUTS", "TIDB_HJ", "TIDB_INLJ", "TIDB_SMJ",
    "USE_CASCADES", "USE_INDEX_MERGE", "USE_PLAN_CACHE", "USE_TOJA", "WRITE_SLOW_LOG",
})  # fmt: skip
"""TiDB's others, for choices that are not the planner's here: DuckDB's, or none at all."""


@dataclass(frozen=True)
class Complaint:
    """What SHOW WARNINGS tells of a hint."""

    code: int
    message: str


@dataclass(frozen=True)
class QueryHints:
    """The hints of all SELECTs of a query. Tables as (database, name) in lower case."""

    broadcast: frozenset[tuple[str, str]] = frozenset()
    complaints: tuple[Complaint, ...] = ()


def expand_hints(query: exp.Expr) -> None:
    """Cut apart comments that sqlglot keeps as one text because of one hint in them that it cannot parse."""
    for hint in query.find_all(exp.Hint):
        hint.set("expressions", [part for each in hint.expressions for part in _parts(each)])


def _parts(hint: exp.Expr | str) -> list[exp.Expr]:
    if isinstance(hint, exp.Expr):
        return [hint]
    found: list[exp.Expr] = []
    for text in _HINT.findall(hint):
        parsed = sqlglot.parse_one(f"SELECT /*+ {text} */ 1", read="mysql").args["hint"].expressions[0]
        bare = text.partition("(")[0].strip()
        found.append(
            parsed if isinstance(parsed, exp.Expr) else exp.Var(this=text if _ARGUMENTS.search(text) else bare)
        )
    return found


def read_query_hints(query: exp.Expr) -> QueryHints:
    """The hints of a qualified query."""
    broadcast: set[tuple[str, str]] = set()
    complaints: list[Complaint] = []
    for select in query.find_all(exp.Select):
        sources = _sources(select)
        for hint in _hints(select):
            complaints += _complaints(hint, sources)
            if _name(hint) == "BROADCAST_JOIN":
                broadcast |= {sources[alias] for alias in _aliases(hint.expressions) if alias in sources}
    return QueryHints(frozenset(broadcast), tuple(dict.fromkeys(complaints)))


def not_broadcast() -> Complaint:
    """Of a BROADCAST_JOIN in a query that could not be run so."""
    return _inapplicable("BROADCAST_JOIN")


def not_read_from(engine: Engine, table: str, engines: Iterable[str]) -> Complaint:
    """Of a READ_FROM_STORAGE that tidb_isolation_read_engines rules out."""
    message = (
        f"No available path for table {table} with the store type {engine} of the hint /*+ read_from_storage */, please"
        f" check the value of tidb_isolation_read_engines({','.join(sorted(engines))})"
    )
    return Complaint(ER_INTERNAL, message)


def hinted_engine(select: exp.Expr, alias: str) -> Engine | None:
    """The storage that READ_FROM_STORAGE names for a table of a SELECT; the first one, if it names both."""
    for hint in _hints(select):
        if _name(hint) == "READ_FROM_STORAGE":
            for engine, tables in _storages(hint):
                if alias.lower() in _aliases(tables):
                    return engine
    return None


def _hints(select: exp.Expr) -> Iterator[exp.Expr]:
    comment = select.args.get("hint")
    yield from comment.expressions if comment is not None else []


def _name(hint: exp.Expr) -> str:
    return str(hint.this).upper() if isinstance(hint, exp.Anonymous | exp.Var) else ""


def _sources(select: exp.Select) -> Mapping[str, tuple[str, str]]:
    """The tables of the SELECT's FROM by alias."""
    source = select.args.get("from_")
    items = [source.this] if source is not None else []
    items += [join.this for join in select.args.get("joins") or []]
    tables = [item for item in items if isinstance(item, exp.Table)]
    return {table.alias_or_name.lower(): (table.db.lower(), table.name.lower()) for table in tables}


def _aliases(tables: Sequence[exp.Expr]) -> list[str]:
    return [table.name.lower() for table in tables if isinstance(table, exp.Column)]


def _storages(hint: exp.Expr) -> Iterator[tuple[Engine, Sequence[exp.Expr]]]:
    """Each engine with its tables; engines that there are not are left out."""
    for part in hint.expressions:
        if isinstance(part, exp.Bracket):
            for engine in ENGINES:
                if part.this.name.lower() == engine:
                    yield engine, part.expressions


def _complaints(hint: exp.Expr, sources: Mapping[str, tuple[str, str]]) -> list[Complaint]:
    name, text = _name(hint), mysql_text(hint)
    if name == "READ_FROM_STORAGE":
        storages = list(_storages(hint))
        if not storages or len(storages) < len(hint.expressions):
            return [_unreadable(text)]
        tables = [table for _, found in storages for table in _aliases(found)]
    elif name in _OF_TABLES:
        tables = _aliases(hint.expressions)
    elif name in _INDEX_HINTS:
        tables = _aliases(hint.expressions[:1])
    elif name in _WITHOUT_EFFECT:
        return []
    elif name in _INAPPLICABLE:
        return [_inapplicable(name)]
    else:
        return [_unreadable(text)]
    return [_no_table(table, text) for table in tables if table not in sources]


def _inapplicable(name: str) -> Complaint:
    return Complaint(ER_INTERNAL, f"Optimizer Hint {name} is inapplicable")


def _unreadable(text: str) -> Complaint:
    return Complaint(ER_PARSE, f"Optimizer hint syntax error near '{text}'")


def _no_table(table: str, text: str) -> Complaint:
    message = (
        f"There are no matching table names for ({table}) in optimizer hint /*+ {text} */. Maybe you can use the table"
        " alias name"
    )
    return Complaint(ER_INTERNAL, message)
