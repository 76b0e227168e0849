"""About how much a region holds and is written to: cheap counters, for split and balance decisions and for PD."""

from collections.abc import Sequence
from dataclasses import dataclass

from rutile_kv.engine.api import Engine
from rutile_proto import metapb_pb2 as metapb

_DRIFT_BYTES = 16 << 20
"""After so many written bytes the engine is asked for the size again: overwrites are counted as new bytes."""
_ASSUMED_ROW_BYTES = 128
"""To guess a number of keys from a size when a region was not counted from its beginning."""


@dataclass(slots=True)
class RegionStats:
    """Counters of one region on one store. `size_bytes` and `keys` are estimates and never below zero."""

    size_bytes: int = 0
    keys: int = 0
    written_bytes: int = 0
    written_keys: int = 0
    """Since the last heartbeat to PD."""
    drift_bytes: int = 0
    """Written since the size was last measured."""
    checked_bytes: int = 0
    """The size at which it was last looked whether the region should be cut; 0: never, or it was cut then."""

    def wrote(self, size_bytes: int, keys: int, new_keys: int) -> None:
        """An entry with `keys` changes was applied; `new_keys` more versions and raw keys are there than before."""
        self.size_bytes = max(0, self.size_bytes + size_bytes)
        self.keys = max(0, self.keys + new_keys)
        self.written_bytes += abs(size_bytes)
        self.drift_bytes += abs(size_bytes)
        self.written_keys += keys

    def reset_window(self) -> None:
        self.written_bytes = self.written_keys = 0

    def shares(self, engine: Engine, regions: Sequence[metapb.Region]) -> "list[RegionStats]":
        """What each of `regions`, which together were this one, has of it: in proportion to what the engine estimates.
        It is measured anew with the next heartbeat."""
        weights = [engine.approximate_size_bytes(region.start_key, region.end_key or None) for region in regions]
        total = sum(weights)
        parts = [weight / total for weight in weights] if total else [1 / len(regions)] * len(regions)
        return [RegionStats(int(self.size_bytes * part), int(self.keys * part)) for part in parts]

    def joined(self, other: "RegionStats") -> "RegionStats":
        """What a region has once another has merged into it."""
        return RegionStats(
            self.size_bytes + other.size_bytes,
            self.keys + other.keys,
            self.written_bytes + other.written_bytes,
            self.written_keys + other.written_keys,
            self.drift_bytes + other.drift_bytes,
        )

    def is_drifting(self) -> bool:
        """True if the size is worth measuring again."""
        return self.drift_bytes >= _DRIFT_BYTES

    def measured(self, engine: Engine, region: metapb.Region) -> "RegionStats":
        """These counters with the size the engine estimates now."""
        size_bytes = engine.approximate_size_bytes(region.start_key, region.end_key or None)
        return RegionStats(
            size_bytes, self.keys, self.written_bytes, self.written_keys, checked_bytes=self.checked_bytes
        )

    def checked(self, size_bytes: int, keys: int) -> "RegionStats":
        """These counters with what the region really holds: it was looked at, entry by entry."""
        return RegionStats(size_bytes, keys, self.written_bytes, self.written_keys, checked_bytes=size_bytes)

    @staticmethod
    def estimate(engine: Engine, region: metapb.Region) -> "RegionStats":
        """A guess from what the engine knows, for a region found at start or received as a snapshot."""
        size_bytes = engine.approximate_size_bytes(region.start_key, region.end_key or None)
        return RegionStats(size_bytes, size_bytes // _ASSUMED_ROW_BYTES)
