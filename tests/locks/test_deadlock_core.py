"""The graph of waits against a dumb twin, and what it forgets."""

from hypothesis import given, settings
from hypothesis import strategies as st

from rutile_kv.txn.deadlock import TTL_MS, Cycle, WaitFor, WaitForGraph, key_hash

WAITS = st.builds(WaitFor, st.integers(1, 6), st.integers(1, 6), st.sampled_from([b"a", b"b"]))


def reaches(edges: dict[WaitFor, None], start: int, goal: int) -> bool:
    """The twin: everything that can be reached, step by step."""
    reached = {start}
    for _ in edges:
        reached |= {edge.holder for edge in edges if edge.waiter in reached}
    return goal in reached


def test_three_in_a_circle_and_the_chain_that_shows_it() -> None:
    graph = WaitForGraph()
    assert graph.detect(WaitFor(1, 2, b"b"), 0) is None
    assert graph.detect(WaitFor(2, 3, b"c"), 0) is None
    closing = WaitFor(3, 1, b"a")
    cycle = graph.detect(closing, 0)
    assert cycle == Cycle(closing, (closing, WaitFor(1, 2, b"b"), WaitFor(2, 3, b"c")))
    assert cycle.deadlock_key_hash == key_hash(b"c")
    assert len(graph) == 2


def test_waits_end_one_by_one_or_all_of_a_transaction() -> None:
    graph = WaitForGraph()
    for wait in (WaitFor(1, 2, b"a"), WaitFor(1, 2, b"b"), WaitFor(1, 3, b"c")):
        graph.detect(wait, 0)
    graph.end_wait(WaitFor(1, 2, b"a"))
    assert graph.detect(WaitFor(2, 1, b"x"), 0) is not None
    graph.end_waiter(1)
    assert len(graph) == 0
    assert graph.detect(WaitFor(2, 1, b"x"), 0) is None


def test_a_wait_nobody_ended_is_forgotten() -> None:
    graph = WaitForGraph()
    graph.detect(WaitFor(1, 2, b"a"), 0)
    assert graph.detect(WaitFor(2, 1, b"b"), TTL_MS - 1) is not None
    assert graph.detect(WaitFor(2, 1, b"b"), TTL_MS) is None


def test_a_wait_told_again_lives_longer() -> None:
    graph = WaitForGraph()
    graph.detect(WaitFor(1, 2, b"a"), 0)
    graph.detect(WaitFor(1, 2, b"a"), 20_000)
    assert len(graph) == 1
    assert graph.detect(WaitFor(2, 1, b"b"), TTL_MS) is not None


@given(st.lists(st.tuples(st.sampled_from(["detect", "end", "end waiter"]), WAITS), max_size=40))
@settings(max_examples=150, deadline=None)
def test_finds_exactly_the_circles_there_are(steps: list[tuple[str, WaitFor]]) -> None:
    graph = WaitForGraph()
    twin: dict[WaitFor, None] = {}
    for what, wait in steps:
        if what == "end":
            graph.end_wait(wait)
            twin.pop(wait, None)
        elif what == "end waiter":
            graph.end_waiter(wait.waiter)
            twin = {edge: None for edge in twin if edge.waiter != wait.waiter}
        elif wait.waiter != wait.holder:
            cycle = graph.detect(wait, 0)
            assert (cycle is not None) == reaches(twin, wait.holder, wait.waiter)
            if cycle is None:
                twin[wait] = None
            else:
                assert cycle.chain[0] == wait and all(edge in twin for edge in cycle.chain[1:])
                round_trip = zip(cycle.chain, (*cycle.chain[1:], wait), strict=True)
                assert all(edge.holder == following.waiter for edge, following in round_trip)
        assert sorted(map(repr, graph)) == sorted(map(repr, twin))
        assert len(graph) == len(twin)
