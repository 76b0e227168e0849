"""What the settings of a store process mean to its raftstore: seconds become ticks."""

from __future__ import annotations

from dataclasses import replace

from rutile_kv.raftstore.config import StoreConfig as RaftstoreConfig
from rutile_kv.server.config import StoreConfig

_DEFAULTS = StoreConfig()


def raft_limits(config: StoreConfig, limits: RaftstoreConfig) -> RaftstoreConfig:
    """`limits` with what `config` says. The settings about regions count only where they are not the default: whoever
    gives limits of his own has said it there."""
    chosen: dict[str, int] = {
        "max_entry_bytes": config.max_entry_bytes,
        "region_heartbeat_ticks": _ticks(config, config.region_heartbeat_seconds),
    }
    if config.region_max_bytes != _DEFAULTS.region_max_bytes:
        chosen |= {"region_max_bytes": config.region_max_bytes, "region_split_bytes": _part(config.region_max_bytes)}
    if config.region_max_keys != _DEFAULTS.region_max_keys:
        chosen |= {"region_max_keys": config.region_max_keys, "region_split_keys": _part(config.region_max_keys)}
    if config.load_split_requests != _DEFAULTS.load_split_requests:
        chosen["load_split_requests"] = config.load_split_requests
    if config.snapshot_bytes_per_second != _DEFAULTS.snapshot_bytes_per_second:
        chosen["snapshot_bytes_per_second"] = config.snapshot_bytes_per_second
    if config.consistency_check_seconds != _DEFAULTS.consistency_check_seconds:
        chosen["consistency_check_ticks"] = _ticks(config, config.consistency_check_seconds)
    if config.hibernate_after_seconds != _DEFAULTS.hibernate_after_seconds:
        chosen["hibernate_after_ticks"] = _ticks(config, config.hibernate_after_seconds)
    return replace(limits, **chosen)


def _ticks(config: StoreConfig, seconds: float) -> int:
    return max(1, round(seconds / config.tick_seconds)) if seconds else 0


def _part(whole: int) -> int:
    """The size of the parts that a region of more than `whole` is cut into."""
    return max(1, whole * 2 // 3)
