"""Run many small jobs with few at a time; the first failure stops the rest, in order."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
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


async def cancel_all(tasks: Sequence[asyncio.Future[Any]]) -> None:
    """Cancel the tasks in order and wait until the last has ended. Their outcomes stay readable."""
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks)
