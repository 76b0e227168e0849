"""Ranges that were seen to hold no lock at all, so that the next fragment over the same state need not look again.

What a region's lock family holds is decided by its applied entries. A range without locks at one applied index has
none whenever a snapshot is of that index, whatever the reader's timestamp; locks that are on their way are not in the
snapshot but laid over it, and views that have any are looked at.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from rutile_kv.engine.api import CF_LOCK
from rutile_kv.server.region_views import RegionView

MAX_RANGES = 64
"""Remembered of one state of a region."""
MAX_REGIONS = 16_384
"""Of more regions than that nothing is remembered."""

StorageRange = tuple[bytes, bytes | None]


@dataclass(slots=True)
class _State:
    version: int
    index: int
    ranges: dict[StorageRange, None] = field(default_factory=dict)


class LockFreeRanges:
    """By region, of the newest state anybody looked at. Any thread may ask."""

    def __init__(self) -> None:
        self._states: dict[int, _State] = {}
        self._mutex = threading.Lock()

    def has_none(self, view: RegionView, wanted: StorageRange) -> bool:
        """Whether there is no lock in a range of storage keys, for any reader of the view."""
        if view.pin is None or view.reader is not view.snapshot:
            return self._look(view, wanted)
        state = self._state(view, view.pin.index)
        if wanted in state.ranges:
            return True
        is_free = self._look(view, wanted)
        if is_free and len(state.ranges) < MAX_RANGES:
            state.ranges[wanted] = None
        return is_free

    def _state(self, view: RegionView, index: int) -> _State:
        """What is known of the region as of the view; of an older state than the newest, nothing."""
        version = view.region.region_epoch.version
        with self._mutex:
            known = self._states.get(view.region.id)
            if known is not None and (known.version, known.index) == (version, index):
                return known
            state = _State(version, index)
            is_room = known is not None or len(self._states) < MAX_REGIONS
            if is_room and (known is None or known.index < index):
                self._states[view.region.id] = state
            return state

    @staticmethod
    def _look(view: RegionView, wanted: StorageRange) -> bool:
        return next(iter(view.reader.scan(CF_LOCK, *wanted)), None) is None
