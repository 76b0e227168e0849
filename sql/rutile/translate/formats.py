"""Date formats. sqlglot has already turned MySQL's codes into Python's; what DuckDB reads otherwise is told apart here.

| MySQL | here  | meaning                        | MySQL | here | meaning                                   |
|-------|-------|--------------------------------|-------|------|-------------------------------------------|
| %c    | %-m   | month, 1..12                   | %D    | %D   | day with its ending: 1st, 2nd             |
| %e    | %-d   | day, 1..31                     | %U    | %U   | week, 00..53, from Sunday                 |
| %k    | %-H   | hour, 0..23                    | %u    | %W   | week, 00..53, from Monday                 |
| %l    | %-I   | hour, 1..12                    | %V    | %V   | week, 01..53, from Sunday                 |
| %i    | %M    | minutes                        | %v    | %v   | week, 01..53, from Monday (ISO)           |
| %M    | %B    | January..December              | %x    | %G   | the year that %v belongs to               |
| %W    | %A    | Sunday..Saturday               | %X    | %X   | the year that %V belongs to               |
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from rutile.errors import not_supported

PLAIN_CODES = frozenset(
    [
        "%a",
        "%b",
        "%-m",
        "%d",
        "%-d",
        "%f",
        "%H",
        "%-H",
        "%I",
        "%-I",
        "%j",
        "%M",
        "%B",
        "%m",
        "%p",
        "%S",
        "%w",
        "%A",
        "%Y",
        "%y",
        "%%",
    ]
)
SPECIAL_CODES = {"%D": "%D", "%U": "%U", "%W": "%u", "%V": "%V", "%v": "%v", "%G": "%x"}
_CODE = re.compile(r"%-?.|[^%]+|%$", re.DOTALL)


def format_pieces(pattern: str) -> Iterator[str]:
    """The format in runs strftime understands, and single special codes (as MySQL writes them) between them."""
    run = ""
    for code in _CODE.findall(pattern):
        if code in SPECIAL_CODES:
            if run:
                yield run
            run = ""
            yield SPECIAL_CODES[code]
        elif code in PLAIN_CODES or not code.startswith("%"):
            run += code
        else:
            raise not_supported(f"the format code {code}")
    if run:
        yield run


_MYSQL_CODES = {
    "%-m": "%c", "%-d": "%e", "%-H": "%k", "%-I": "%l", "%M": "%i", "%B": "%M", "%A": "%W", "%W": "%u", "%G": "%x",
}  # fmt: skip


def has_rare_codes(pattern: str) -> bool:
    """Whether the format needs MySQL's own writer: codes that are neither DuckDB's nor a macro's."""
    codes = [code for code in _CODE.findall(pattern) if code.startswith("%")]
    return any(code not in SPECIAL_CODES and code not in PLAIN_CODES for code in codes)


def mysql_format(pattern: str) -> str:
    """The format as it was written, in MySQL's codes."""
    return "".join(_MYSQL_CODES.get(code, code) for code in _CODE.findall(pattern))


def duckdb_format(pattern: str) -> str:
    """The format for strptime. Raises SqlError 1235 for codes that only say how to write."""
    pieces = list(format_pieces(pattern))
    if any(piece in SPECIAL_CODES.values() for piece in pieces):
        raise not_supported(f"reading dates with the format {pattern}")
    return "".join(pieces)
