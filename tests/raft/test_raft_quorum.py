"""Quorums against a twin that counts."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from rutile_kv.raft.messages import ConfState
from rutile_kv.raft.quorum import EVERYTHING, Quorum, VoteResult, majority_acknowledged, majority_vote

PEERS = st.integers(1, 7)
VOTERS = st.frozensets(PEERS, max_size=7).map(lambda peers: tuple(sorted(peers)))
NUMBERS = st.fixed_dictionaries({peer: st.integers(0, 9) for peer in range(1, 8)})
VOTES = st.dictionaries(PEERS, st.booleans())


def counted(voters: tuple[int, ...], numbers: dict[int, int]) -> int:
    """The highest number that more than half of the voters reach, tried one by one."""
    reached = [number for number in range(10) if 2 * sum(numbers[voter] >= number for voter in voters) > len(voters)]
    return max(reached) if voters else EVERYTHING


def decided(voters: tuple[int, ...], votes: dict[int, bool]) -> VoteResult:
    """Who wins if everybody who has not voted says yes, and if they all say no."""
    at_best = sum(votes.get(voter, True) for voter in voters)
    at_worst = sum(votes.get(voter, False) for voter in voters)
    if not voters or 2 * at_worst > len(voters):
        return VoteResult.WON
    return VoteResult.PENDING if 2 * at_best > len(voters) else VoteResult.LOST


@given(VOTERS, NUMBERS)
def test_majority_acknowledged(voters: tuple[int, ...], numbers: dict[int, int]) -> None:
    assert majority_acknowledged(voters, numbers.__getitem__) == counted(voters, numbers)


@given(VOTERS, VOTES)
def test_majority_vote(voters: tuple[int, ...], votes: dict[int, bool]) -> None:
    assert majority_vote(voters, votes) is decided(voters, votes)


@given(VOTERS, VOTERS, NUMBERS)
def test_joint_acknowledged(incoming: tuple[int, ...], outgoing: tuple[int, ...], numbers: dict[int, int]) -> None:
    expected = min(counted(incoming, numbers), counted(outgoing, numbers))
    assert Quorum(incoming, outgoing).acknowledged(numbers.__getitem__) == expected


@given(VOTERS, VOTERS, VOTES)
def test_joint_vote(incoming: tuple[int, ...], outgoing: tuple[int, ...], votes: dict[int, bool]) -> None:
    halves = {decided(incoming, votes), decided(outgoing, votes)}
    result = Quorum(incoming, outgoing).vote_result(votes)
    if VoteResult.LOST in halves:
        assert result is VoteResult.LOST
    else:
        assert result is (VoteResult.WON if halves == {VoteResult.WON} else VoteResult.PENDING)


def test_deciding_alone() -> None:
    assert Quorum.of(ConfState((3,))).is_only(3)
    assert Quorum((3,), (3,)).is_only(3)
    assert not Quorum((3,), (2, 3)).is_only(3)
    assert not Quorum((2,)).is_only(3)
    assert not Quorum(()).is_only(3)
