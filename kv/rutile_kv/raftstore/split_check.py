"""Where a region is cut when it has become too big: at tables, by size, in the middle. Pure functions on a profile.

    over `table_split_bytes` and of several tables    where a big table begins or ends (`at_tables`)
    over `region_max_bytes` or `region_max_keys`      into equal parts of about `region_split_bytes` (`by_size`)
    when PD asks for it                               in the middle (`in_half`)

Tables first: a part may be too big still, and the next check finds that out. Borders by load are chosen in `load`.

The limits are smaller than TiKV's (144 MiB, cut at 96): a region is also the unit of moving, and what moving costs
here is Python, about a microsecond a pair on either side. So the largest region moves in a few seconds.
"""

from collections.abc import Sequence

from rutile_kv.raftstore.config import StoreConfig
from rutile_kv.raftstore.region_profile import Mark, RegionProfile
from rutile_kv.raftstore.stats import RegionStats


def is_oversized(size_bytes: int, keys: int, config: StoreConfig) -> bool:
    """True if a region should be cut by size."""
    return size_bytes >= config.region_max_bytes or keys >= config.region_max_keys


def is_check_due(stats: RegionStats, config: StoreConfig) -> bool:
    """True if a region is big enough for a look, and has grown since the last."""
    wanted = min(config.region_max_bytes, config.table_split_bytes)
    if stats.size_bytes < wanted and stats.keys < config.region_max_keys:
        return False
    return stats.size_bytes >= stats.checked_bytes + config.split_check_growth_bytes or not stats.checked_bytes


def split_keys(profile: RegionProfile, config: StoreConfig) -> list[bytes]:
    """Where to cut a region for what it holds; empty when it is well as it is."""
    return at_tables(profile, config) or by_size(profile, config)


def at_tables(profile: RegionProfile, config: StoreConfig) -> list[bytes]:
    """Borders that give every big table regions of its own and leave neighbouring small ones together."""
    if profile.size_bytes < config.table_split_bytes or not profile.tables:
        return []
    big = config.table_split_bytes // 2
    ends = [*profile.tables[1:], Mark(b"", profile.size_bytes, profile.keys)]
    cuts: list[bytes] = []
    cut_at, previous_bytes = 0, profile.tables[0].size_bytes
    for table, end in zip(profile.tables, ends, strict=True):
        size_bytes = end.size_bytes - table.size_bytes
        if max(size_bytes, previous_bytes, table.size_bytes - cut_at) >= big:
            cuts.append(table.border)
            cut_at = table.size_bytes
        previous_bytes = size_bytes
    return cuts[: config.max_split_parts - 1]


def by_size(profile: RegionProfile, config: StoreConfig) -> list[bytes]:
    """Borders of equal parts, as many as bring every part to about `region_split_bytes` and `region_split_keys`."""
    if not is_oversized(profile.size_bytes, profile.keys, config):
        return []
    parts_by_bytes = -(-profile.size_bytes // config.region_split_bytes)
    parts_by_keys = -(-profile.keys // config.region_split_keys)
    if parts_by_bytes >= parts_by_keys:
        places = [mark.size_bytes for mark in profile.marks]
        return _equal_parts(profile.marks, places, profile.size_bytes, min(parts_by_bytes, config.max_split_parts))
    places = [mark.keys for mark in profile.marks]
    return _equal_parts(profile.marks, places, profile.keys, min(parts_by_keys, config.max_split_parts))


def in_half(profile: RegionProfile) -> list[bytes]:
    """The border nearest to the middle; none if the region holds no border inside."""
    return _equal_parts(profile.marks, [mark.size_bytes for mark in profile.marks], profile.size_bytes, 2)


def _equal_parts(marks: Sequence[Mark], places: Sequence[int], total: int, parts: int) -> list[bytes]:
    """The marks nearest to where equal parts would end, each once."""
    cuts: list[bytes] = []
    for part in range(1, parts):
        wanted = total * part // parts
        nearest = min(range(len(marks)), key=lambda at: abs(places[at] - wanted), default=None)
        if nearest is not None and (not cuts or marks[nearest].border > cuts[-1]):
            cuts.append(marks[nearest].border)
    return cuts
