"""What may go wrong in a simulated group, and how often."""

from __future__ import annotations

import random
from dataclasses import dataclass


@dataclass(frozen=True)
class World:
    """How unkind the world is to one run. Chances are per message, or per step for what is not a message."""

    peers: int = 5
    voters: int = 3
    pre_vote: bool = True
    check_quorum: bool = True
    loss: float = 0.02
    duplicate: float = 0.02
    late: float = 0.02
    """Of a message being late by up to several election timeouts."""
    max_delay_steps: int = 8
    max_sync_steps: int = 10
    crash: float = 0.001
    max_down_steps: int = 200
    partition: float = 0.001
    cut_link: float = 0.001
    """Of two peers not reaching each other while others reach both."""
    heal: float = 0.004
    drift: int = 1
    """A peer's tick takes up to this many steps more or fewer than another's."""
    apply: float = 0.5
    propose: float = 0.1
    read: float = 0.05
    campaign: float = 0.003
    transfer: float = 0.003
    compact: float = 0.005
    change: float = 0.02
    defer_commit_news: bool = False

    @staticmethod
    def draw(rng: random.Random) -> World:
        """A world of its own for each seed: bugs hide where several misfortunes meet and others do not interfere."""
        peers = rng.choice((3, 4, 5, 6))
        return World(
            peers=peers,
            voters=rng.choice((1, 2, 3, 3, peers)),
            pre_vote=rng.random() < 0.6,
            check_quorum=rng.random() < 0.8,
            loss=rng.choice((0, 0.02, 0.15)),
            duplicate=rng.choice((0, 0.05)),
            late=rng.choice((0, 0.02, 0.1)),
            max_delay_steps=rng.choice((1, 4, 15)),
            max_sync_steps=rng.choice((1, 10, 40)),
            crash=rng.choice((0, 0.002, 0.01)),
            max_down_steps=rng.choice((3, 20, 200)),
            partition=rng.choice((0, 0.002, 0.01)),
            cut_link=rng.choice((0, 0.005, 0.03)),
            heal=rng.choice((0.002, 0.02)),
            drift=rng.choice((0, 1)),
            apply=rng.choice((0.02, 0.5)),
            campaign=rng.choice((0, 0.002, 0.02)),
            transfer=rng.choice((0, 0.002, 0.02)),
            change=rng.choice((0, 0.01, 0.05)),
            defer_commit_news=rng.random() < 0.5,
        )
