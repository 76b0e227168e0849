"""The roles as processes: what `rutile pd`, `rutile kv` and `rutile sql` run until they are told to stop.

A process says `ready <role> <address>` on standard output once it serves (`rutile sql` adds `mysql=<address>`), so that
whoever started it can wait for that line; everything else it has to say goes to the log on standard error. SIGTERM and
SIGINT stop it cleanly. With `--stop-with-stdin` the end of its standard input does too: a parent that dies, however it
dies, takes it along.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Callable
from typing import Protocol, runtime_checkable

log = logging.getLogger(__name__)


class Role(Protocol):
    """Something that serves until stopped: PdNode, StoreNode, SqlNode."""

    @property
    def address(self) -> str: ...

    async def start(self) -> object: ...

    async def stop(self) -> None: ...


@runtime_checkable
class Announcing(Protocol):
    """A role with more to announce than one address: SqlNode."""

    @property
    def announcement(self) -> str: ...


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """uvloop's event loop where it is installed (the extra `fast`), which takes a sixth off a point SELECT; else None,
    for Python's own."""
    try:
        import uvloop
    except ImportError:
        return None
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory


async def serve(name: str, role: Role, stop_with_stdin: bool) -> None:
    """Start the role, announce it, wait for a reason to stop, stop it."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    if stop_with_stdin:
        loop.add_reader(sys.stdin.fileno(), _on_stdin, loop, stop)
    await role.start()
    print(f"ready {name} {role.announcement if isinstance(role, Announcing) else role.address}", flush=True)
    try:
        await stop.wait()
    finally:
        log.info("%s at %s stops", name, role.address)
        await role.stop()


def _on_stdin(loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> None:
    if not os.read(sys.stdin.fileno(), 4096):  # the end: the parent is gone
        loop.remove_reader(sys.stdin.fileno())
        stop.set()
