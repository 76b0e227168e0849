"""Where results go: the terminal (fitted to it, through a pager when long), a pipe, or a file."""

from __future__ import annotations

import io
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TextIO

from rutile.display import FITTED, WRITERS, write_box, write_lines, write_table
from rutile.display.boxes import MIN_COLUMN_WIDTH
from rutile.shell.settings import Settings

DEFAULT_PAGER = "less -SFRX"
LINES_AROUND = 4
"""Lines of a screen that are kept for the prompt and what is said after a result."""


class Output:
    """Writes results and remarks; `.output FILE` turns results to a file."""

    def __init__(self, settings: Settings, out: TextIO) -> None:
        self._settings = settings
        self._screen = out
        self._file: TextIO | None = None

    @property
    def is_terminal(self) -> bool:
        """Whether somebody looks at what is written."""
        return self._file is None and self._screen.isatty()

    def redirect(self, path: Path | None) -> None:
        """Results go to `path` from now on, or (None) back to where they went. Raises OSError."""
        opened = path.expanduser().open("w", encoding="utf-8") if path is not None else None
        self.close()
        self._file = opened

    def close(self) -> None:
        """Close the file, if results go to one."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def say(self, text: str) -> None:
        """A remark for whoever sits there; it never goes into a result file."""
        self._screen.write(text + "\n")
        self._screen.flush()

    def result(self, names: Sequence[str], rows: Sequence[tuple[Any, ...]], *, vertical: bool = False) -> None:
        """Show a result set in the format that is set; one field a line if `vertical`."""
        fmt = "line" if vertical else self._settings.format
        if not self.is_terminal:
            WRITERS[fmt](names, rows, self._file or self._screen)
            (self._file or self._screen).flush()
            return
        size = shutil.get_terminal_size()
        if self._is_paged and len(rows) + LINES_AROUND > size.lines:
            self._page(_rendered(fmt, names, rows, None))
            return
        self._show(_rendered(fmt, names, rows, size.columns), size.lines)

    def text(self, text: str) -> None:
        """Show text that is a result: a plan, a definition."""
        if self.is_terminal:
            self._show(text, shutil.get_terminal_size().lines)
            return
        (self._file or self._screen).write(text)

    def _show(self, text: str, lines: int) -> None:
        if self._is_paged and text.count("\n") + LINES_AROUND > lines:
            self._page(text)
            return
        self._screen.write(text)
        self._screen.flush()

    @property
    def _is_paged(self) -> bool:
        return self._settings.pager and self._screen is sys.stdout and bool(pager_command())

    def _page(self, text: str) -> None:
        environment = {"LESSCHARSET": "utf-8", **os.environ}
        with subprocess.Popen(pager_command(), stdin=subprocess.PIPE, text=True, env=environment) as pager:
            assert pager.stdin is not None
            try:
                pager.stdin.write(text)
                pager.stdin.close()
            except BrokenPipeError:
                pass  # closed before the end: the reader has seen enough
            _wait_through_interrupts(pager)


def _wait_through_interrupts(pager: subprocess.Popen[str]) -> None:
    """^C at a pager is the pager's."""
    while True:
        try:
            pager.wait()
            return
        except KeyboardInterrupt:
            continue


def pager_command() -> list[str]:
    """$PAGER, or less if it is installed; empty: there is none."""
    words = shlex.split(os.environ.get("PAGER", DEFAULT_PAGER))
    return words if words and shutil.which(words[0]) else []


def _rendered(fmt: str, names: Sequence[str], rows: Sequence[tuple[Any, ...]], width: int | None) -> str:
    out = io.StringIO()
    if fmt not in FITTED or width is None:
        WRITERS[fmt](names, rows, out)
    elif len(names) * (MIN_COLUMN_WIDTH + 3) + 1 > width:
        write_lines(names, rows, out)  # no table of so many columns can be read here
    else:
        (write_box if fmt == "box" else write_table)(names, rows, out, width=width)
    return out.getvalue()
