"""The shell round the lock-wait core: pessimistic lock commands that wait for their keys.

A command that meets a lock ends in the scheduler, and enters the queue in the very same turn of the loop; whoever
removes the lock is heard of as soon as that is applied. So no release can slip in between.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any, Protocol, assert_never

from rutile_kv.engine.api import CF_LOCK, Modify
from rutile_kv.mvcc.records import Lock
from rutile_kv.txn.commands.pessimistic_lock import PessimisticLock, PessimisticLockResult
from rutile_kv.txn.deadlock import Cycle, WaitFor
from rutile_kv.txn.lock_waits import LockWaits, timeout_ms
from rutile_kv.txn.shell import TxnScheduler
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
from rutile_proto import kvrpcpb_pb2 as kvrpcpb
from rutile_proto.errors import Deadlock, KeyIsLocked, LockWaitTimeout, RegionError
from rutile_proto.keys import user_key


class DeadlockWatch(Protocol):
    """Who is told of waits. A circle found is reported to `LockWaiting.deadlocked`, at once or later."""

    def begin(self, wait: WaitFor) -> None: ...

    def end(self, wait: WaitFor) -> None: ...


class NoWatch:
    """For a store that nobody tells of deadlocks: waits end by their time-outs alone."""

    def begin(self, wait: WaitFor) -> None: ...

    def end(self, wait: WaitFor) -> None: ...


@dataclass(slots=True)
class _Request:
    context: kvrpcpb.Context
    command: PessimisticLock
    result: "asyncio.Future[PessimisticLockResult]"
    deadline_ms: int
    detect: bool


class LockWaiting:
    """Runs the pessimistic lock commands of a store. To be used from the scheduler's event loop."""

    def __init__(self, scheduler: TxnScheduler) -> None:
        self.watch: DeadlockWatch = NoWatch()
        self._scheduler = scheduler
        self._core = LockWaits()
        self._requests: dict[int, _Request] = {}
        self._tokens = count(1)
        self._alarm: asyncio.TimerHandle | None = None
        self._alarm_ms: int | None = None
        scheduler.listen(self._written)

    async def lock(
        self, context: kvrpcpb.Context, command: PessimisticLock, wait_timeout: int, *, holds_locks: bool = True
    ) -> PessimisticLockResult:
        """The command's result, once all its keys could be locked.

        `wait_timeout` as in PessimisticLockRequest: milliseconds, 0 for the default, negative for not at all. Raises
        KeyIsLocked if it may not wait, LockWaitTimeout if the wait took too long, Deadlock if it would never end (not
        looked for unless the transaction `holds_locks`), and what the command raises.
        """
        may_wait_ms = timeout_ms(wait_timeout)
        if may_wait_ms is None:
            return await self._scheduler.execute(context, command)
        token = next(self._tokens)
        result: asyncio.Future[PessimisticLockResult] = asyncio.get_running_loop().create_future()
        self._requests[token] = _Request(context, command, result, self._now_ms() + may_wait_ms, holds_locks)
        self._try(token)
        try:
            return await result
        finally:
            self._requests.pop(token, None)
            self._handle(Left(token))

    def deadlocked(self, cycle: Cycle) -> None:
        """The detector has found that a wait told to the watch closes a circle."""
        self._handle(DeadlockFound(cycle))

    def waits(self) -> list[WaitFor]:
        """Who waits for whom, in the order they came."""
        return self._core.waits()

    def told(self) -> list[WaitFor]:
        """What the watch should know: for a detector that begins empty."""
        return self._core.told()

    def end_region(self, region_id: int, error: RegionError) -> None:
        """The region is not here any more: `error` for everybody who waits in it."""
        for token, request in list(self._requests.items()):
            if request.context.region_id == region_id:
                self._fail(token, error)

    async def close(self) -> None:
        """Cancel those who wait."""
        for request in list(self._requests.values()):
            request.result.cancel()
        if self._alarm is not None:
            self._alarm.cancel()

    # --- attempts -----------------------------------------------------------------------------------------------------

    def _try(self, token: int) -> None:
        request = self._requests.get(token)
        if request is not None and not request.result.done():
            self._scheduler.submit(request.context, request.command, _Attempt(self, token, request))

    def refused(self, token: int, request: _Request, error: BaseException) -> None:
        """An attempt failed: wait if a lock was in the way, else that is the answer."""
        if isinstance(error, KeyIsLocked):
            now_ms = self._now_ms()
            start_ts = request.command.start_ts
            self._handle(Blocked(token, start_ts, error.lock, request.deadline_ms, now_ms, request.detect))
        else:
            self._fail(token, error)

    def _fail(self, token: int, error: BaseException) -> None:
        request = self._requests.get(token)
        if request is not None and not request.result.done():
            request.result.set_exception(error)

    # --- events and effects -------------------------------------------------------------------------------------------

    def _written(self, modifies: Sequence[Modify], applied: bool) -> None:
        """Locks came or went; only those somebody waits for matter.

        A lock that may be gone is worth another try. One that may have come is not taken for there.
        """
        if not len(self._core):
            return
        released: list[bytes] = []
        for cf, key, value in modifies:
            if cf == CF_LOCK and self._core.waits_for(user := user_key(key)):
                if value is None:
                    released.append(user)
                elif applied:
                    self._handle(Taken(Lock.from_bytes(value).facts(user)))
        if released:
            self._handle(Released(tuple(released), self._now_ms()))

    def _handle(self, event: WaitEvent) -> None:
        for effect in self._core.handle(event):
            self._perform(effect)
        self._set_alarm()

    def _perform(self, effect: WaitEffect) -> None:
        match effect:
            case TryAgain(token):
                self._try(token)
            case GiveUp(token, lock):
                self._fail(token, LockWaitTimeout(lock))
            case Refuse(token, lock, cycle):
                chain = tuple((wait.waiter, wait.holder, wait.key) for wait in cycle.chain)
                self._fail(token, Deadlock(lock.start_ts, lock.key, cycle.deadlock_key_hash, chain))
            case BeginWait(wait):
                self.watch.begin(wait)
            case EndWait(wait):
                self.watch.end(wait)
            case _:
                assert_never(effect)

    # --- time ---------------------------------------------------------------------------------------------------------

    def _now_ms(self) -> int:
        return round(asyncio.get_running_loop().time() * 1000)

    def _set_alarm(self) -> None:
        at_ms = self._core.next_ms()
        if at_ms == self._alarm_ms:
            return
        if self._alarm is not None:
            self._alarm.cancel()
        loop = asyncio.get_running_loop()
        self._alarm = None if at_ms is None else loop.call_at(at_ms / 1000, self._ring)
        self._alarm_ms = at_ms

    def _ring(self) -> None:
        self._alarm_ms = None
        self._handle(TimePassed(self._now_ms()))


@dataclass(slots=True)
class _Attempt:
    """Takes the end of one run of the command (txn.shell.Answer)."""

    waiting: LockWaiting
    token: int
    request: _Request

    def done(self) -> bool:
        return self.request.result.done()

    def set_result(self, result: Any, /) -> None:
        self.request.result.set_result(result)

    def set_exception(self, error: BaseException, /) -> None:
        self.waiting.refused(self.token, self.request, error)

    def cancel(self) -> bool:
        return self.request.result.cancel()
