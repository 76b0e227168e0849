"""The roles as processes: what `rutile pd`, `rutile kv` and `rutile sql` run until they are told to stop.

A process says `ready <role> <address>` on standard output once it serves (`rutile sql` adds `mysql=<address>`), so that
whoever started it can wait for that line; everything else it has to say goes to the log on standard error. SIGTERM and
SIGINT stop it cleanly. With `--stop-with-stdin` the end of its standard input does too: a parent that dies, however it
dies, takes it along. A store that has to give up, because its disk is full or broken, ends the process with the reason
and exit code 1: whoever looks after it sees that, and may start it again.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Callable
from typing import Protocol, runtime_checkable

from rutile_proto.errors import StorageError

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


@runtime_checkable
class Failing(Protocol):
    """A role that may stop serving by itself: StoreNode, and a SqlNode whose store is in this process."""

    async def wait_failed(self) -> Exception: ...


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
    """Start the role, announce it, wait for a reason to stop, stop it. Raises why the role gave up, if it did."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    if stop_with_stdin:
        loop.add_reader(sys.stdin.fileno(), _on_stdin, loop, stop)
    await role.start()
    print(f"ready {name} {role.announcement if isinstance(role, Announcing) else role.address}", flush=True)
    failure = None
    try:
        failure = await _reason_to_stop(role, stop)
    finally:
        log.info("%s at %s stops", name, role.address)
        await _stop(role, failure)
    if failure is not None:
        raise failure


async def _stop(role: Role, failure: Exception | None) -> None:
    """What stopping complains about is of no interest beside what made it necessary."""
    try:
        await role.stop()
    except StorageError as error:
        if failure is None:
            raise
        log.warning("%s did not close well: %s", role.address, error)


async def _reason_to_stop(role: Role, stop: asyncio.Event) -> Exception | None:
    """Returns when the role is to stop; with what made it, if nobody asked."""
    if not isinstance(role, Failing):
        await stop.wait()
        return None
    stopping, failing = asyncio.ensure_future(stop.wait()), asyncio.ensure_future(role.wait_failed())
    try:
        await asyncio.wait([stopping, failing], return_when=asyncio.FIRST_COMPLETED)
        return failing.result() if failing.done() else None
    finally:
        stopping.cancel()
        failing.cancel()


def _on_stdin(loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> None:
    if not os.read(sys.stdin.fileno(), 4096):  # the end: the parent is gone
        loop.remove_reader(sys.stdin.fileno())
        stop.set()
