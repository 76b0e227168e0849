"""A table for notebooks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

from rutile.display.text import is_number, text_of


def html_table(names: Sequence[str], rows: Iterable[tuple[Any, ...]], caption: str = "") -> str:
    """An HTML table; everything that came from the database is escaped."""
    head = "".join(f"<th>{escape(name)}</th>" for name in names)
    body = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in rows)
    below = f"<caption>{escape(caption)}</caption>" if caption else ""
    return f"<table>{below}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _cell(value: object) -> str:
    align = ' style="text-align:right"' if value is not None and is_number(value) else ""
    text = "<em>NULL</em>" if value is None else escape(text_of(value))
    return f"<td{align}>{text}</td>"
