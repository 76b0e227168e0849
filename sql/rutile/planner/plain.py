"""The plainest point SELECT, told apart when its plan is made, so that it can be answered promptly when it runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlglot import exp

from rutile.planner.bounds import conjuncts
from rutile.planner.table_columns import TableColumns


@dataclass(frozen=True)
class PlainSelect:
    """Columns of the one row whose primary key the statement's parameters are; nothing else is asked."""

    parameters: tuple[int, ...]
    """For each column of the primary key, which parameter it equals."""
    columns: tuple[int, ...]
    """The positions of the columns asked for."""


def plain_select(
    select: exp.Select, projections: Sequence[exp.Expr], columns: TableColumns, key_positions: Sequence[int]
) -> PlainSelect | None:
    """A SELECT by the whole primary key, whose WHERE says nothing else, as a PlainSelect; None if it is more."""
    if select.args.get("limit") or select.args.get("locks"):
        return None
    equal: dict[int, int] = {}
    for condition in conjuncts(select.args["where"].this):
        found = _equal(condition, columns)
        if found is not None:
            equal[found[0]] = found[1]
    wanted = [columns.find(inner)[0] for item in projections if isinstance(inner := item.unalias(), exp.Column)]
    if set(equal) != set(key_positions) or len(wanted) != len(projections):
        return None
    return PlainSelect(tuple(equal[position] for position in key_positions), tuple(wanted))


def _equal(condition: exp.Expr, columns: TableColumns) -> tuple[int, int] | None:
    """(the column's position, the parameter's number) of `column = ?`."""
    if type(condition) is not exp.EQ:
        return None
    column, value = condition.this, condition.expression
    if isinstance(column, exp.Placeholder):
        column, value = value, column
    if not isinstance(column, exp.Column) or not isinstance(value, exp.Placeholder):
        return None
    return columns.find(column)[0], int(str(value.this)[1:])
