"""A thread that does a connection's blocking work."""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from rutile.pep249 import InterfaceError

P = ParamSpec("P")
T = TypeVar("T")
CANCEL_AGAIN_S = 0.1
"""A statement that had not begun when it was cancelled is cancelled again after this time."""


class Worker:
    """Runs calls one after the other in one thread."""

    def __init__(self, cancel: Callable[[], None] = lambda: None) -> None:
        self.cancel = cancel
        """Stops the call that runs, if it can be stopped; called from the loop."""
        self._executor: ThreadPoolExecutor | None = ThreadPoolExecutor(1, thread_name_prefix="rutile connection")

    async def run(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """The result of `call` in the thread. Cancelling the task stops the call, and waits until it has stopped."""
        if self._executor is None:
            raise InterfaceError("the connection is closed")
        work = self._executor.submit(functools.partial(call, *args, **kwargs))
        try:
            return await asyncio.shield(asyncio.wrap_future(work))
        except asyncio.CancelledError:
            await self._stop(work)
            raise

    async def _stop(self, work: Future[T]) -> None:
        stopped, loop = asyncio.Event(), asyncio.get_running_loop()
        work.add_done_callback(lambda _: loop.call_soon_threadsafe(stopped.set))
        while not work.done() and not work.cancel():
            self.cancel()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stopped.wait(), CANCEL_AGAIN_S)

    def stop(self) -> None:
        """End the thread once its last call is done."""
        executor, self._executor = self._executor, None
        if executor is not None:
            executor.shutdown(wait=False)
