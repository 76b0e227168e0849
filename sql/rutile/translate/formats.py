"""Date formats. sqlglot has already turned MySQL's codes into Python's; what DuckDB reads otherwise is told apart here.

| MySQL | here  | meaning                        | MySQL | here | meaning                                   |
|-------|-------|--------------------------------|-------|------|-------------------------------------------|
| %c    | %-m   | month, 1..12                   | %D    | %D   | day with its ending: 1st, 2nd             |
| %e    | %-d   | day, 1..31                     | %U    | %U   | week, 00..53, from Sunday                 |
| %k    | %-H   | hour, 0..23                    | %u    | %W   | week, 00..53, from Monday                 |
| %l    | %-I   | hour, 1..12                    | %V    | %V   | week, 01..53, from Sunday                 |
| %i    | %M    | minutes                        | %v    | %v   | week, 01..53, from Monday (ISO)           |
| %M    | %B    | January..December              | %x    | %G   | the year that %v belongs to               |
| %W    | %A    | Sunday..Saturday               | %X    |      | not known                                 |
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


def duckdb_format(pattern: str) -> str:
    """The format for strptime. Raises SqlError 1235 for codes that only say how to write."""
    pieces = list(format_pieces(pattern))
    if any(piece in SPECIAL_CODES.values() for piece in pieces):
        raise not_supported(f"reading dates with the format {pattern}")
    return "".join(pieces)
