"""Requests of one phase that left together, waited for together.

A phase of a transaction asks a dozen regions, and nearly always each of them simply does what it was asked. So one
waiter, one timer and no task stand behind all of them. Whatever is not so simple wakes the waiter, who looks after what
is left in the ordinary way.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from rutile_kv.client.reply import Reply


class Arrivals:
    """Counts replies that come in."""

    def __init__(self, replies: Sequence[Reply], is_refusal: Callable[[Any], bool]) -> None:
        """`is_refusal` tells of an answer whether its command was not executed for what was found at the keys."""
        self._is_refusal = is_refusal
        self._replies = replies
        self._missing = 0
        self._loop = asyncio.get_running_loop()
        self._awake: asyncio.Future[None] = self._loop.create_future()

    async def wait(self, at_most_s: float) -> None:
        """Returns when all replies are here, or one that `is_plain` does not hold for, or when the time is up."""
        for reply in self._replies:
            if not reply.is_here:
                self._missing += 1
                reply.on_arrival = self._arrived
            elif not self.is_plain(reply):
                return
        if not self._missing:
            return
        timer = self._loop.call_later(at_most_s, self._wake)
        try:
            await self._awake
        finally:
            timer.cancel()

    def is_plain(self, reply: Reply) -> bool:
        """Whether the answer is here, and the request was executed."""
        if not reply.is_here or reply.error is not None:
            return False
        return not (reply.answer.HasField("region_error") or self._is_refusal(reply.answer))

    def _arrived(self, reply: Reply) -> None:
        self._missing -= 1
        if not self._missing or not self.is_plain(reply):
            self._wake()

    def _wake(self) -> None:
        if not self._awake.done():
            self._awake.set_result(None)
