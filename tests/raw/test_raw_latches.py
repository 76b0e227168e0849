"""Latches of two strengths, against what they promise."""

from hypothesis import given, settings
from hypothesis import strategies as st

from rutile_kv.raw.latches import Latches

KEYS = st.lists(st.sampled_from("abc"), min_size=1, max_size=3, unique=True)


def test_those_who_do_not_look_share_a_key() -> None:
    latches = Latches()
    assert latches.acquire(1, ["a"], alone=False)
    assert latches.acquire(2, ["a", "b"], alone=False)
    assert not latches.acquire(3, ["a"], alone=True)
    assert latches.release(1) == []
    assert latches.release(2) == [3]
    assert latches.release(3) == []
    assert len(latches) == 0


def test_a_newcomer_does_not_overtake_who_waits_for_the_key_alone() -> None:
    latches = Latches()
    assert latches.acquire(1, ["a"], alone=False)
    assert not latches.acquire(2, ["a"], alone=True)
    assert not latches.acquire(3, ["a"], alone=False)
    assert not latches.acquire(4, ["a"], alone=False)
    assert latches.release(1) == [2]
    assert latches.release(2) == [3, 4]


@settings(deadline=None)
@given(st.lists(st.tuples(KEYS, st.booleans()), min_size=1, max_size=20), st.randoms(use_true_random=False))
def test_any_order_of_coming_and_going(requests: list[tuple[list[str], bool]], dice: "object") -> None:
    """At no time is a key held alone and by somebody else; in the end everybody has had a turn."""
    latches, waiting, holding, served = Latches(), {}, {}, []
    queue = list(enumerate(requests))
    while queue or holding:
        if queue and (not holding or dice.random() < 0.5):  # type: ignore[attr-defined]
            token, (keys, alone) = queue.pop(0)
            (holding if latches.acquire(token, keys, alone=alone) else waiting)[token] = (keys, alone)
        else:
            token = dice.choice(sorted(holding))  # type: ignore[attr-defined]
            served.append(token)
            del holding[token]
            for entered in latches.release(token):
                holding[entered] = waiting.pop(entered)
        for token, (keys, alone) in holding.items():
            others = [other for other in holding if other != token and set(holding[other][0]) & set(keys)]
            assert not (alone and others)
    assert sorted(served) == list(range(len(requests)))
    assert not waiting and len(latches) == 0
