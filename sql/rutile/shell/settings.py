"""What a user of the shell can turn."""

from __future__ import annotations

from dataclasses import dataclass

from rutile.display import WRITERS

FORMATS = tuple(WRITERS)


@dataclass
class Settings:
    """How results are shown."""

    format: str = "table"
    timer: bool = True
    chatty: bool = True
    """Whether each statement is answered with a line: row counts, times."""
    pager: bool = True
    """Whether long results go through a pager, where there is a terminal."""
    force: bool = False
    """Whether a script goes on after an error."""
