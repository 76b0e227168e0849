"""Work that outlives the call which started it: secondaries' commits, roll-backs, heartbeats."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any, TypeVar

from rutile_kv.client.parallel import cancel_all
from rutile_proto.errors import RutileError

_log = logging.getLogger(__name__)
T = TypeVar("T")


class Background:
    """Keeps hold of background tasks until they end, reports their failures, and ends them when the client closes."""

    def __init__(self) -> None:
        self._tasks: dict[asyncio.Task[Any], None] = {}  # a dict, not a set: ended in the order begun

    def __len__(self) -> int:
        return len(self._tasks)

    def start(self, work: Coroutine[Any, Any, T], name: str, *, awaited: bool = False) -> asyncio.Task[T]:
        """Begin `work` now. Its failure is logged, unless the caller has said it awaits the task and sees it anyway."""
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks[task] = None
        task.add_done_callback(self._seen if awaited else self._ended)
        return task

    async def close(self, timeout_s: float) -> None:
        """Wait up to `timeout_s` seconds for what runs and what it starts, then cancel it."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_s
        while self._tasks and (left_s := deadline - loop.time()) > 0:
            await asyncio.wait(list(self._tasks), timeout=left_s)
        while self._tasks:  # a cancelled commit may still start its roll-back: cancel that too
            await cancel_all(list(self._tasks))

    def _seen(self, task: asyncio.Task[Any]) -> None:
        self._tasks.pop(task, None)
        if not task.cancelled():
            task.exception()  # marks it as seen even if the awaiting caller has left

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.pop(task, None)
        if task.cancelled() or (error := task.exception()) is None:
            return
        if isinstance(error, RutileError):
            _log.info("%s did not finish: %s", task.get_name(), error)
        else:
            _log.error("%s failed", task.get_name(), exc_info=error)
