"""`Room`: builders of bases wait for whoever writes them to disk, when half the budget is taken by what is not there.

One round of writing may have begun before the builder came, so it waits for the end of the second. What is in memory
then is there to stay (the disk refuses, or is full), and waiting longer would not help.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from rutile_kv.columnar.building import WAIT_SECONDS
from rutile_kv.columnar.rows import Check

ENOUGH_ROUNDS = 2


class Room:
    """Belongs to a cache, and shares its mutex."""

    def __init__(self, mutex: threading.Lock) -> None:
        self._changed = threading.Condition(mutex)
        self._rounds = 0
        self.is_kept = False
        """Whether somebody writes at all."""

    def tell(self, is_kept: bool) -> None:
        """A round of writing is over; whether there will be others."""
        with self._changed:
            self._rounds += 1
            self.is_kept = is_kept
            self._changed.notify_all()

    def wait(self, is_pressed: Callable[[], bool], check: Check) -> None:
        """Until it is not `is_pressed` (asked under the mutex) any more, or nothing more can be done."""
        with self._changed:
            enough = self._rounds + ENOUGH_ROUNDS
            while is_pressed() and self.is_kept and self._rounds < enough:
                self._changed.wait(WAIT_SECONDS)
                check(0)
