"""Formats that take rows as they come."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Sequence
from typing import Any, TextIO

from rutile.display.text import padded, text_of, width_of


def write_csv(names: Sequence[str], rows: Iterable[tuple[Any, ...]], out: TextIO) -> None:
    """RFC 4180 with a header; NULL is an empty field."""
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(names)
    writer.writerows(["" if value is None else text_of(value) for value in row] for row in rows)


def write_json(names: Sequence[str], rows: Iterable[tuple[Any, ...]], out: TextIO) -> None:
    """An array of objects, one a line; decimals and dates as text, so that nothing is rounded."""
    lines = (json.dumps(dict(zip(names, map(_json_value, row), strict=True)), ensure_ascii=False) for row in rows)
    out.write("[" + ",\n ".join(lines) + "]\n")


def _json_value(value: object) -> object:
    return value if value is None or isinstance(value, int | float | str) else text_of(value)


def write_lines(names: Sequence[str], rows: Iterable[tuple[Any, ...]], out: TextIO) -> None:
    """One field a line, as MySQL's `\\G`: for rows that are wider than the terminal."""
    width = max(map(width_of, names), default=0)
    for number, row in enumerate(rows, start=1):
        out.write(f"{f' {number}. row ':*^64}\n")
        out.writelines(
            f"{padded(name, width, right=True)}: {text_of(value)}\n" for name, value in zip(names, row, strict=True)
        )
