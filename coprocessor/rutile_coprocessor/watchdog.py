"""Stops queries: at their deadline, when somebody cancels them, or when the process grows by more than they may use.

Most of what a query takes comes out of DuckDB's own limit. Texts and lists in the vector at hand do not; so while
queries run the process's memory is looked at now and then, and those are stopped during which it grew too much.

One daemon thread serves all runs of the process. A run whose time has come is interrupted again and again until it
ends, because an interrupt that arrives a moment before the engine starts would be lost.
"""

from __future__ import annotations

import mmap
import threading
import time
from collections.abc import Callable
from pathlib import Path

REPEAT_SECONDS = 0.05
DEADLINE_REASON = "its deadline has passed"
MEMORY_REASON = "the process grew too much while it ran: make smaller texts and lists"
LOOK_SECONDS = 0.1
"""How often the process's memory is looked at while queries with a limit run."""
STATM = Path("/proc/self/statm")


def own_memory_bytes() -> int:
    """Memory of this process that is in no file; 0 where the system does not tell."""
    try:
        resident, shared = STATM.read_text().split()[1:3]
    except FileNotFoundError:
        return 0
    return (int(resident) - int(shared)) * mmap.PAGESIZE


class CancelToken:
    """Handed to a run, kept by whoever may want to stop it. Thread-safe; cancelling twice or too late does nothing."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._listeners: list[Callable[[str], None]] = []
        self.reason: str | None = None
        """Why it was cancelled; None as long as it was not."""

    def cancel(self, reason: str) -> None:
        """Stops the run soon. `reason` goes into the error the run ends with."""
        with self._lock:
            if self.reason is not None:
                return
            self.reason = reason
            listeners = tuple(self._listeners)
        for listener in listeners:
            listener(reason)

    def subscribe(self, listener: Callable[[str], None]) -> None:
        """Calls `listener` with the reason when cancelled; at once if that has happened."""
        with self._lock:
            self._listeners.append(listener)
            reason = self.reason
        if reason is not None:
            listener(reason)


class Watchdog:
    """Keeps the due times of all runs; see the module."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._guards: list[Guard] = []
        self._thread: threading.Thread | None = None

    def add(self, guard: Guard) -> None:
        with self._changed:
            self._guards.append(guard)
            if self._thread is None:
                self._thread = threading.Thread(target=self._serve, name="fragment-watchdog", daemon=True)
                self._thread.start()
            self._changed.notify()

    def remove(self, guard: Guard) -> None:
        """When this returns, the guard interrupts no more."""
        with self._changed:
            self._guards.remove(guard)

    def hurry(self) -> None:
        """Looks at the due times again."""
        with self._changed:
            self._changed.notify()

    def _serve(self) -> None:
        with self._changed:
            while True:
                due = min((guard.look_at for guard in self._guards), default=None)
                wait = None if due is None else due - time.monotonic()
                if wait is None or wait > 0:
                    self._changed.wait(None if wait is None else min(wait, threading.TIMEOUT_MAX))
                    continue
                memory_bytes = own_memory_bytes()
                for guard in self._guards:
                    guard.check_memory(memory_bytes)
                    guard.fire_if_due(time.monotonic())


WATCHDOG = Watchdog()


class Guard:
    """Watches one run from `with` to its end. `reason` says why it was stopped, and is None if it was not."""

    def __init__(
        self,
        interrupt: Callable[[], None],
        timeout_seconds: float | None,
        cancel: CancelToken | None,
        growth_bytes: int | None = None,
    ) -> None:
        """`growth_bytes`: by how much the process may grow meanwhile."""
        self._interrupt = interrupt
        self._most_bytes = None if growth_bytes is None else own_memory_bytes() + growth_bytes
        self._next_look = float("inf") if growth_bytes is None else time.monotonic() + LOOK_SECONDS
        self._cancel = cancel
        self.due = float("inf") if timeout_seconds is None else time.monotonic() + timeout_seconds
        self.reason: str | None = None

    @property
    def look_at(self) -> float:
        """When the watchdog is to look at it next."""
        return min(self.due, self._next_look)

    def check_memory(self, memory_bytes: int) -> None:
        if self._most_bytes is None:
            return
        self._next_look = time.monotonic() + LOOK_SECONDS
        if memory_bytes > self._most_bytes:
            self.reason = self.reason or MEMORY_REASON
            self.due = min(self.due, time.monotonic())

    def fire_if_due(self, now: float) -> None:
        if self.due <= now:
            self.reason = self.reason or DEADLINE_REASON
            self.due = now + REPEAT_SECONDS
            self._interrupt()

    def _stop(self, reason: str) -> None:
        self.reason = self.reason or reason
        self.due = time.monotonic()
        WATCHDOG.hurry()

    def __enter__(self) -> Guard:
        WATCHDOG.add(self)
        if self._cancel is not None:
            self._cancel.subscribe(self._stop)
        return self

    def __exit__(self, *error: object) -> None:
        WATCHDOG.remove(self)
