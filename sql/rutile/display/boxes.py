"""Tables in boxes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TextIO

from rutile.display.text import cut, is_number, one_line, padded, text_of, width_of

MIN_COLUMN_WIDTH = 4
"""A fitted column is never narrower, even if the table is wider than the terminal then."""


@dataclass(frozen=True)
class _Style:
    """The characters of a box; a rule is (left, middle, right)."""

    line: str
    side: str
    top: tuple[str, str, str] | None
    middle: tuple[str, str, str]
    bottom: tuple[str, str, str] | None


_ASCII = _Style("-", "|", ("+", "+", "+"), ("+", "+", "+"), ("+", "+", "+"))
_LINES = _Style("─", "│", ("┌", "┬", "┐"), ("├", "┼", "┤"), ("└", "┴", "┘"))
_MARKDOWN = _Style("-", "|", None, ("|", "|", "|"), None)


def write_table(
    names: Sequence[str], rows: Iterable[tuple[Any, ...]], out: TextIO, *, width: int | None = None
) -> None:
    """A box as MySQL's client draws it, numbers to the right; in `width` columns if that can be."""
    _write(_ASCII, names, rows, out, width)


def write_box(names: Sequence[str], rows: Iterable[tuple[Any, ...]], out: TextIO, *, width: int | None = None) -> None:
    """A box of drawn lines."""
    _write(_LINES, names, rows, out, width)


def write_markdown(names: Sequence[str], rows: Iterable[tuple[Any, ...]], out: TextIO) -> None:
    """A table as GitHub reads it: a bar in a value is escaped."""
    escaped = [tuple(text_of(value).replace("|", "\\|") if _has_bar(value) else value for value in row) for row in rows]
    _write(_MARKDOWN, [name.replace("|", "\\|") for name in names], escaped, out, None)


def _has_bar(value: object) -> bool:
    return isinstance(value, str) and "|" in value


def _write(
    style: _Style, names: Sequence[str], rows: Iterable[tuple[Any, ...]], out: TextIO, width: int | None
) -> None:
    rows = list(rows)
    heads = [one_line(name) for name in names]
    cells = [[one_line(text_of(value)) for value in row] for row in rows]
    widths = _widths(heads, cells)
    if width is not None:
        widths = fitted(widths, width)
        heads = [cut(head, limit) for head, limit in zip(heads, widths, strict=True)]
        cells = [[cut(cell, limit) for cell, limit in zip(row, widths, strict=True)] for row in cells]
    right = [_is_numeric([row[i] for row in rows]) for i in range(len(names))]
    if style.top:
        out.write(_rule(style, style.top, widths))
    out.write(_line(style, heads, widths, [False] * len(heads)))
    out.write(_rule(style, style.middle, widths))
    out.writelines(_line(style, row, widths, right) for row in cells)
    if style.bottom and cells:
        out.write(_rule(style, style.bottom, widths))


def _widths(heads: Sequence[str], cells: Sequence[Sequence[str]]) -> list[int]:
    widths = [width_of(head) for head in heads]
    for row in cells:
        widths = [max(width, width_of(cell)) for width, cell in zip(widths, row, strict=True)]
    return widths


def fitted(widths: Sequence[int], total: int) -> list[int]:
    """Column widths that fill at most `total` columns with their borders: the widest give first, down to a minimum."""
    room = total - 3 * len(widths) - 1
    result = list(widths)
    excess = sum(result) - room
    while excess > 0:
        widest = max(result)
        if widest <= MIN_COLUMN_WIDTH:
            break
        at_widest = [i for i, each in enumerate(result) if each == widest]
        next_width = max((each for each in result if each < widest), default=MIN_COLUMN_WIDTH)
        step = max(1, min(widest - max(next_width, MIN_COLUMN_WIDTH), excess // len(at_widest)))
        for i in at_widest[: max(1, excess)]:
            result[i] -= step
        excess = sum(result) - room
    return result


def _rule(style: _Style, ends: tuple[str, str, str], widths: Sequence[int]) -> str:
    left, middle, right = ends
    return left + middle.join(style.line * (width + 2) for width in widths) + right + "\n"


def _line(style: _Style, cells: Sequence[str], widths: Sequence[int], right: Sequence[bool]) -> str:
    filled = (padded(c, w, right=r) for c, w, r in zip(cells, widths, right, strict=True))
    return f"{style.side} " + f" {style.side} ".join(filled) + f" {style.side}\n"


def _is_numeric(values: Sequence[object]) -> bool:
    """Whether a column goes to the right: numbers, and not NULLs alone."""
    return all(map(is_number, values)) and any(value is not None for value in values)
