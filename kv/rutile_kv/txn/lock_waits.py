"""Who waits for which lock, in which order they try again, and when they give up.

    Blocked ─► waits in its key's queue ─► TryAgain ─► Blocked (its old place in the queue) or Left
                   │  │
                   │  └─ deadline ─► GiveUp
                   └─ part of a circle ─► Refuse

When a lock goes, the first in its key's queue tries again at once, and the next `WAKE_UP_DELAY_MS` later, one after
the other, unless the key is locked again in the meantime: then the rest wait for the new holder. The delay is for the
usual case: the first finds that the last holder has committed a newer version, so that it must come back with a newer
for_update_ts. Nobody overtakes it meanwhile, and nobody is woken in vain.
"""

from bisect import insort
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import count
from typing import assert_never

from rutile_kv.txn.deadlock import WaitFor
from rutile_kv.txn.wait_events import (
    BeginWait,
    Blocked,
    DeadlockFound,
    EndWait,
    GiveUp,
    Left,
    Refuse,
    Released,
    Taken,
    TimePassed,
    TryAgain,
    WaitEffect,
    WaitEvent,
)
from rutile_proto.errors import LockFacts

DEFAULT_TIMEOUT_MS = 1_000
"""How long one request may wait at most, and if it does not say (wire.md 7.6): below it clients' RPC deadlines hold."""
WAKE_UP_DELAY_MS = 20
MAX_WAITERS = 10_000
"""Requests waiting at a time; further ones give up at once."""


def timeout_ms(wait_timeout: int) -> int | None:
    """What PessimisticLockRequest.wait_timeout means: milliseconds to wait, or None for not at all."""
    if wait_timeout < 0:
        return None
    return min(wait_timeout, DEFAULT_TIMEOUT_MS) if wait_timeout else DEFAULT_TIMEOUT_MS


@dataclass(slots=True)
class _Waiter:
    order: int
    """Its place among all: by when it first met a lock."""
    token: int
    start_ts: int
    lock: LockFacts
    """What stands in its way; `lock.key` is the queue it is in."""
    deadline_ms: int
    detect: bool
    told: WaitFor | None = None
    """What the detector knows of it."""
    is_trying: bool = False


@dataclass(slots=True)
class _Queue:
    waiting: list[tuple[int, int]] = field(default_factory=list)
    """(order, token), first come first."""
    wake_ms: int | None = None
    """When the first is to try again. None: when the lock goes."""


class LockWaits:
    """Synchronous and deterministic: events in, effects out."""

    def __init__(self) -> None:
        self._waiters: dict[int, _Waiter] = {}
        self._queues: dict[bytes, _Queue] = {}
        self._orders = count(1)
        self._deadlines: list[tuple[int, int]] = []
        """Heap of (deadline_ms, token); entries of requests that are over are skipped."""
        self._wakes: list[tuple[int, bytes]] = []
        """Heap of (wake_ms, key); entries that are not the queue's wake_ms any more are skipped."""

    def __len__(self) -> int:
        """Requests known, waiting or trying."""
        return len(self._waiters)

    def waits_for(self, key: bytes) -> bool:
        """Whether anybody waits for the lock on the key."""
        return key in self._queues

    def waits(self) -> list[WaitFor]:
        """Who waits for whom, in the order they came."""
        waiting = (waiter for waiter in self._waiters.values() if not waiter.is_trying)
        return [WaitFor(waiter.start_ts, waiter.lock.start_ts, waiter.lock.key) for waiter in waiting]

    def told(self) -> list[WaitFor]:
        """Those of them the detector should know."""
        return [waiter.told for waiter in self._waiters.values() if waiter.told is not None]

    def next_ms(self) -> int | None:
        """When TimePassed is next of any use."""
        self._skip_stale()
        times = [heap[0][0] for heap in (self._deadlines, self._wakes) if heap]
        return min(times, default=None)

    def handle(self, event: WaitEvent) -> list[WaitEffect]:
        """What to do about `event`."""
        match event:
            case Blocked():
                return self._blocked(event)
            case Released():
                return [effect for key in event.keys for effect in self._released(key, event.now_ms)]
            case Taken():
                return self._taken(event.lock)
            case TimePassed():
                return self._time_passed(event.now_ms)
            case DeadlockFound():
                return self._deadlock(event)
            case Left():
                waiter = self._waiters.get(event.token)
                return [] if waiter is None else self._forget(waiter)
            case _:
                assert_never(event)

    # --- coming and going ---------------------------------------------------------------------------------------------

    def _blocked(self, event: Blocked) -> list[WaitEffect]:
        waiter = self._waiters.get(event.token)
        if event.now_ms >= event.deadline_ms or (waiter is None and len(self._waiters) >= MAX_WAITERS):
            return [*([] if waiter is None else self._forget(waiter)), GiveUp(event.token, event.lock)]
        if waiter is None:
            order = next(self._orders)
            waiter = _Waiter(order, event.token, event.start_ts, event.lock, event.deadline_ms, event.detect)
            self._waiters[event.token] = waiter
        else:
            assert waiter.is_trying, f"request {event.token} waits already"
            waiter.lock, waiter.deadline_ms, waiter.is_trying = event.lock, event.deadline_ms, False
        heappush(self._deadlines, (event.deadline_ms, event.token))
        queue = self._queues.setdefault(event.lock.key, _Queue())
        insort(queue.waiting, (waiter.order, waiter.token))
        queue.wake_ms = None
        return self._tell(waiter)

    def _leave_queue(self, waiter: _Waiter) -> None:
        key = waiter.lock.key
        queue = self._queues.get(key)
        if waiter.is_trying or queue is None:
            return
        queue.waiting.remove((waiter.order, waiter.token))
        if not queue.waiting:
            del self._queues[key]

    def _forget(self, waiter: _Waiter) -> list[WaitEffect]:
        self._leave_queue(waiter)
        del self._waiters[waiter.token]
        return self._untell(waiter)

    def _try_again(self, waiter: _Waiter) -> list[WaitEffect]:
        self._leave_queue(waiter)
        waiter.is_trying = True
        return [*self._untell(waiter), TryAgain(waiter.token)]

    # --- locks --------------------------------------------------------------------------------------------------------

    def _released(self, key: bytes, now_ms: int) -> list[WaitEffect]:
        """Let the first try, and set the time for the next."""
        queue = self._queues.get(key)
        if queue is None:
            return []
        effects = self._try_again(self._waiters[queue.waiting[0][1]])
        if queue.waiting:
            queue.wake_ms = now_ms + WAKE_UP_DELAY_MS
            heappush(self._wakes, (queue.wake_ms, key))
        return effects

    def _taken(self, lock: LockFacts) -> list[WaitEffect]:
        """Whoever waits for the key waits for this lock now; its own transaction need not wait."""
        queue = self._queues.get(lock.key)
        if queue is None:
            return []
        queue.wake_ms = None
        effects: list[WaitEffect] = []
        for _, token in list(queue.waiting):
            waiter = self._waiters[token]
            if waiter.start_ts == lock.start_ts:
                effects += self._try_again(waiter)
                continue
            changed = waiter.lock.start_ts != lock.start_ts
            waiter.lock = lock
            effects += [*self._untell(waiter), *self._tell(waiter)] if changed else []
        return effects

    # --- time ---------------------------------------------------------------------------------------------------------

    def _time_passed(self, now_ms: int) -> list[WaitEffect]:
        effects: list[WaitEffect] = []
        self._skip_stale()
        while self._deadlines and self._deadlines[0][0] <= now_ms:
            waiter = self._waiters[heappop(self._deadlines)[1]]
            if not waiter.is_trying and waiter.deadline_ms <= now_ms:  # if it tries, it gives up when blocked again
                effects += [*self._forget(waiter), GiveUp(waiter.token, waiter.lock)]
            self._skip_stale()
        while self._wakes and self._wakes[0][0] <= now_ms:
            effects += self._released(heappop(self._wakes)[1], now_ms)
            self._skip_stale()
        return effects

    def _skip_stale(self) -> None:
        while self._deadlines and self._deadlines[0][1] not in self._waiters:
            heappop(self._deadlines)
        while self._wakes and not self._is_due(*self._wakes[0]):
            heappop(self._wakes)

    def _is_due(self, wake_ms: int, key: bytes) -> bool:
        queue = self._queues.get(key)
        return queue is not None and queue.wake_ms == wake_ms

    # --- deadlocks ----------------------------------------------------------------------------------------------------

    def _deadlock(self, event: DeadlockFound) -> list[WaitEffect]:
        """Refuse the requests that wait as the detector says; it may be late, and they gone."""
        victims = [waiter for waiter in self._waiters.values() if waiter.told == event.cycle.closing]
        effects: list[WaitEffect] = []
        for waiter in victims:
            effects += [*self._forget(waiter), Refuse(waiter.token, waiter.lock, event.cycle)]
        return effects

    def _tell(self, waiter: _Waiter) -> list[WaitEffect]:
        if not waiter.detect:
            return []
        waiter.told = WaitFor(waiter.start_ts, waiter.lock.start_ts, waiter.lock.key)
        return [BeginWait(waiter.told)]

    def _untell(self, waiter: _Waiter) -> list[WaitEffect]:
        told, waiter.told = waiter.told, None
        return [] if told is None else [EndWait(told)]
