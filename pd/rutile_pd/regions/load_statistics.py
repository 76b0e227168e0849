"""Who reads and writes how much, region by region: what the hot region scheduler goes by.

Reports say what a region's peers have read and written in some interval; those that came too soon after another name
none, and say nothing of it. From this come rates, smoothed so that half of what is remembered is from the last two
reports or so. Only regions above the configured rates are remembered,
with how many reports in a row have found them so (the hot degree); a region that has cooled is dropped when its degree
is used up. Writing loads every store that has a peer; reading loads the leader's. So the sums by store, of hot regions
only, are loads of peers, which is what can be moved.
"""

import enum
from dataclasses import dataclass

from rutile_pd.config import PdConfig
from rutile_pd.regions.region_info import RegionInfo
from rutile_proto import pdpb_pb2 as pdpb

_NEW_SHARE = 0.3
"""How much of a smoothed rate is the last report."""
MAX_DEGREE = 24


class Flow(enum.StrEnum):
    """What a region is hot in. CPU counts as reading: it is spent by the leader."""

    READ = "read"
    WRITE = "write"


@dataclass(frozen=True, slots=True)
class Load:
    """Smoothed rates of one region."""

    bytes_per_s: float = 0.0
    keys_per_s: float = 0.0
    cpu_percent: float = 0.0
    degree: int = 0

    def heat(self, config: PdConfig) -> float:
        """The largest of its rates, each as a multiple of what makes a region hot."""
        return max(
            self.bytes_per_s / max(1.0, config.hot_byte_rate),
            self.keys_per_s / max(1.0, config.hot_key_rate),
            self.cpu_percent / max(1.0, config.hot_cpu_percent),
        )

    def joined(self, new: "Load") -> "Load":
        """With one more report."""
        return Load(
            _smoothed(self.bytes_per_s, new.bytes_per_s),
            _smoothed(self.keys_per_s, new.keys_per_s),
            _smoothed(self.cpu_percent, new.cpu_percent),
            self.degree,
        )


def _smoothed(old: float, new: float) -> float:
    return _NEW_SHARE * new + (1 - _NEW_SHARE) * old


class LoadStatistics:
    """Hot regions by flow."""

    def __init__(self) -> None:
        self._hot: dict[Flow, dict[int, Load]] = {flow: {} for flow in Flow}

    def note(self, report: pdpb.RegionHeartbeatRequest, config: PdConfig) -> None:
        """A region was reported."""
        region_id, seconds = report.region.id, report.interval.end_timestamp - report.interval.start_timestamp
        if seconds <= 0:
            return
        is_read = report.bytes_read or report.keys_read or report.cpu_usage
        if is_read or region_id in self._hot[Flow.READ]:
            read = Load(report.bytes_read / seconds, report.keys_read / seconds, float(report.cpu_usage))
            self._take(region_id, Flow.READ, read, config)
        if report.bytes_written or report.keys_written or region_id in self._hot[Flow.WRITE]:
            written = Load(report.bytes_written / seconds, report.keys_written / seconds)
            self._take(region_id, Flow.WRITE, written, config)

    def _take(self, region_id: int, flow: Flow, new: Load, config: PdConfig) -> None:
        known = self._hot[flow].get(region_id)
        load = new if known is None else known.joined(new)
        degree = (known.degree if known is not None else 0) + (1 if load.heat(config) >= 1 else -1)
        if degree <= 0:
            self._hot[flow].pop(region_id, None)
            return
        self._hot[flow][region_id] = Load(load.bytes_per_s, load.keys_per_s, load.cpu_percent, min(degree, MAX_DEGREE))

    def forget(self, region_id: int) -> None:
        """The region is no more."""
        for hot in self._hot.values():
            hot.pop(region_id, None)

    def of(self, region_id: int, flow: Flow) -> Load | None:
        """The load of a region that is hot."""
        return self._hot[flow].get(region_id)

    def hot(self, flow: Flow, config: PdConfig) -> list[tuple[int, Load]]:
        """(region, load) of all that is hot, the hottest first."""
        return sorted(self._hot[flow].items(), key=lambda item: (-item[1].heat(config), item[0]))

    @staticmethod
    def loaded_stores(region: RegionInfo, flow: Flow) -> tuple[int, ...]:
        """The stores that bear the region's load."""
        if flow is Flow.WRITE:
            return region.stores
        return () if region.leader is None else (region.leader.store_id,)
