"""The operators that run, at most one per region, and what became of those that ran."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from rutile_pd.operators.influence import Influence, InfluenceBook
from rutile_pd.operators.operator import Kind, Operator
from rutile_pd.regions.region_info import RegionInfo
from rutile_proto import pdpb_pb2 as pdpb

HISTORY = 1024
"""Finished operators remembered, the oldest is forgotten first."""


@dataclass(frozen=True, slots=True)
class Finished:
    """An operator that ended, and how."""

    operator: Operator
    status: pdpb.OperatorStatus
    ended_ms: int

    @property
    def duration_s(self) -> float:
        return (self.ended_ms - self.operator.created_ms) / 1000


class OperatorController:
    """`stores_touched` hears of every store whose influence has changed."""

    def __init__(
        self, timeout_ms: int, quick_timeout_ms: int, stores_touched: Callable[[list[int]], None] = lambda stores: None
    ) -> None:
        self.timeout_ms = timeout_ms
        self.quick_timeout_ms = quick_timeout_ms
        self.begun = 0
        """Operators that began in this PD's life."""
        self._stores_touched = stores_touched
        self._running: dict[int, Operator] = {}
        self._counts = dict.fromkeys(Kind, 0)
        self._coming: dict[int, int] = {}
        self._influence = InfluenceBook()
        self._history: deque[Finished] = deque()
        self._last: dict[int, Finished] = {}

    # --- asking ---------------------------------------------------------------------------------------------------

    def __len__(self) -> int:
        return len(self._running)

    def get(self, region_id: int) -> Operator | None:
        """What is being done to the region."""
        return self._running.get(region_id)

    def last(self, region_id: int) -> tuple[Operator, pdpb.OperatorStatus] | None:
        """What is being done, or was done last, and how it stands."""
        running, ended = self._running.get(region_id), self._last.get(region_id)
        if running is not None:
            return running, pdpb.RUNNING
        return None if ended is None else (ended.operator, ended.status)

    def coming_to(self, store_id: int) -> int:
        """Peers that running operators bring to the store."""
        return self._coming.get(store_id, 0)

    def influence(self, store_id: int) -> Influence:
        """What running operators will change about the store."""
        return self._influence.of(store_id)

    def running(self) -> list[Operator]:
        """All that is being done, oldest first."""
        return list(self._running.values())

    def count(self, kind: Kind) -> int:
        """Running operators of a kind."""
        return self._counts[kind]

    def history(self) -> list[Finished]:
        """What ended, oldest first."""
        return list(self._history)

    # --- running --------------------------------------------------------------------------------------------------

    def add(self, operator: Operator, region: RegionInfo) -> bool:
        """Begin. False, and nothing happens, if something as urgent is being done to the region already."""
        running = self._running.get(region.id)
        if running is not None and running.priority >= operator.priority:
            return False
        if running is not None:
            self._finish(running, pdpb.REPLACE, operator.created_ms)
        self._running[region.id] = operator
        self.begun += 1
        self._counts[operator.kind] += 1
        for store_id in operator.target_stores():
            self._coming[store_id] = self._coming.get(store_id, 0) + 1
        self._stores_touched(self._influence.note(operator, region))
        return True

    def order_for(self, region: RegionInfo, now_ms: int) -> pdpb.RegionHeartbeatResponse | None:
        """What to ask of the region's leader now; None when there is nothing to do but to wait, or nothing any more."""
        operator = self._running.get(region.id)
        if operator is None:
            return None
        step = operator.next_step(region)
        if step is None:
            self._finish(operator, pdpb.SUCCESS, now_ms)
        elif not operator.explains(region) or not step.is_safe(region):
            self._finish(operator, pdpb.CANCEL, now_ms)
        elif self._is_overdue(operator, now_ms):
            self._finish(operator, pdpb.TIMEOUT, now_ms)
        else:
            self._stores_touched(self._influence.note(operator, region))
            return step.order(region)
        return None

    def drop_overdue(self, now_ms: int, is_lost: Callable[[int], bool] = lambda store_id: False) -> None:
        """Give up the operators of regions that do not report any more, and those that wait for a lost store."""
        for operator in list(self._running.values()):
            if self._running.get(operator.region_id) is not operator:
                continue  # the other side of a merge that ended a moment ago
            if self._is_overdue(operator, now_ms):
                self._finish(operator, pdpb.TIMEOUT, now_ms)
            elif any(map(is_lost, operator.awaited_stores())):
                self._finish(operator, pdpb.CANCEL, now_ms)

    def cancel(self, region_id: int, now_ms: int) -> bool:
        """Give up what is being done to the region; whether there was anything."""
        operator = self._running.get(region_id)
        if operator is not None:
            self._finish(operator, pdpb.CANCEL, now_ms)
        return operator is not None

    def region_replaced(self, region_id: int, by_region_id: int, now_ms: int) -> None:
        """Another region reports what was its range: what a merge into that one wanted, and the end of anything else.

        That other one may also be a part that was split off and reports before the rest does. No merge has come to
        its end by that, and the partner must not wait until its time is up for what will not happen.
        """
        operator = self._running.get(region_id)
        if operator is not None:
            self._finish(operator, pdpb.SUCCESS if operator.merges_with == by_region_id else pdpb.CANCEL, now_ms)

    def _is_overdue(self, operator: Operator, now_ms: int) -> bool:
        limit_ms = self.timeout_ms if operator.is_slow else self.quick_timeout_ms
        return now_ms - operator.created_ms > limit_ms

    def _finish(self, operator: Operator, status: pdpb.OperatorStatus, now_ms: int) -> None:
        del self._running[operator.region_id]
        self._counts[operator.kind] -= 1
        for store_id in operator.target_stores():
            self._coming[store_id] -= 1
        self._stores_touched(self._influence.forget(operator.region_id))
        self._remember(Finished(operator, status, now_ms))
        if status is not pdpb.SUCCESS and operator.merges_with is not None:
            self._end_other_side(operator.region_id, operator.merges_with, now_ms)

    def _end_other_side(self, region_id: int, partner_id: int, now_ms: int) -> None:
        """Half a merge is none."""
        partner = self._running.get(partner_id)
        if partner is not None and partner.merges_with == region_id:
            self._finish(partner, pdpb.CANCEL, now_ms)

    def _remember(self, ended: Finished) -> None:
        self._history.append(ended)
        self._last[ended.operator.region_id] = ended
        while len(self._history) > HISTORY:
            oldest = self._history.popleft()
            if self._last.get(oldest.operator.region_id) is oldest:
                del self._last[oldest.operator.region_id]
