"""Columns that must be equal in every row of a query's result: what one scan's rows tell of the rows another needs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from sqlglot import exp

from rutile_coprocessor.schema import Column, ColumnType, Kind, TableSchema

_SAME = (Kind.DATE, Kind.DATETIME, Kind.TIMESTAMP, Kind.TIME)
_TEXTS = (Kind.CHAR, Kind.VARCHAR, Kind.TEXT)


@dataclass(frozen=True)
class JoinKey:
    """In each row of the result the scan's `column` equals the column `other_column` of a row of the scan `other`."""

    column: str
    other: str
    other_column: str


def join_keys(
    conditions: Iterable[exp.Expr], names: Mapping[str, str], schemas: Mapping[str, TableSchema]
) -> Iterator[tuple[str, JoinKey]]:
    """The keys in conditions that each row of the result meets, with the scan each is of.

    `names` are the scans by alias, `schemas` their tables by alias.
    """
    for condition in conditions:
        sides = (condition.this, condition.expression) if isinstance(condition, exp.EQ) else ()
        if len(sides) != 2 or not all(isinstance(side, exp.Column) and side.table in names for side in sides):
            continue
        left, right = sides
        if left.table == right.table or not _comparable(_column(left, schemas), _column(right, schemas)):
            continue
        for mine, other in ((left, right), (right, left)):
            yield names[mine.table], JoinKey(mine.name, names[other.table], other.name)


def _column(node: exp.Expr, schemas: Mapping[str, TableSchema]) -> Column | None:
    schema = schemas[node.args["table"].name]
    return schema.column(node.name) if schema.has_column(node.name) else None


def _comparable(left: Column | None, right: Column | None) -> bool:
    """Whether = compares the columns' values as they are, without turning one into the other's type."""
    if left is None or right is None:
        return False
    return _family(left.type) == _family(right.type) != ""


def _family(kind: ColumnType) -> str:
    if kind.is_integer and kind.kind is not Kind.BIT:
        return "integer"
    if kind.kind in _TEXTS:
        return "text"
    if kind.kind in _SAME or kind.kind is Kind.DECIMAL:
        return f"{kind.kind.value}({kind.scale})"
    return ""
