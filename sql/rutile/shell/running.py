"""Runs a statement so that ^C stops it and not the session, with a sign of life while it takes long."""

from __future__ import annotations

import concurrent.futures
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, TextIO

from rutile.dbapi import Connection

LOOK_S = 0.1
"""How often the waiting thread looks up: whether ^C was pressed, and at the clock for the progress line."""
PROGRESS_AFTER_S = 0.5
_WHEEL = "|/-\\"


@dataclass(frozen=True)
class Outcome:
    """What a statement gave. `names` is None for one without a result set."""

    names: list[str] | None
    rows: list[tuple[Any, ...]]
    affected_rows: int
    seconds: float
    interrupted: bool = False
    """Whether ^C was pressed, too late to stop it."""


def run(connection: Connection, sql: str, progress: TextIO | None = None) -> Outcome:
    """Run `sql` in a thread and wait. ^C asks the database to stop it, which then raises OperationalError 1317.

    `progress` is a terminal to draw on. Raises what the connection raises.
    """
    future: concurrent.futures.Future[Outcome] = concurrent.futures.Future()
    threading.Thread(target=_work, args=(connection, sql, future), name="statement", daemon=True).start()
    line = _ProgressLine(progress)
    with _interrupts() as interrupted:
        while not concurrent.futures.wait([future], LOOK_S).done:
            if interrupted.is_set():
                connection.cancel()  # again and again: the statement may not have begun
            line.draw()
        line.clear()
    return replace(future.result(), interrupted=interrupted.is_set())


@contextmanager
def _interrupts() -> Iterator[threading.Event]:
    """An event that ^C sets instead of raising KeyboardInterrupt somewhere. In the main thread; elsewhere it stays."""
    event = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield event
        return
    before = signal.signal(signal.SIGINT, lambda *_: event.set())
    try:
        yield event
    finally:
        signal.signal(signal.SIGINT, before)


def _work(connection: Connection, sql: str, future: concurrent.futures.Future[Outcome]) -> None:
    try:
        started = time.perf_counter()
        cursor = connection.execute(sql)
        seconds = time.perf_counter() - started
        if cursor.description is None:
            outcome = Outcome(None, [], max(0, cursor.rowcount), seconds)
        else:
            outcome = Outcome([column[0] for column in cursor.description], cursor.fetchall(), 0, seconds)
    except BaseException as error:
        future.set_exception(error)
    else:
        future.set_result(outcome)


class _ProgressLine:
    """How long a statement has been running, on the terminal's current line."""

    def __init__(self, out: TextIO | None) -> None:
        self._out = out
        self._started = time.monotonic()
        self._drawn = 0

    def draw(self) -> None:
        seconds = time.monotonic() - self._started
        if self._out is None or seconds < PROGRESS_AFTER_S:
            return
        wheel = _WHEEL[self._drawn % len(_WHEEL)]
        self._drawn += 1
        self._out.write(f"\r{wheel} running for {seconds:.1f} s (^C stops the statement) ")
        self._out.flush()

    def clear(self) -> None:
        if self._out is not None and self._drawn:
            self._out.write("\r\x1b[K")
            self._out.flush()
