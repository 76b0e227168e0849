"""Busy times, waited out by the store for a while before anybody is told of them.

The Python wheels raise `server_is_busy` to their user at once (wire.md 6.1), though what makes a store busy is mostly
over in a moment: the leader is being transferred, or the log is ahead of the disk. Such a request was not begun, so it
can be tried again here. What lasts longer is told; callers that do not say who they are get a status that all clients
wait out and retry.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from rutile_proto.errors import ServerIsBusy

FIRST_PAUSE_SECONDS = 0.01
LONGEST_PAUSE_SECONDS = 0.2
PATIENCE_SECONDS = 1.5
"""Less than the two seconds for which the wheels wait for an answer."""

T = TypeVar("T")


async def patiently(seconds: float, attempt: Callable[..., Awaitable[T]], *arguments: Any) -> T:
    """What `attempt(*arguments)` returns, tried again for `seconds` while it raises ServerIsBusy; then that error."""
    pause = FIRST_PAUSE_SECONDS
    give_up_at = None
    while True:
        try:
            return await attempt(*arguments)
        except ServerIsBusy:
            now = asyncio.get_running_loop().time()
            give_up_at = now + seconds if give_up_at is None else give_up_at
            if now + pause > give_up_at:
                raise
        await asyncio.sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
