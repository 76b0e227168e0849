"""Steps that change where a region begins and ends: splits and merges. Its version grows by them, not its conf_ver."""

from dataclasses import dataclass

from rutile_pd.operators.steps import Plain
from rutile_pd.regions.region_info import RegionInfo
from rutile_proto import pdpb_pb2 as pdpb


@dataclass(frozen=True, slots=True)
class SplitAt(Plain):
    """The region is cut at keys, or where it halves if there are none. Done when it is another version."""

    keys: tuple[bytes, ...]
    version: int

    def done(self, region: RegionInfo) -> bool:
        return region.version > self.version

    def order(self, region: RegionInfo) -> pdpb.RegionHeartbeatResponse:
        policy = pdpb.USEKEY if self.keys else pdpb.APPROXIMATE
        return pdpb.RegionHeartbeatResponse(split_region=pdpb.SplitRegion(policy=policy, keys=self.keys))

    def __str__(self) -> str:
        return f"split at {', '.join(key.hex() for key in self.keys) or 'the middle'}"


@dataclass(frozen=True, slots=True)
class MergeInto(Plain):
    """The region becomes a part of its neighbour, and is no more. Ended from outside, when the neighbour covers it."""

    target: RegionInfo

    def done(self, region: RegionInfo) -> bool:
        return False

    def order(self, region: RegionInfo) -> pdpb.RegionHeartbeatResponse:
        return pdpb.RegionHeartbeatResponse(merge=pdpb.Merge(target=self.target.meta))

    def __str__(self) -> str:
        return f"merge into region {self.target.id}"


@dataclass(frozen=True, slots=True)
class TakeIn(Plain):
    """The other side of MergeInto: nothing else is to happen to the target until it covers the source."""

    source: RegionInfo

    def done(self, region: RegionInfo) -> bool:
        return region.contains(self.source.start_key)

    def order(self, region: RegionInfo) -> None:
        return None

    def __str__(self) -> str:
        return f"take in region {self.source.id}"
