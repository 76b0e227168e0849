"""DuckDB, opened by the first run in its worker thread: the macros alone take a tenth of a second of processor, and a
front end whose statements name their rows, or are run whole in a store, has no use for it."""

from __future__ import annotations

import shutil
import threading

from rutile_coprocessor.execute import Executor, Spill


class LateExecutor:
    """Makes one executor at most. `close` it in the end, whether it was made or not."""

    def __init__(self, memory_bytes: int, threads: int, spill: Spill | None = None) -> None:
        self._limits = memory_bytes, threads
        self._spill = spill
        self._mutex = threading.Lock()
        self._executor: Executor | None = None

    def get(self) -> Executor:
        """The executor; call it in the thread that is going to run something."""
        with self._mutex:
            if self._executor is None:
                if self._spill is not None:  # what a process before this one left behind
                    shutil.rmtree(self._spill.directory, ignore_errors=True)
                self._executor = Executor(*self._limits, self._spill)
            return self._executor

    def close(self) -> None:
        with self._mutex:
            if self._executor is not None:
                self._executor.close()
