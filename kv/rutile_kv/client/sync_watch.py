"""Watches for plain threads: iterators that can be closed."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from types import TracebackType
from typing import Generic, Self, TypeVar

from rutile_kv.client.loop_thread import LoopThread

T = TypeVar("T")


class SyncWatch(Generic[T]):
    """What a watch delivers, one by one; waits for the next. Never ends by itself: close it, or leave its `with`.
    It belongs to one thread.

    >>> with client.watch(b"user/", b"user0") as changes:
    ...     for change in changes:
    ...         print(change.key, change.value)
    """

    def __init__(self, loop: LoopThread, items: AsyncGenerator[T, None]) -> None:
        self._loop = loop
        self._items = items

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> T:
        try:
            return self._loop.run(_next(self._items))
        except StopAsyncIteration as end:
            raise StopIteration from end

    def close(self) -> None:
        """End the watch. Harmless when it has ended."""
        self._loop.run(self._items.aclose())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


async def _next(items: AsyncGenerator[T, None]) -> T:
    return await anext(items)
