"""What may go wrong in a simulated cluster of regions, and how often.

Limits are tiny on purpose, so that what is rare in production (a log cut under a slow follower, a snapshot on its way
while the region splits, two elections in a row) happens many times in a few simulated seconds.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from rutile_kv.raftstore.config import StoreConfig


@dataclass(frozen=True)
class RegionWorld:
    """How unkind the world is to one run. Chances of faults are per simulated second, those of messages per message."""

    stores: int = 3
    chaos_ms: int = 10_000
    """How long faults go on before everything is mended."""
    loss: float = 0.01
    duplicate: float = 0.01
    late: float = 0.01
    """Of a message being late by up to two election timeouts."""
    max_delay_ms: int = 5
    max_sync_ms: int = 10
    crash: float = 0.1
    """Of losing power; what was not synced is gone, but for a prefix."""
    power_cut: float = 0.0
    """Of the power going before or after a write that is not of the everyday kind, each."""
    max_down_ms: int = 3_000
    pause: float = 0.05
    partition: float = 0.1
    one_way: float = 0.05
    disk_error: float = 0.02
    heal: float = 0.3
    drift: float = 0.0
    """A store's clock runs by up to this share faster or slower than another's."""
    pd_crash: float = 0.05
    transfer: float = 0.3
    change: float = 0.1
    split: float = 0.3
    merge: float = 0.2
    merge_interval_s: float = 3_600.0
    """How long after a split, or its own start, PD leaves a region alone that is small; and all of them are."""
    add_store: float = 0.03
    remove_store: float = 0.0
    kill_store: float = 0.0
    """Of a store dying for good, once its regions can stand it."""
    clients: int = 4
    log_gap_entries: int = 16
    log_limit_entries: int = 40

    @staticmethod
    def draw(rng: random.Random) -> RegionWorld:
        """A world of its own for each seed: bugs hide where several misfortunes meet and others do not interfere."""
        return RegionWorld(
            stores=rng.choice((3, 3, 4, 5)),
            chaos_ms=rng.choice((6_000, 10_000)),
            loss=rng.choice((0, 0.02, 0.1)),
            duplicate=rng.choice((0, 0.03)),
            late=rng.choice((0, 0.02, 0.1)),
            max_delay_ms=rng.choice((1, 5, 40)),
            max_sync_ms=rng.choice((1, 10, 80, 300)),
            crash=rng.choice((0, 0.2, 0.8, 2.0)),
            power_cut=rng.choice((0, 0, 0.05)),
            max_down_ms=rng.choice((50, 1_000, 4_000)),
            pause=rng.choice((0, 0.1, 0.5)),
            partition=rng.choice((0, 0.2, 0.5)),
            one_way=rng.choice((0, 0.3)),
            disk_error=rng.choice((0, 0, 0.1)),
            drift=rng.choice((0, 0.02, 0.05)),
            pd_crash=rng.choice((0, 0.2)),
            transfer=rng.choice((0, 0.5, 2.0)),
            change=rng.choice((0, 0.3, 1.0)),
            split=rng.choice((1.0, 1.0, 3.0)),
            merge=rng.choice((0.3, 1.0, 4.0)),
            merge_interval_s=rng.choice((1.0, 2.0, 3_600.0)),
            add_store=rng.choice((0, 0.1)),
            remove_store=rng.choice((0, 0.05)),
            kill_store=rng.choice((0, 0.1)),
            log_gap_entries=rng.choice((4, 16, 200)),
            log_limit_entries=rng.choice((8, 40, 1_000)),
        )

    def store_config(self, rng: random.Random) -> StoreConfig:
        """What one store is told; stores differ, as in a cluster whose settings are being changed."""
        return StoreConfig(
            election_timeout_ticks=10,
            heartbeat_ticks=2,
            log_gap_entries=self.log_gap_entries,
            log_limit_entries=self.log_limit_entries,
            entry_cache_bytes=rng.choice((256, 4 << 20)),
            max_coalesced_bytes=rng.choice((64, 256 << 10)),
            max_apply_bytes=rng.choice((200, 16 << 20)),
            region_heartbeat_ticks=rng.choice((5, 20)),
            missing_leader_ticks=rng.choice((20, 40)),
            peer_check_ticks=3,
            max_snapshots=rng.choice((1, 4)),
            max_pending_votes=rng.choice((2, 256)),
        )
