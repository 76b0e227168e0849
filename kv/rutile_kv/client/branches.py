"""Many producers, some of them begun by others while they run, and one consumer."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, Generic, TypeVar

from rutile_kv.client.parallel import cancel_all

T = TypeVar("T")


class Branches(Generic[T]):
    """Items come out in the order they were put in; together the producers are at most `ahead` items before the
    consumer. The first failure of a producer is raised to the consumer once what came before it is consumed."""

    def __init__(self, ahead: int) -> None:
        self._ready: asyncio.Queue[tuple[T] | BaseException] = asyncio.Queue()  # bounded by the slots
        self._slots = asyncio.Semaphore(ahead)
        self._tasks: dict[asyncio.Task[None], None] = {}

    def __len__(self) -> int:
        """How many producers run."""
        return len(self._tasks)

    def start(self, work: Coroutine[Any, Any, None], name: str) -> None:
        """Begin a producer."""
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks[task] = None
        task.add_done_callback(self._ended)

    async def put(self, item: T) -> None:
        """Hand an item to the consumer; waits while it has too many."""
        await self._slots.acquire()
        self._ready.put_nowait((item,))

    async def take(self) -> T:
        """The next item. Raises what a producer failed with."""
        item = await self._ready.get()
        if isinstance(item, BaseException):
            raise item
        self._slots.release()
        return item[0]

    async def close(self) -> None:
        """Cancel all producers and wait for their end."""
        while self._tasks:
            await cancel_all(list(self._tasks))

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.pop(task, None)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._ready.put_nowait(error)
