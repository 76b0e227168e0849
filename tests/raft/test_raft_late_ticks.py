"""A peer that stood still and then answers its leader has promised something from *now* on (thesis §6.4.1), whatever
the ticks it has yet to make up for say."""

from __future__ import annotations

import random

import pytest

from rutile_kv.raft.config import Config
from rutile_kv.raft.messages import ConfState, Message, MessageKind
from rutile_kv.raft.node import RawNode
from rutile_kv.raft.storage import MemoryStorage

TIMEOUT = 10


def follower() -> RawNode:
    """Peer 1 of three, which has just heard its leader 2."""
    config = Config(1, election_timeout_ticks=TIMEOUT, heartbeat_ticks=2)
    node = RawNode(config, MemoryStorage(ConfState((1, 2, 3))), random.Random(1))
    node.step(Message(MessageKind.HEARTBEAT, 1, 2, 1))
    return node


def ignores_candidates(node: RawNode) -> bool:
    """Whether a candidate of a later term is left without an answer."""
    while node.has_ready():
        node.advance(node.ready())
    node.step(Message(MessageKind.PRE_VOTE, 1, 3, 5, index=9, log_term=4))
    return not (node.has_ready() and node.ready().messages)


@pytest.mark.parametrize("deaf", [0, 3])
def test_a_contact_is_dated_by_the_clock_and_not_by_the_ticks(deaf: int) -> None:
    late, node = 5 + deaf, follower()
    node.step(Message(MessageKind.HEARTBEAT, 1, 2, 1), late_ticks=late)
    if deaf:
        node.stand_still(deaf)
    for _ in range(late - deaf + TIMEOUT - 1):
        node.tick()
    assert ignores_candidates(node)


def test_what_was_heard_before_the_stand_ages_only_by_what_is_made_up() -> None:
    node = follower()
    node.stand_still(100)
    for _ in range(TIMEOUT - 1):
        node.tick()
    assert ignores_candidates(node)
