"""Comments that are to be run: `/*!50100 PARTITION BY ... */` in a dump, `/*T![auto_rand] AUTO_RANDOM(5) */` in TiDB's.

What they hold counts as written if the version is not above the one this server says it is, or if it is a feature of
TiDB's that Rutile has; otherwise they stay comments. MariaDB's own (`/*M! ... */`) stay comments too.
"""

from __future__ import annotations

import re

VERSION = 80_011
"""Of MySQL, as in the server's version string."""
FEATURES = frozenset({"auto_rand"})
"""Of TiDB."""
_PIECE = re.compile(
    r"""
    (?P<quoted> '(?:[^'\\]|\\.|'')*' | "(?:[^"\\]|\\.|"")*" | `(?:[^`]|``)*` )
  | (?P<versioned> /\*!(?P<version>\d{5,6})? )
  | (?P<feature> /\*T!\[(?P<names>[\w, ]*)\] )
  | (?P<comment> --(?=\s|$)[^\n]* | \#[^\n]* | /\*.*?\*/ )
  | (?P<end> \*/ )
    """,
    re.VERBOSE | re.DOTALL,
)


def with_executed(sql: str) -> str:
    """The text with the marks around what is to be run taken away, everything else as it is."""
    if "/*!" not in sql and "/*T!" not in sql:
        return sql
    parts, position, is_open = [], 0, False
    while (piece := _PIECE.search(sql, position)) is not None:
        kind = piece.lastgroup
        kept, end = piece.group(), piece.end()
        if kind in ("versioned", "feature") and not _runs(piece):
            end = (sql.find("*/", end) + 2) if "*/" in sql[end:] else len(sql)
            kept = " "
        elif kind in ("versioned", "feature") or (kind == "end" and is_open):
            kept, is_open = " ", kind != "end"
        parts += [sql[position : piece.start()], kept]
        position = end
    return "".join(parts) + sql[position:]


def _runs(opening: re.Match[str]) -> bool:
    if opening["names"] is not None:
        return {name.strip() for name in opening["names"].split(",")} <= FEATURES
    return int(opening["version"] or 0) <= VERSION
