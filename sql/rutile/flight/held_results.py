"""Results between GetFlightInfo, which runs a query, and DoGet, which fetches its rows.

They are bounded: the oldest are dropped when new ones need the room, and each after its time. Clients fetch at once;
one that comes too late is told to run the query again.
"""

from __future__ import annotations

import secrets
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

import pyarrow as pa

from rutile.flight.problems import gone

MAX_BYTES = 256 << 20
"""Of all results together; one that is larger by itself is held alone."""
MAX_RESULTS = 1024
LIFE_S = 300.0


@dataclass(frozen=True, slots=True)
class _Held:
    table: pa.Table
    user: str
    until: float


class HeldResults:
    """Results by their handles. All calls come on one loop."""

    def __init__(self, monotonic: Callable[[], float], max_bytes: int = MAX_BYTES) -> None:
        self._monotonic = monotonic
        self._max_bytes = max_bytes
        self._held: OrderedDict[bytes, _Held] = OrderedDict()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._held)

    def put(self, table: pa.Table, user: str) -> bytes:
        """Hold a result for its user; the handle."""
        handle = secrets.token_bytes(16)
        self.drop_old()
        self._held[handle] = _Held(table, user, self._monotonic() + LIFE_S)
        self._bytes += table.nbytes
        while len(self._held) > 1 and (self._bytes > self._max_bytes or len(self._held) > MAX_RESULTS):
            self.drop(next(iter(self._held)))
        return handle

    def get(self, handle: bytes, user: str) -> pa.Table:
        """The result. Raises 1105 for one that is not held for this user."""
        self.drop_old()
        held = self._held.get(handle)
        if held is None or held.user != user:
            raise gone("the result is not held (any more): run the query again")
        return held.table

    def drop(self, handle: bytes) -> bool:
        """Forget a result; whether it was there."""
        held = self._held.pop(handle, None)
        if held is not None:
            self._bytes -= held.table.nbytes
        return held is not None

    def drop_old(self) -> None:
        """Forget those whose time is over; they lie in the order they came."""
        now = self._monotonic()
        while self._held and next(iter(self._held.values())).until <= now:
            self.drop(next(iter(self._held)))
