"""The skeleton of a short SELECT: its text with whole numbers taken out, by one substitution.

`rutile.parse.lexer.shape_of` looks at every token. Most point statements of clients without prepared statements differ
in a number alone, and one regular expression finds it: two texts of one skeleton have one shape, because nothing but
digits differs, and digits after neither a letter nor a point are one number, whatever they are. What else may hide
digits (strings, quoted names, comments) has no skeleton.
"""

from __future__ import annotations

import re

MAX_CHARACTERS = 1_024
"""Longer texts are not worth a second look."""
_SELECT = re.compile(r"\s*select\b", re.IGNORECASE)
_HIDES_DIGITS = re.compile(r"""['"`#;\\@]|--|/\*""")
_NUMBER = re.compile(r"(?<![\w$.])\d+(?![\w$.])")


def skeleton_of(sql: str) -> tuple[str, tuple[int, ...]] | None:
    """(the text with `?` for each whole number, the numbers); None for other texts than short, plain SELECTs."""
    if len(sql) > MAX_CHARACTERS or not _SELECT.match(sql) or _HIDES_DIGITS.search(sql) or "?" in sql:
        return None
    return _NUMBER.sub("?", sql), tuple(map(int, _NUMBER.findall(sql)))
