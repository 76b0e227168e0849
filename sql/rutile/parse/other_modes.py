"""Text written under ANSI_QUOTES or NO_BACKSLASH_ESCAPES, rewritten as the default mode has it.

Rewriting the text keeps every cache and the parser to one way of writing.
"""

from __future__ import annotations

import re

from rutile.parse.executable_comments import with_executed
from rutile.rows.sql_modes import SqlModes

_PIECE = re.compile(
    r"""
    (?P<comment> --(?=\s|$)[^\n]* | \#[^\n]* | /\*.*?\*/ )
  | (?P<name> `(?:[^`]|``)*` )
  | (?P<single> '(?:[^']|'')*' )
  | (?P<double> "(?:[^"]|"")*" )
    """,
    re.VERBOSE | re.DOTALL,
)
"""What may hold quotes, a backslash being a character like any other."""
_ESCAPED = re.compile(
    _PIECE.pattern.replace("[^']|''", r"[^'\\]|\\.|''").replace('[^"]|""', r'[^"\\]|\\.|""'), re.VERBOSE | re.DOTALL
)


def split_other(sql: str, modes: SqlModes) -> list[str]:
    """The statements of a script written under these modes, as written; empty ones left out."""
    pieces = _ESCAPED if modes.backslash_escapes else _PIECE
    # Outside of quotes and comments nothing holds a semicolon: what they hold is blanked out, then the rest is cut.
    blank = pieces.sub(lambda piece: " " * (piece.end() - piece.start()), sql)
    ends = [at for at, letter in enumerate(blank) if letter == ";"]
    starts = [0, *(end + 1 for end in ends)]
    found = [sql[start:end] for start, end in zip(starts, [*ends, len(sql)], strict=True)]
    return [text.strip() for text in found if text.strip()]


def in_default_mode(sql: str, modes: SqlModes) -> str:
    """The same statement, as it is written under the default modes and without executable comments."""
    if modes.plain_text:
        return with_executed(sql)

    def rewrite(piece: re.Match[str]) -> str:
        kind, text = piece.lastgroup, piece.group()
        if kind == "double" and modes.ansi_quotes:
            name = text[1:-1].replace('""', '"').replace("`", "``")
            return f"`{name}`"
        if kind in ("single", "double") and not modes.backslash_escapes:
            return text.replace("\\", "\\\\")
        return text

    return with_executed((_ESCAPED if modes.backslash_escapes else _PIECE).sub(rewrite, sql))
