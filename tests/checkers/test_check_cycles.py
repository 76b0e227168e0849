"""Which cycles snapshot isolation allows: those alone that have two anti-dependencies in a row, and no others beside.

The dumb twin is the theorem itself (Cerone, Gotsman: Analysing Snapshot Isolation, PODC 2016): a history is one of
snapshot isolation if each step `dependency, then perhaps one anti-dependency` leads on and never back.
"""

from __future__ import annotations

from itertools import pairwise

import pytest
from checkers.cycles import Cycle, Edge, EdgeKind, find_cycles
from hypothesis import given
from hypothesis import strategies as st

NODES = range(1, 6)
PLANTED = {
    "one anti-dependency": ("1 rw 2 wr 1", False),
    "write skew": ("1 rw 2 rw 1", True),
    "two in a row of three": ("1 rw 2 rw 3 wr 1", True),
    "two in a row, the last and the first": ("1 rw 2 wr 3 rw 1", True),
    "three in a row": ("1 rw 2 rw 3 rw 1", True),
    "two that a dependency parts": ("1 rw 2 wr 3 rw 4 ww 1", False),
    "two that real time parts": ("1 rw 2 rt 3 rw 4 rt 1", False),
    "two in a row, and one apart": ("1 rw 2 rw 3 wr 4 rw 5 ww 1", True),
    "a skew, and one apart at one of its transactions": ("1 rw 2 rw 1; 2 wr 3 rw 2", False),
    "a skew, and the same transactions in a circle": ("1 rw 2 rw 1; 1 wr 2 wr 1", False),
    "a round that passes a transaction twice": ("1 rw 2 wr 3 rw 4 wr 2; 2 rw 1", False),
}


def drawn(text: str) -> list[Edge]:
    """Edges as they are drawn: paths, parted by semicolons."""
    edges = []
    for path in text.split(";"):
        words = path.split()
        for (source, kind), target in zip(
            zip(words[:-1:2], words[1::2], strict=True), words[2::2], strict=True
        ):  # a node, how it leads on, and whither
            edges.append(Edge(EdgeKind(kind), int(source), int(target)))
    return edges


def is_snapshot_isolation(edges: list[Edge]) -> bool:
    """The theorem, by brute force."""
    skips = {(edge.source, edge.target) for edge in edges if edge.kind is EdgeKind.RW}
    leads = {(edge.source, edge.target) for edge in edges if edge.kind is not EdgeKind.RW}
    leads |= {(source, target) for source, middle in leads for begins, target in skips if begins == middle}
    for _ in NODES:
        leads |= {(source, target) for source, middle in leads for begins, target in leads if begins == middle}
    return all(source != target for source, target in leads)


def is_closed(cycle: Cycle) -> bool:
    following = [*cycle.edges, cycle.edges[0]]
    return all(before.target == after.source for before, after in pairwise(following))


@pytest.mark.parametrize("name", PLANTED)
def test_planted_cycles(name: str) -> None:
    text, allowed = PLANTED[name]
    found = find_cycles(drawn(text))
    assert found and all(cycle.adjacent_rw for cycle in found) is allowed
    assert is_snapshot_isolation(drawn(text)) is allowed


EDGES = st.builds(Edge, st.sampled_from(list(EdgeKind)), st.sampled_from(NODES), st.sampled_from(NODES))


@given(st.lists(EDGES.filter(lambda edge: edge.source != edge.target), max_size=9))
def test_cycles_are_allowed_exactly_where_the_theorem_says_so(edges: list[Edge]) -> None:
    found = find_cycles(edges)
    assert all(cycle.adjacent_rw for cycle in found) is is_snapshot_isolation(edges)
    assert all(is_closed(cycle) and set(cycle.edges) <= set(edges) for cycle in found)
