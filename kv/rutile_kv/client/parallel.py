"""Running things side by side: many jobs with few at a time, several streams as one. A failure stops the rest."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import aclosing
from typing import Any, TypeVar

T = TypeVar("T")
Job = Callable[[], Awaitable[T]]


async def run_bounded(jobs: Sequence[Job[T]], limit: int) -> list[T]:
    """The results of `jobs`, in their order, at most `limit` running at a time.

    A single job runs in the caller's task. Otherwise the first failure (or the caller's cancellation) cancels what
    runs, starts nothing more, and is raised once all of it has ended.
    """
    if len(jobs) == 1:
        return [await jobs[0]()]
    results: list[Any] = [None] * len(jobs)
    queue = iter(enumerate(jobs))
    await gather_or_cancel([_drain(queue, results) for _ in range(min(limit, len(jobs)))])
    return results


async def _drain(queue: Iterator[tuple[int, Job[T]]], results: list[T]) -> None:
    for index, job in queue:
        results[index] = await job()


async def gather_or_cancel(branches: Iterable[Awaitable[Any]]) -> None:
    """Wait for all branches; at the first failure cancel the others, wait for them to end, and raise it."""
    tasks = [asyncio.ensure_future(branch) for branch in branches]
    if not tasks:
        return
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
    finally:
        await cancel_all(tasks)
    for task in tasks:
        if not task.cancelled() and (error := task.exception()) is not None:
            raise error
    if any(task.cancelled() for task in tasks):
        raise asyncio.CancelledError


async def interleave(streams: Sequence[AsyncGenerator[T, None]], ahead: int) -> AsyncGenerator[T, None]:
    """What the streams yield, as it comes; together they are at most `ahead` items before the consumer.

    The first failure, or the end of the consumer, cancels and closes the streams.
    """
    ready: asyncio.Queue[asyncio.Task[None] | tuple[T]] = asyncio.Queue()  # bounded by the slots
    slots = asyncio.Semaphore(ahead)
    tasks = [asyncio.ensure_future(_pump(stream, ready, slots)) for stream in streams]
    for task in tasks:
        task.add_done_callback(ready.put_nowait)
    try:
        running = len(tasks)
        while running:
            item = await ready.get()
            if isinstance(item, tuple):
                slots.release()
                yield item[0]
            else:
                item.result()
                running -= 1
    finally:
        await cancel_all(tasks)


async def _pump(stream: AsyncGenerator[T, None], ready: asyncio.Queue[Any], slots: asyncio.Semaphore) -> None:
    async with aclosing(stream):
        async for item in stream:
            await slots.acquire()
            ready.put_nowait((item,))


async def cancel_all(tasks: Sequence[asyncio.Future[Any]]) -> None:
    """Cancel the tasks in order and wait until the last has ended. Their outcomes stay readable."""
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks)
