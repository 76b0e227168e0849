"""Which regions are asked more than their share, and where to cut them so that both halves are asked alike.

Every so many views of a region (`SAMPLE_EVERY`) one is watched: what is read through it is counted that many times,
and the keys go into a reservoir, a fair sample of the window's. Writes are sampled alike: a write is one request,
however much it changes. A window lasts a second. A region over the threshold for `load_windows` windows in a row is
cut at the sampled key that leaves the requests most evenly on both sides and the fewest scans across it; if every key
leaves them lopsided (one hot row cannot be cut) it stays, and the count begins anew (TiKV's AutoSplitController works
like this).

A cut is worth something only where the halves can be led by different stores, so regions with a single peer are left
alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from rutile_kv.engine.api import Modify
from rutile_kv.raft.config import Randomness
from rutile_kv.raftstore.config import StoreConfig
from rutile_kv.raftstore.region_profile import border_of
from rutile_proto import metapb_pb2 as metapb

WINDOW_SECONDS = 1.0
SAMPLE_EVERY = 8
"""One view in so many is watched."""
KEEP_WINDOWS = 120
"""So long is kept for PD what nobody asks for: reads of regions that are led elsewhere, or gone."""
RESERVOIR = 64
"""Sampled requests kept for a region and window."""
MIN_SAMPLES = 16
"""Fewer sampled requests over all windows say nothing about where to cut."""
MAX_IMBALANCE = 0.25
"""How much more than the other side one side may be asked: |left - right| / (left + right)."""
MAX_CROSSING = 0.5
"""The part of the requests that may need both sides."""

Span = tuple[bytes, bytes | None]
"""What one request touched: [start, end) as borders of regions; a point has its key twice, an open end is None."""


@dataclass(slots=True)
class Traffic:
    """What came to one region."""

    reads: int = 0
    read_bytes: int = 0
    writes: int = 0
    written_bytes: int = 0

    def add(self, other: "Traffic") -> None:
        self.reads += other.reads
        self.read_bytes += other.read_bytes
        self.writes += other.writes
        self.written_bytes += other.written_bytes


@dataclass(slots=True)
class _Watched:
    window: Traffic = field(default_factory=Traffic)
    views: int = 0
    seen: int = 0
    spans: list[Span] = field(default_factory=list)
    """A fair sample of this window's requests."""
    earlier: list[Span] = field(default_factory=list)
    """Those of the hot windows before."""
    hot_windows: int = 0


class LoadMonitor:
    """The traffic of one store's regions. Synchronous; `roll` ends a window."""

    def __init__(self, config: StoreConfig, random: Randomness) -> None:
        self._config = config
        self._random = random
        self._watched: dict[int, _Watched] = {}
        self._untold: dict[int, Traffic] = {}
        """What PD has not heard of yet."""
        self._windows = 0

    def is_sampled(self, region_id: int) -> bool:
        """Count a view; True if what is read through it should be told with `read`."""
        watched = self._watched.get(region_id)
        if watched is None:
            watched = self._watched[region_id] = _Watched()
        watched.views += 1
        return watched.views % SAMPLE_EVERY == 0

    def read(self, region_id: int, span: Span, size_bytes: int) -> None:
        """Something was read through a sampled view."""
        watched = self._watched.setdefault(region_id, _Watched())
        watched.window.reads += SAMPLE_EVERY
        watched.window.read_bytes += size_bytes * SAMPLE_EVERY
        self._sample(watched, span)

    def read_bytes(self, region_id: int, size_bytes: int) -> None:
        """A request that was counted already, or will be, read so many bytes."""
        self._watched.setdefault(region_id, _Watched()).window.read_bytes += size_bytes * SAMPLE_EVERY

    def wrote(self, region_id: int, modifies: Sequence[Modify]) -> None:
        """A write came; every so many it is sampled, by its first change that lies at a border."""
        watched = self._watched.get(region_id)
        if watched is None:
            watched = self._watched[region_id] = _Watched()
        watched.window.writes += 1
        watched.views += 1
        if watched.views % SAMPLE_EVERY or not modifies:
            return
        watched.window.written_bytes += SAMPLE_EVERY * sum(
            len(key) + (0 if value is None else len(value)) for _, key, value in modifies
        )
        border = border_of(modifies[0][0], modifies[0][1])
        if border is not None:
            self._sample(watched, (border, border))

    def take_reads(self, region_id: int) -> tuple[int, int]:
        """(bytes, keys) read of a region since they were last taken: for PD."""
        traffic = self._untold.pop(region_id, None)
        return (0, 0) if traffic is None else (traffic.read_bytes, traffic.reads)

    def roll(self) -> list[tuple[int, list[Span]]]:
        """End a window of a second. Returns the regions hot for long enough, with a sample of their requests; counting
        begins anew for them."""
        hot: list[tuple[int, list[Span]]] = []
        self._windows += 1
        if self._windows % KEEP_WINDOWS == 0:
            self._untold.clear()
        watched_before, self._watched = self._watched, {}
        for region_id, watched in watched_before.items():
            self._untold.setdefault(region_id, Traffic()).add(watched.window)
            if not self._is_hot(watched.window):
                continue
            spans = (watched.earlier + watched.spans)[-RESERVOIR * self._config.load_windows :]
            if watched.hot_windows + 1 >= self._config.load_windows:
                hot.append((region_id, spans))
            else:
                self._watched[region_id] = _Watched(earlier=spans, hot_windows=watched.hot_windows + 1)
        return hot

    def _is_hot(self, window: Traffic) -> bool:
        config = self._config
        if not config.load_split_requests:
            return False
        requests, size_bytes = window.reads + window.writes, window.read_bytes + window.written_bytes
        return requests >= config.load_split_requests or size_bytes >= config.load_split_bytes

    def _sample(self, watched: _Watched, span: Span) -> None:
        """Reservoir sampling: every request of the window is kept with the same chance."""
        watched.seen += 1
        if len(watched.spans) < RESERVOIR:
            watched.spans.append(span)
            return
        place = self._random.randint(0, watched.seen - 1)
        if place < RESERVOIR:
            watched.spans[place] = span


def balanced_key(spans: Sequence[Span], region: metapb.Region) -> bytes | None:
    """The border inside `region`, among the starts and ends of `spans`, that cuts the requests best; None if none does.

    Best is the smallest sum of imbalance and crossing, each as a part of the requests.
    """
    if len(spans) < MIN_SAMPLES:
        return None
    start, end = region.start_key, region.end_key
    candidates = sorted({key for span in spans for key in span if key and key > start and (not end or key < end)})
    best = min(((_score(key, spans), key) for key in candidates), default=None)
    return None if best is None or best[0] > 1.0 else best[1]


def _score(key: bytes, spans: Sequence[Span]) -> float:
    """0.0 is a perfect cut, above 1.0 one that is not worth making."""
    left = sum(end is not None and end <= key and start < key for start, end in spans)
    right = sum(start >= key for start, _ in spans)
    crossing = len(spans) - left - right
    if not left or not right or crossing > MAX_CROSSING * len(spans):
        return 2.0
    imbalance = abs(left - right) / (left + right)
    return 2.0 if imbalance > MAX_IMBALANCE else (imbalance + crossing / len(spans)) / (MAX_IMBALANCE + MAX_CROSSING)
