"""Cuts a text file into records of fields as LOAD DATA says, piece by piece as it arrives."""

from __future__ import annotations

import re
from collections.abc import Iterator

from rutile.mysql.load_statement import Format

Record = list[str | None]
_ESCAPES = {"0": "\0", "b": "\b", "n": "\n", "r": "\r", "t": "\t", "Z": "\x1a"}


class RecordReader:
    """`feed` gives the records that are complete, `finish` what is left. An unfinished one is kept as text."""

    def __init__(self, form: Format) -> None:
        self._form = form
        self._left = ""
        marks = [("line", form.line_end), ("field", form.field_end), ("quote", form.enclosed)]
        parts = [f"(?P<{name}>{re.escape(text)})" for name, text in marks if text]
        if form.escape:
            parts.insert(0, f"(?P<escaped>{re.escape(form.escape)}.)")
        self._marks = re.compile("|".join(parts), re.DOTALL)

    @property
    def kept_characters(self) -> int:
        """How much of an unfinished record is kept."""
        return len(self._left)

    def feed(self, text: str) -> Iterator[Record]:
        """The records that `text` completes."""
        text, self._left = self._left + text, ""
        start = 0
        while (found := self._record(text, start)) is not None:
            record, start = found
            if record is not None:
                yield record
        self._left = text[start:]

    def finish(self) -> Iterator[Record]:
        """The last record, where the file does not end with a line's end."""
        if self._left:
            yield from self.feed(self._form.line_end)

    def _record(self, text: str, start: int) -> tuple[Record | None, int] | None:
        """(the record at `start`, where the next begins); None while it is unfinished."""
        begin = start
        if self._form.line_start:
            begin = text.find(self._form.line_start, start)
            if begin < 0:
                end = text.find(self._form.line_end, start)
                return None if end < 0 else (None, end + len(self._form.line_end))
            begin += len(self._form.line_start)
        return self._fields(text, begin)

    def _fields(self, text: str, begin: int) -> tuple[Record, int] | None:
        fields: Record = []
        parts: list[str] = []
        position, in_quotes, was_quoted = begin, False, False
        field_begin = begin
        for mark in self._marks.finditer(text, begin):
            if mark.start() < position:
                continue  # the second of two quotes
            kind = mark.lastgroup
            if kind == "quote" and not in_quotes and (mark.start() != field_begin):
                continue  # within an unquoted field it is a character like others
            if in_quotes and kind in ("line", "field"):
                continue
            parts.append(text[position : mark.start()])
            position = mark.end()
            if kind == "escaped":
                parts.append(_unescaped(mark.group()[-1]))
            elif kind == "quote":
                if in_quotes and text.startswith(self._form.enclosed, position):
                    parts.append(self._form.enclosed)
                    position += len(self._form.enclosed)
                else:
                    in_quotes, was_quoted = not in_quotes, True
            else:
                fields.append(self._value(text[field_begin : mark.start()], parts, was_quoted))
                parts, was_quoted, field_begin = [], False, position
                if kind == "line":
                    return fields, position
        return None

    def _value(self, raw: str, parts: list[str], was_quoted: bool) -> str | None:
        if not was_quoted and (
            (self._form.escape and raw == f"{self._form.escape}N") or (self._form.enclosed and raw == "NULL")
        ):
            return None
        return "".join(parts)


def _unescaped(character: str) -> str:
    return _ESCAPES.get(character, character)
