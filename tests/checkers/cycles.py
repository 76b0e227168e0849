"""Cycles in a dependency graph, from those that excuse nothing to those that snapshot isolation allows.

The graph is searched in layers, each with more edges than the one before. A strongly connected component of a layer
is a cycle; its shortest one is reported, and components that hold a cycle reported already are not reported again.

The middle layers must not walk two rw edges in a row. Each node is doubled for them: `(node, True)` is the node as
reached by an rw edge, and has no rw edges leaving it. A cycle among the doubled nodes is then a cycle without adjacent
rw edges, and an ordinary search finds it, in time linear in the edges.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias, TypeVar


class EdgeKind(StrEnum):
    """How one transaction depends on another."""

    WW = "ww"
    WR = "wr"
    RW = "rw"
    RT = "rt"


@dataclass(frozen=True, slots=True)
class Edge:
    """`source` must come before `target`, because of `why`. Negative nodes are moments, not transactions."""

    kind: EdgeKind
    source: int
    target: int
    why: str = ""

    def __str__(self) -> str:
        return f"{self.source} -{self.kind.value}-> {self.target} ({self.why})"


@dataclass(frozen=True, slots=True)
class Cycle:
    """Edges that lead back to where they began."""

    edges: tuple[Edge, ...]

    @property
    def adjacent_rw(self) -> bool:
        """Whether two rw edges follow each other, the last and the first included."""
        kinds = [edge.kind for edge in self.edges if edge.kind is not EdgeKind.RT or edge.source > 0]
        pairs = zip(kinds, kinds[1:] + kinds[:1], strict=True)
        return any(first is second is EdgeKind.RW for first, second in pairs)

    def __str__(self) -> str:
        return "; ".join(str(edge) for edge in self.edges if edge.source > 0)


_WW, _WR, _RW, _RT = EdgeKind.WW, EdgeKind.WR, EdgeKind.RW, EdgeKind.RT
LAYERS: tuple[tuple[frozenset[EdgeKind], bool], ...] = (
    (frozenset({_WW}), False),
    (frozenset({_WW, _WR}), False),
    (frozenset({_WW, _WR, _RT}), False),
    (frozenset({_WW, _WR, _RW}), False),
    (frozenset({_WW, _WR, _RW, _RT}), False),
    (frozenset({_WW, _WR, _RW}), True),
)
"""Which edges, and whether rw edges may follow each other. Write skew in real time is no anomaly of its own."""

Place: TypeAlias = tuple[int, bool]
"""A node, and whether an rw edge led to it."""


def find_cycles(edges: Iterable[Edge]) -> list[Cycle]:
    """A shortest cycle of each component of each layer, without those through transactions already found guilty."""
    known = list(edges)
    found: list[Cycle] = []
    guilty: set[int] = set()
    for kinds, adjacent in LAYERS:
        out: dict[int, list[Edge]] = {}
        for edge in known:
            if edge.kind in kinds:
                out.setdefault(edge.source, []).append(edge)
        for cycle in _cycles_of(out, adjacent):
            ids = {edge.source for edge in cycle.edges if edge.source > 0}
            if not ids & guilty:
                found.append(cycle)
                guilty |= ids
    return found


def _cycles_of(out: dict[int, list[Edge]], adjacent: bool) -> list[Cycle]:
    def steps(place: Place) -> list[tuple[Edge, Place]]:
        node, after_rw = place
        return [
            (edge, (edge.target, edge.kind is _RW and not adjacent))
            for edge in out.get(node, ())
            if edge.kind is not _RW or not after_rw
        ]

    starts = [(node, False) for node in out]
    components = strong_components(starts, lambda place: [after for _, after in steps(place)])
    return [_shortest(set(component), steps) for component in components]


def _shortest(component: set[Place], steps: Callable[[Place], list[tuple[Edge, Place]]]) -> Cycle:
    """The shortest cycle through one of a few places of a component. Any would do as evidence; short ones read well."""
    best: tuple[Edge, ...] = ()
    for start in sorted(component)[:64]:
        came: dict[Place, tuple[Place, Edge]] = {}
        queue = deque([start])
        while queue and start not in came:
            place = queue.popleft()
            for edge, after in steps(place):
                if after in component and after not in came:
                    came[after] = (place, edge)
                    queue.append(after)
        path, at = [], start
        while not path or at != start:
            at, edge = came[at]
            path.append(edge)
        if not best or len(path) < len(best):
            best = tuple(reversed(path))
    return Cycle(best)


Node = TypeVar("Node", bound=Hashable)


def strong_components(starts: Iterable[Node], after: Callable[[Node], Sequence[Node]]) -> list[list[Node]]:
    """The strongly connected components that hold a cycle: Tarjan's algorithm, without recursion."""
    index: dict[Node, int] = {}
    low: dict[Node, int] = {}
    stack: list[Node] = []
    on_stack: set[Node] = set()
    found: list[list[Node]] = []
    for start in starts:
        if start in index:
            continue
        work = [(start, iter(after(start)))]
        index[start] = low[start] = len(index)
        stack.append(start)
        on_stack.add(start)
        while work:
            node, rest = work[-1]
            following = next(rest, None)
            if following is None:
                work.pop()
                if work:
                    parent = work[-1][0]
                    low[parent] = min(low[parent], low[node])
                if low[node] == index[node]:
                    component = _pop_upto(node, stack, on_stack)
                    if len(component) > 1 or node in after(node):
                        found.append(component)
            elif following not in index:
                index[following] = low[following] = len(index)
                stack.append(following)
                on_stack.add(following)
                work.append((following, iter(after(following))))
            elif following in on_stack:
                low[node] = min(low[node], index[following])
    return found


def _pop_upto(node: Node, stack: list[Node], on_stack: set[Node]) -> list[Node]:
    component = []
    while not component or component[-1] != node:
        component.append(stack.pop())
        on_stack.discard(component[-1])
    return component
