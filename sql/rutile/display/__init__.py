"""Results as text: what the shell prints, what a result says of itself, what `rutile ctl` lists.

    text.py       one value as MySQL's client prints it; how wide it is on a terminal
    boxes.py      tables in boxes, fitted to a width: `table` (MySQL's ASCII), `box` (lines), `markdown`
    streams.py    csv, json, and `line`: one field a line
    html.py       a table for notebooks

A writer takes names, rows and an open file; nothing here knows a connection. Text that is fitted loses its middle
columns' ends to an ellipsis, never a row or a column: whoever wants all of it asks for `line`, `csv` or `json`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TextIO, TypeAlias

from rutile.display.boxes import write_box, write_markdown, write_table
from rutile.display.html import html_table
from rutile.display.streams import write_csv, write_json, write_lines
from rutile.display.text import text_of

Writer: TypeAlias = Callable[[Sequence[str], Iterable[tuple[Any, ...]], TextIO], None]
WRITERS: dict[str, Writer] = {
    "table": write_table, "box": write_box, "markdown": write_markdown,
    "line": write_lines, "csv": write_csv, "json": write_json,
}  # fmt: skip
"""By the name the shell's `.mode` knows."""
FITTED = frozenset(("table", "box"))
"""Those that take `width`: they are for eyes, the others for programs."""

__all__ = [
    "FITTED", "WRITERS", "Writer", "html_table", "text_of", "write_box", "write_csv", "write_json", "write_lines",
    "write_markdown", "write_table",
]  # fmt: skip
