"""`BaseKey`: the name of a base, in memory and on disk."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class BaseKey:
    """Which rows a base holds. A split or merge gives a region a new epoch version, and so a new key."""

    region_id: int
    epoch_version: int
    table_id: int
    layout_version: int
