"""Which schedulers run: they can be added, removed, and paused for a while, as the cluster lives.

What was added or removed is kept; a pause is not, and ends by itself. Names are those of pd-ctl. evict-leader-scheduler
has the stores to be freed of leaders as its arguments; the others have none.
"""

from collections.abc import Callable
from typing import TypeAlias

from rutile_pd.operators.operator import Operator
from rutile_pd.schedulers import balance_leader, balance_region, hot_region
from rutile_pd.schedulers.view import View
from rutile_proto.errors import InvalidRequest

Scheduler: TypeAlias = Callable[[View], list[Operator]]

EVICT_LEADER = "evict-leader-scheduler"
BALANCERS: dict[str, Scheduler] = {
    "balance-leader-scheduler": balance_leader.schedule,
    "balance-region-scheduler": balance_region.schedule,
    "balance-hot-region-scheduler": hot_region.schedule,
}
MAX_PAUSE_S = 86_400


class SchedulerBook:
    """Names with arguments; `saved` is what `running` was when it was last kept."""

    def __init__(self, saved: dict[str, list[str]] | None = None) -> None:
        self._running = {name: list[str]() for name in BALANCERS} if saved is None else dict(saved)
        self._paused_until_ms: dict[str, int] = {}

    @property
    def running(self) -> dict[str, list[str]]:
        """Every scheduler that was not removed, with its arguments."""
        return {name: list(args) for name, args in self._running.items()}

    def balancers(self, now_ms: int) -> list[Scheduler]:
        """Those that balance, and are neither removed nor paused."""
        return [BALANCERS[name] for name in BALANCERS if name in self._running and not self.pause_left_s(name, now_ms)]

    def evicted_stores(self, now_ms: int) -> list[int]:
        """The stores evict-leader is for; none while it is paused."""
        stores = self._running.get(EVICT_LEADER, [])
        return [] if self.pause_left_s(EVICT_LEADER, now_ms) else [int(store) for store in stores]

    def pause_left_s(self, name: str, now_ms: int) -> float:
        """Seconds of its pause left; 0 when it runs."""
        return max(0, self._paused_until_ms.get(name, now_ms) - now_ms) / 1000

    def add(self, name: str, store_ids: list[int]) -> None:
        """Let it run; for evict-leader, for these stores too. InvalidRequest."""
        if name == EVICT_LEADER and store_ids:
            known = self._running.get(EVICT_LEADER, [])
            self._running[name] = list(dict.fromkeys([*known, *map(str, store_ids)]))
        elif name in BALANCERS and not store_ids:
            self._running[name] = []
        else:
            raise InvalidRequest(f"{name!r} for stores {store_ids}: {_known()}")

    def remove(self, name: str, store_ids: list[int]) -> None:
        """Let it run no more; for evict-leader with stores, for these only. InvalidRequest if it does not run."""
        self._require(name)
        left = [store for store in self._running[name] if store_ids and int(store) not in store_ids]
        if left:
            self._running[name] = left
        else:
            del self._running[name]
        self._paused_until_ms.pop(name, None)

    def pause(self, name: str, seconds: float, now_ms: int) -> None:
        """Let it rest for a while; 0 seconds: run again. InvalidRequest if it does not run, or for more than a day."""
        self._require(name)
        if not 0 <= seconds <= MAX_PAUSE_S:
            raise InvalidRequest(f"a scheduler pauses for 0 to {MAX_PAUSE_S} seconds, not {seconds}")
        self._paused_until_ms[name] = now_ms + round(seconds * 1000)

    def _require(self, name: str) -> None:
        if name not in self._running:
            raise InvalidRequest(f"{name!r} does not run: {', '.join(self._running) or 'no scheduler'} does")


def _known() -> str:
    return f"there are {', '.join(BALANCERS)} without stores, and {EVICT_LEADER} with at least one"
