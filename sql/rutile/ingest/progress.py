"""A progress bar for long work: rows done, rows a second, time to go. Silent unless standard error is a terminal."""

from __future__ import annotations

import sys
import time
from typing import TextIO

WIDTH = 30
REDRAW_S = 0.1


class Progress:
    """Counts rows; draws at most ten times a second."""

    def __init__(self, what: str, total: int | None, out: TextIO = sys.stderr) -> None:
        self._what = what
        self._total = total
        self._out = out
        self._drawn_at = 0.0
        self._started = time.monotonic()
        self._skipped = 0
        self.rows = 0

    @property
    def seconds(self) -> float:
        """Since the start."""
        return max(1e-9, time.monotonic() - self._started)

    @property
    def speed(self) -> float:
        """Rows a second."""
        return (self.rows - self._skipped) / self.seconds

    def add(self, rows: int, *, skipped: bool = False) -> None:
        """`rows` more are done; `skipped` ones were done before, and say nothing of the speed."""
        self.rows += rows
        if skipped:
            self._skipped += rows
        if self._out.isatty() and time.monotonic() - self._drawn_at >= REDRAW_S:
            self._draw()

    def close(self) -> None:
        """Draw the end and move to the next line."""
        if self._out.isatty():
            self._draw()
            self._out.write("\n")

    def _draw(self) -> None:
        self._drawn_at = time.monotonic()
        speed = self.speed
        if self._total:
            done = min(1.0, self.rows / self._total)
            bar = "#" * round(done * WIDTH)
            left = (self._total - self.rows) / speed if speed else 0.0
            head = f"[{bar:<{WIDTH}}] {done:4.0%}  ETA {left:3.0f}s"
        else:
            head = "[reading]"
        self._out.write(f"\r{self._what:<12} {head}  {self.rows:,} rows  {speed:,.0f} rows/s ")
        self._out.flush()
