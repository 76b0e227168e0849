"""Event loops for whole clusters in one process: machines that stand still, and time that jumps.

A `Machine` is what runs together and dies together: a store, a placement driver, a client. The tasks of a machine carry
it in their context (`MACHINE`), and so does everything they start; a loop here can hold back whatever belongs to one of
them. That is SIGSTOP: its timers expire and its messages arrive, but nothing runs before it goes on.

    ClusterLoop     a loop that can hold machines back
    VirtualLoop     the same with time of its own, which stands still while anything is to be done and jumps to the next
                    timer when nothing is. Work for threads is done in the loop, one piece after the other, so that the
                    same seed gives the same run
"""

from __future__ import annotations

import asyncio
import functools
import heapq
import selectors
from asyncio import events
from collections.abc import Callable, Coroutine, Sequence
from contextvars import Context, ContextVar
from typing import Any, TypeVar

T = TypeVar("T")
R = TypeVar("R")
START_S = 1_000.0
"""What a virtual loop's clock shows in the beginning."""


class Machine:
    """One machine of a cluster, for one life: after a crash it comes back as another one."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.is_dead = False
        """Nothing of what it still does has any effect on others."""
        self.is_frozen = False
        self.held_back: list[events.Handle] = []

    def __repr__(self) -> str:
        return f"<{self.name}>"


MACHINE: ContextVar[Machine | None] = ContextVar("rutile.testing machine", default=None)


class _HeldBack(events.Handle):
    """A callback that waits while its machine is frozen."""

    def _run(self) -> None:
        machine = self._context.get(MACHINE)  # type: ignore[attr-defined]
        if machine is not None and machine.is_frozen:
            machine.held_back.append(self)
        else:
            super()._run()


class _HeldBackTimer(_HeldBack, events.TimerHandle):
    """The same at a certain time."""


class ClusterLoop(asyncio.SelectorEventLoop):
    """An event loop whose callbacks know their machine."""

    def freeze(self, machine: Machine) -> None:
        """Let nothing of `machine` run until `thaw`."""
        machine.is_frozen = True

    def thaw(self, machine: Machine) -> None:
        """Let it go on with what has come in the meantime, in its order."""
        machine.is_frozen = False
        held_back, machine.held_back = machine.held_back, []
        for handle in held_back:
            self._ready.append(handle)  # type: ignore[attr-defined]

    def _call_soon(self, callback: Callable[..., object], args: Any, context: Context | None) -> events.Handle:
        handle = _HeldBack(callback, args, self, context)
        self._ready.append(handle)  # type: ignore[attr-defined]
        return handle

    def call_at(  # type: ignore[override]
        self, when: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> events.TimerHandle:
        handle = _HeldBackTimer(when, callback, args, self, context)
        heapq.heappush(self._scheduled, handle)  # type: ignore[attr-defined]
        handle._scheduled = True  # type: ignore[attr-defined]
        return handle


class _Jumping(selectors.DefaultSelector):
    """Instead of waiting for `timeout` seconds, lets the loop's time pass by as much."""

    def __init__(self) -> None:
        super().__init__()
        self.now_s = START_S

    def select(self, timeout: float | None = None) -> Any:
        if timeout == 0:
            return ()  # something is to be done; signals and other threads can wait for the next idle moment
        ready = super().select(0)
        if not ready and timeout:
            self.now_s += timeout
        if not ready and timeout is None:
            raise AssertionError("the loop would wait for ever")
        return ready


class _NumberedTask(asyncio.Task[Any]):
    """A task whose place in a set does not depend on where it lies in memory."""

    def __init__(self, *args: Any, number: int, **kwargs: Any) -> None:
        self._number = number
        super().__init__(*args, **kwargs)

    def __hash__(self) -> int:
        return self._number


class VirtualLoop(ClusterLoop):
    """See the module."""

    def __init__(self) -> None:
        self._jumping = _Jumping()
        self._tasks_made = 0
        self.work_takes_s: Callable[[Callable[..., object]], float] = lambda work: 0.0
        """How long a piece of work in a thread takes. It is done at the end of that time."""
        super().__init__(self._jumping)
        self.set_task_factory(self._numbered)

    def time(self) -> float:
        return self._jumping.now_s

    def run_in_executor(self, executor: Any, func: Callable[..., R], *args: Any) -> asyncio.Future[R]:  # type: ignore[override]
        """Do the work when the time that it takes is over; at once, if that is none."""
        outcome: asyncio.Future[R] = self.create_future()
        takes_s = self.work_takes_s(_innermost(func))
        if takes_s > 0:
            self.call_later(takes_s, lambda: _settle(outcome, *_do(func, args)))
        else:
            self.call_soon(_settle, outcome, *_do(func, args))
        return outcome

    def _numbered(self, loop: Any, coroutine: Any, **kwargs: Any) -> asyncio.Task[Any]:
        self._tasks_made += 1
        return _NumberedTask(coroutine, loop=loop, number=self._tasks_made, **kwargs)


def _innermost(work: Callable[..., object]) -> Callable[..., object]:
    """What `asyncio.to_thread` was given."""
    return work.args[0] if isinstance(work, functools.partial) and work.args else work


def _do(work: Callable[..., R], args: Sequence[Any]) -> tuple[R | None, Exception | None]:
    try:
        return work(*args), None
    except StopIteration:
        raise  # a future cannot hold it, threads refuse it alike
    except Exception as error:
        return None, error


def _settle(outcome: asyncio.Future[Any], result: object, error: Exception | None) -> None:
    if outcome.done():
        return
    if error is None:
        outcome.set_result(result)
    else:
        outcome.set_exception(error)


def run_virtual(main: Coroutine[Any, Any, T]) -> T:
    """asyncio.run on a VirtualLoop."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main)
