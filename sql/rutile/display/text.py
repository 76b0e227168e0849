"""One value as text."""

from __future__ import annotations

import datetime
import unicodedata
from decimal import Decimal

ELLIPSIS = "…"
_CONTROL = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def text_of(value: object) -> str:
    """A value as MySQL's client prints it: NULL, dates and times without decoration, bytes as 0x..."""
    match value:
        case None:
            return "NULL"
        case bool():
            return str(int(value))
        case bytes():
            return "0x" + value.hex().upper()
        case datetime.timedelta():
            return _time_text(value)
        case float():
            return repr(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
    return str(value)


def _time_text(value: datetime.timedelta) -> str:
    total = value // datetime.timedelta(microseconds=1)
    sign, total = ("-", -total) if total < 0 else ("", total)
    seconds, fraction = divmod(total, 1_000_000)
    tail = f".{fraction:06d}" if fraction else ""
    return f"{sign}{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}{tail}"


def is_number(value: object) -> bool:
    """Whether a column of such values goes to the right; NULL does not speak against it."""
    return value is None or isinstance(value, int | float | Decimal)


def one_line(text: str) -> str:
    """`text` with its control characters written out: neither lines nor escape sequences break the table."""
    if text.isprintable():
        return text
    return "".join(_CONTROL.get(c, c if c.isprintable() else f"\\x{ord(c):02x}") for c in text)


def width_of(text: str) -> int:
    """Columns of a terminal that `text` takes: East Asian wide characters take two, combining marks none."""
    if text.isascii():
        return len(text)
    return sum(_width(c) for c in text)


def _width(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in ("W", "F") else 1


def cut(text: str, width: int) -> str:
    """`text` in at most `width` columns, an ellipsis for what is left out."""
    if width_of(text) <= width:
        return text
    kept, used = [], 1
    for character in text:
        used += _width(character)
        if used > width:
            break
        kept.append(character)
    return "".join(kept) + ELLIPSIS


def padded(text: str, width: int, *, right: bool = False) -> str:
    """`text` filled up with blanks to `width` columns."""
    blanks = " " * (width - width_of(text))
    return blanks + text if right else text + blanks
