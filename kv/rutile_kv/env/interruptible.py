"""Work in a thread that is stopped when nobody waits for it any more, and has stopped when the waiting ends."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


async def interruptible(running: asyncio.Future[T], interrupt: Callable[[], None]) -> T:
    """What the work returns. When this is cancelled `interrupt` is called, and the work has ended when this does: what
    it uses may be closed then."""
    try:
        return await asyncio.shield(running)
    finally:
        if not running.done():
            interrupt()
            await settled(running)


async def settled(running: asyncio.Future[T]) -> None:
    """Wait for work that has been interrupted, even if this waiting is itself cancelled; its outcome is of no use."""
    cancelled = False
    while not running.done():
        try:
            await asyncio.wait([running])
        except asyncio.CancelledError:
            cancelled = True
    if not running.cancelled():
        running.exception()
    if cancelled:
        raise asyncio.CancelledError
