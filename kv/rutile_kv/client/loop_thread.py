"""An event loop for callers that have none."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from typing import Any, TypeVar

from rutile_proto.errors import InvalidRequest

T = TypeVar("T")


class LoopThread:
    """An event loop in a thread of its own."""

    def __init__(self, loop: asyncio.AbstractEventLoop | None = None) -> None:
        """`loop` is run there and closed at the end."""
        self._loop = loop or asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="rutile client", daemon=True)
        self._thread.start()

    @property
    def is_stopped(self) -> bool:
        """Whether nothing runs here any more."""
        return self._loop.is_closed()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """The result of `work`, run in the loop. Interrupting the waiting thread cancels the work."""
        if self._loop.is_closed() or threading.current_thread() is self._thread:
            work.close()
            raise InvalidRequest("the client is closed" if self._loop.is_closed() else "called from the client's loop")
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def iterate(self, pages: AsyncIterator[list[T]]) -> Iterator[T]:
        """The items of the pages, fetching one page at a time."""
        while (page := self.run(_next(pages))) is not None:
            yield from page

    def call_soon(self, act: Callable[[], object]) -> None:
        """Have `act` called in the loop, without waiting for it."""
        self._loop.call_soon_threadsafe(act)

    def stop(self) -> None:
        """End the loop and its thread; harmless when already done."""
        if self._loop.is_closed():
            return
        self.run(self._loop.shutdown_asyncgens())
        self.run(self._loop.shutdown_default_executor())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


async def _next(pages: AsyncIterator[list[T]]) -> list[T] | None:
    return await anext(pages, None)
