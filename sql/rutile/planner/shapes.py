"""Plans that serve every statement of a shape."""

from __future__ import annotations

from dataclasses import dataclass

from rutile.errors import ER_VIRTUAL_TABLE, SqlError
from rutile.expressions.compile import NotCompilable
from rutile.parse import statements as st
from rutile.parse.lexer import Shape
from rutile.parse.parser import parse
from rutile.planner.insert import InsertPlan, plan_insert
from rutile.planner.point import FindTable, NotPoint, PointPlan, plan_point
from rutile.planner.range_select import RangeSelect, plan_range


@dataclass(frozen=True, slots=True)
class General:
    """Remembers that statements of this shape need the general path."""


ShapePlan = PointPlan | RangeSelect | InsertPlan | General
GENERAL = General()


def plan_shape(shape: Shape, find_table: FindTable) -> ShapePlan:
    """The plan of a shape; GENERAL if it has none. Raises the statement's own errors (1054, 1146, ...)."""
    try:
        statement = parse(shape.text).statement
    except SqlError:
        return GENERAL  # the statement itself is parsed next, and its error tells what the user wrote
    try:
        if isinstance(statement, st.Insert):
            plan = plan_insert(statement, find_table)
            return plan if plan.query is None else GENERAL
        try:
            return plan_point(statement, find_table)
        except NotPoint:
            return plan_range(statement, find_table)
    except (NotPoint, NotCompilable):
        return GENERAL
    except SqlError as error:
        if error.code == ER_VIRTUAL_TABLE:
            return GENERAL
        raise
