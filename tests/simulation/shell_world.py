"""What may go wrong in a simulated cluster of shells, and how often: per simulated second, unless it is of messages."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from rutile.testing.network import Conditions
from rutile_kv.raftstore.config import StoreConfig


@dataclass(frozen=True)
class ShellWorld:
    """One run's."""

    stores: int = 3
    pds: int = 1
    chaos_s: float = 6.0
    conditions: Conditions = field(default_factory=lambda: Conditions(delay_s=(0.0002, 0.003)))
    sync_s: float = 0.01
    """A sync takes up to this long ..."""
    slow_disk: float = 0.0
    slow_disk_s: float = 0.4
    """... and up to this much longer on a disk that has become slow."""
    kill_store: float = 0.2
    kill_pd: float = 0.05
    pause: float = 0.1
    partition: float = 0.1
    one_way: float = 0.1
    heal: float = 0.5
    skew: float = 0.1
    disk_error: float = 0.0
    split: float = 0.5
    merge_interval_s: float = 3_600.0
    transfer: float = 0.3
    add_store: float = 0.0
    remove_store: float = 0.0
    max_down_s: float = 3.0
    log_gap_entries: int = 16
    log_limit_entries: int = 40

    @staticmethod
    def draw(rng: random.Random) -> ShellWorld:
        """A world of its own for each seed."""
        return ShellWorld(
            stores=rng.choice((3, 3, 4)),
            pds=rng.choice((1, 1, 3)),
            chaos_s=rng.choice((4.0, 6.0)),
            conditions=Conditions(
                delay_s=(0.0002, rng.choice((0.001, 0.005, 0.03))),
                late=rng.choice((0.0, 0.01)),
                loss=rng.choice((0.0, 0.01, 0.05)),
                duplicate=rng.choice((0.0, 0.02)),
            ),
            sync_s=rng.choice((0.0, 0.01, 0.05)),
            slow_disk=rng.choice((0.0, 0.0, 0.3)),
            kill_store=rng.choice((0.0, 0.3, 0.8)),
            kill_pd=rng.choice((0.0, 0.1, 0.3)),
            pause=rng.choice((0.0, 0.2, 0.5)),
            partition=rng.choice((0.0, 0.2)),
            one_way=rng.choice((0.0, 0.2)),
            skew=rng.choice((0.0, 0.3)),
            disk_error=rng.choice((0.0, 0.0, 0.1)),
            split=rng.choice((1.0, 2.0)),
            merge_interval_s=rng.choice((0.5, 2.0, 3_600.0)),
            transfer=rng.choice((0.0, 0.5)),
            add_store=rng.choice((0.0, 0.1)),
            remove_store=rng.choice((0.0, 0.1)),
            max_down_s=rng.choice((0.3, 3.0)),
            log_gap_entries=rng.choice((4, 16, 200)),
            log_limit_entries=rng.choice((8, 40, 1_000)),
        )

    def limits(self) -> StoreConfig:
        """Tiny ones."""
        return StoreConfig(
            log_gap_entries=self.log_gap_entries, log_limit_entries=self.log_limit_entries, quick_sync_seconds=0.0
        )
