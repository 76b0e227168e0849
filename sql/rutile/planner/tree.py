"""Plans as trees to be read: nodes under TiDB's operator names, printed with box-drawing characters."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from sqlglot import exp

from rutile.parse.mysql_text import mysql_text
from rutile.planner.bounds import conjuncts

ROOT = "root"
STORE = "cop[rutile]"
MAX_INFO_CHARACTERS = 200


@dataclass
class PlanNode:
    """One operator. `task` says where it runs: root is this process, cop[rutile] a store."""

    name: str
    task: str = ROOT
    access: str = ""
    info: str = ""
    children: list[PlanNode] = field(default_factory=list)
    est_rows: str = "N/A"
    act_rows: int | None = None
    execution: str = ""

    def lines(self) -> Iterator[tuple[str, PlanNode]]:
        """Each node with its name as the tree shows it, numbered in the order printed."""
        for number, (prefix, node) in enumerate(_walk(self, "", ""), start=1):
            name, paren, side = node.name.partition("(")
            yield f"{prefix}{name}_{number}{paren}{side}", node


def _walk(node: PlanNode, first: str, rest: str) -> Iterator[tuple[str, PlanNode]]:
    yield first, node
    for at, child in enumerate(node.children):
        last = at == len(node.children) - 1
        yield from _walk(child, rest + ("└─" if last else "├─"), rest + ("  " if last else "│ "))


Leaf = Callable[[exp.Table], PlanNode]


def operator_tree(query: exp.Expr, task: str, leaf: Leaf) -> PlanNode:
    """The operators of a qualified query; `leaf` makes the node of a table it reads."""
    if isinstance(query, exp.Subquery):
        return operator_tree(query.this, task, leaf)
    if isinstance(query, exp.SetOperation):
        name = type(query).__name__ + ("" if query.args.get("distinct") else " ALL")
        sides = [operator_tree(side, task, leaf) for side in (query.this, query.expression)]
        node = PlanNode(name, task, children=sides)
    elif isinstance(query, exp.Select):
        node = _select_tree(query, task, leaf)
    else:
        return PlanNode(type(query).__name__, task)
    node = _ordered(query, node, task)
    ctes = query.args.get("with_")
    for cte in ctes.expressions if ctes else []:
        node.children.append(PlanNode("CTE", task, f"CTE:{cte.alias}", children=[operator_tree(cte.this, task, leaf)]))
    return node


def _select_tree(select: exp.Select, task: str, leaf: Leaf) -> PlanNode:
    node = _sources(select, task, leaf)
    where = select.args.get("where")
    if where is not None:
        node = PlanNode(
            "Selection", task, info=_conditions(where.this), children=[node, *_subqueries(where, task, leaf)]
        )
    node = _aggregated(select, node, task)
    having = select.args.get("having")
    if having is not None:
        node = PlanNode(
            "Selection", task, info=_conditions(having.this), children=[node, *_subqueries(having, task, leaf)]
        )
    windows = list(select.find_all(exp.Window)) if select.find(exp.Window) else []
    if windows:
        node = PlanNode("Window", task, info=_listed(windows), children=[node])
    if select.args.get("distinct"):
        node = PlanNode("HashAgg", task, info="distinct rows", children=[node])
    return node


def _sources(select: exp.Select, task: str, leaf: Leaf) -> PlanNode:
    source = select.args.get("from_")
    if source is None:
        return PlanNode("TableDual", task, info="rows:1")
    node = _source(source.this, task, leaf)
    for join in select.args.get("joins") or []:
        kind = (join.side or ("CROSS" if join.args.get("on") is None else "INNER")).lower()
        on = join.args.get("on")
        info = f"{kind} join" + (f", on:{_conditions(on)}" if on is not None else "")
        node = PlanNode("HashJoin", task, info=info, children=[node, _source(join.this, task, leaf)])
    return node


def _source(node: exp.Expr, task: str, leaf: Leaf) -> PlanNode:
    if isinstance(node, exp.Table):
        return leaf(node)
    return operator_tree(node, task, leaf)


def _aggregated(select: exp.Select, node: PlanNode, task: str) -> PlanNode:
    group = select.args.get("group")
    functions = [
        call for item in select.expressions for call in item.find_all(exp.AggFunc) if not call.find_ancestor(exp.Window)
    ]
    if group is None and not functions:
        return node
    parts = []
    if group is not None:
        parts.append(f"group by:{_listed(group.expressions)}")
    if functions:
        parts.append(f"funcs:{_listed(functions)}")
    return PlanNode("HashAgg", task, info=", ".join(parts), children=[node])


def _ordered(query: exp.Expr, node: PlanNode, task: str) -> PlanNode:
    order, limit, offset = (query.args.get(part) for part in ("order", "limit", "offset"))
    count = f"offset:{offset.expression.sql() if offset else 0}, count:{limit.expression.sql()}" if limit else ""
    if order is not None and limit is not None:
        return PlanNode("TopN", task, info=f"{_listed(order.expressions)}, {count}", children=[node])
    if order is not None:
        return PlanNode("Sort", task, info=_listed(order.expressions), children=[node])
    return PlanNode("Limit", task, info=count, children=[node]) if limit is not None else node


def _subqueries(clause: exp.Expr, task: str, leaf: Leaf) -> list[PlanNode]:
    """The queries directly within a clause."""
    found: list[PlanNode] = []

    def visit(node: exp.Expr) -> None:
        for child in node.iter_expressions():
            if isinstance(child, exp.Query):
                found.append(PlanNode("Apply", task, children=[operator_tree(child, task, leaf)]))
            else:
                visit(child)

    visit(clause)
    return found


def _conditions(condition: exp.Expr) -> str:
    return _listed(list(conjuncts(condition)))


def _listed(nodes: Sequence[exp.Expr]) -> str:
    text = ", ".join(mysql_text(node).replace("`", "") for node in nodes)
    return text if len(text) <= MAX_INFO_CHARACTERS else text[: MAX_INFO_CHARACTERS - 1] + "…"
