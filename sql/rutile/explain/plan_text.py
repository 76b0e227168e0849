"""A plan as one text, for the statement summary, and the name of all plans of its form."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from rutile.execution.reading import RunFacts
from rutile.explain.explain import plan_tree, point_node
from rutile.expressions.compile import Environment
from rutile.planner.point import ConstantSelect, PointPlan
from rutile.planner.query import QueryPlan
from rutile.planner.tree import PlanNode


@dataclass(frozen=True, slots=True)
class PlanText:
    """What the summary keeps of a plan."""

    text: str
    digest: str
    """The same for plans that differ in their values only."""


def text_of_query(plan: QueryPlan, facts: RunFacts) -> PlanText:
    """Of a query as it was run."""
    return _told(plan_tree(plan, facts))


def text_of_point(plan: PointPlan, environment: Environment) -> PlanText:
    """Of a statement by key."""
    if isinstance(plan, ConstantSelect):
        return _told(
            PlanNode("Projection", info=", ".join(plan.names), children=[PlanNode("TableDual", info="rows:1")])
        )
    return _told(point_node(plan.finder, environment))


def _told(tree: PlanNode) -> PlanText:
    lines = list(tree.lines())
    text = "\n".join("\t".join((name, node.task, node.access, node.info)).rstrip() for name, node in lines)
    form = "\n".join("\t".join((name, node.task, node.access)) for name, node in lines)
    return PlanText(text, hashlib.sha256(form.encode()).hexdigest())
