"""CSV files to import: quickly if every line is good, or line by line where some may be left out.

    quick     Arrow's reader makes columns of the table's types; the first bad line ends it, with line and column
    careful   every field is read as text, then each column cast; lines with a field that cannot be are left out, as
              long as there are not more of them than `skip_bad`. Also for what Arrow's reader cannot cut: fields with
              escapes (MySQL's own form), separators of several characters

Lines are counted from 1, the header with them; a line break within quotes does not count.
"""

from __future__ import annotations

import codecs
import csv
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv

from rutile.ingest.fitting import cast_array
from rutile.ingest.import_source import BATCH_ROWS, Source, check_is_file, damaged
from rutile.mysql.load_statement import Format
from rutile.mysql.records import RecordReader
from rutile.pep249 import DataError
from rutile_coprocessor.schema import TableSchema

BLOCK_BYTES = 8 << 20
MAX_BAD_NOTED = 20
"""Bad lines told one by one."""


@dataclass(frozen=True)
class CsvOptions:
    """How a file is cut, and what of it is read."""

    names: tuple[str, ...] | None = None
    """The columns, for a file without a header line."""
    delimiter: str = ","
    quote: str = '"'
    escape: str = ""
    line_end: str = ""
    """Empty: LF or CRLF."""
    skip_lines: int = 0
    """Lines left out at the beginning, before a header."""
    nulls: tuple[str, ...] = ("", "NULL", "\\N")
    """Unquoted fields that mean NULL."""
    skip_bad: int = 0
    """So many bad lines may be left out."""

    @property
    def is_plain(self) -> bool:
        """Whether Arrow's reader can cut it."""
        return len(self.delimiter) == 1 and len(self.quote) <= 1 and not self.escape and self.line_end in ("", "\n")

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @staticmethod
    def from_json(body: dict[str, Any]) -> CsvOptions:
        names = body["names"]
        return CsvOptions(**{**body, "names": None if names is None else tuple(names), "nulls": tuple(body["nulls"])})


@dataclass(frozen=True, slots=True)
class BadLine:
    """A line that was left out, and why."""

    line: int
    reason: str


@dataclass
class CsvSource(Source):
    """Column types come from the table when it exists, else from the first block of the file."""

    path: Path = Path()
    options: CsvOptions = field(default_factory=CsvOptions)
    types: dict[str, pa.DataType] = field(default_factory=dict)
    bad: list[BadLine] = field(default_factory=list)

    def batches(self) -> Iterator[pa.RecordBatch]:
        self.bad.clear()
        careful = self.options.skip_bad or not self.options.is_plain
        return self._careful() if careful else self._quick()

    def note(self) -> str:
        if not self.bad:
            return ""
        shown = "; ".join(f"line {each.line}: {each.reason}" for each in self.bad[:MAX_BAD_NOTED])
        return f"{len(self.bad)} bad lines were left out: {shown}"

    # --- quick --------------------------------------------------------------------------------------------------------

    def _quick(self) -> Iterator[pa.RecordBatch]:
        try:
            with _open(self.path, self.options, self.types) as reader:
                yield from reader
        except pa.ArrowInvalid as error:
            raise damaged(self.path, _with_names(error, self.schema.names)) from error

    # --- careful ------------------------------------------------------------------------------------------------------

    def _careful(self) -> Iterator[pa.RecordBatch]:
        texts = self._plain_texts() if self.options.is_plain else self._escaped_texts()
        for lines, batch in texts:
            yield self._typed(lines, batch)

    def _plain_texts(self) -> Iterator[tuple[np.ndarray[Any, Any], pa.RecordBatch]]:
        """(the line of each row, rows of text), cut by Arrow's reader."""
        line = 1 + self.options.skip_lines + (self.options.names is None)
        dropped: list[int] = []

        def skip(row: pa_csv.InvalidRow) -> str:
            dropped.append(row.number)
            self._leave_out(row.number, f"{row.actual_columns} fields where {row.expected_columns} belong")
            return "skip"

        types = dict.fromkeys(self.schema.names, pa.string())
        try:
            with _open(self.path, self.options, types, skip) as reader:
                for batch in reader:
                    lines: list[int] = []
                    while len(lines) < batch.num_rows:
                        if line not in dropped:
                            lines.append(line)
                        line += 1
                    yield np.array(lines, np.int64), batch
        except pa.ArrowInvalid as error:
            raise damaged(self.path, _with_names(error, self.schema.names)) from error

    def _escaped_texts(self) -> Iterator[tuple[np.ndarray[Any, Any], pa.RecordBatch]]:
        names, options = self.schema.names, self.options
        form = Format(options.delimiter, options.line_end or "\n", "", options.quote, options.escape)
        records = enumerate(_records(self.path, RecordReader(form)), start=1)
        numbered = islice(records, options.skip_lines + (options.names is None), None)
        while chunk := list(islice(numbered, BATCH_ROWS)):
            good = []
            for line, record in chunk:
                if len(record) == len(names):
                    good.append((line, record))
                else:
                    self._leave_out(line, f"{len(record)} fields where {len(names)} belong")
            columns = list(zip(*(record for _, record in good), strict=True)) or [()] * len(names)
            arrays = [pa.array(self._without_nulls(column), pa.string()) for column in columns]
            yield np.array([line for line, _ in good], np.int64), pa.record_batch(arrays, names)

    def _without_nulls(self, column: tuple[str | None, ...]) -> list[str | None]:
        own = {text for text in self.options.nulls if text not in ("", "NULL")} if self.options.escape else set()
        return [None if text in own else text for text in column]

    def _typed(self, lines: np.ndarray[Any, Any], texts: pa.RecordBatch) -> pa.RecordBatch:
        """The rows whose every field is of its column's type."""
        refused: dict[int, str] = {}
        for name, column in zip(texts.schema.names, texts.columns, strict=True):
            wanted = self.types.get(name, pa.string())
            for place in _refused(column, wanted):
                refused.setdefault(place, f"column {name}: {column[place].as_py()!r} is no {wanted}")
        for place in sorted(refused):
            self._leave_out(int(lines[place]), refused[place])
        if refused:
            texts = texts.take(pa.array([place for place in range(texts.num_rows) if place not in refused], pa.int64()))
        arrays = [cast_array(texts.column(name), self.types.get(name, pa.string())) for name in texts.schema.names]
        return pa.record_batch(arrays, texts.schema.names)

    def _leave_out(self, line: int, reason: str) -> None:
        if len(self.bad) >= self.options.skip_bad:
            allowed = f", after {len(self.bad)} others" if self.bad else ""
            raise DataError(f"{self.path}: line {line}: {reason}{allowed}; nothing was imported", 1366)
        self.bad.append(BadLine(line, reason))


def open_csv(path: Path, options: CsvOptions, table: TableSchema | None) -> CsvSource:
    """`table` is what the rows are for, if it exists: text is read as its types. Raises DataError."""
    check_is_file(path)
    types = _types(options.names, table)
    try:
        if options.is_plain:
            careful = options.skip_bad > 0  # then bad lines, and values that are not of their type, are looked at later
            with _open(path, options, {} if careful else types, _skip if careful else None) as reader:
                schema = reader.schema
        else:
            schema = _first_record_schema(path, options, types)
    except pa.ArrowInvalid as error:
        raise damaged(path, _with_names(error, _names_in(path, options))) from error
    if not types:
        types = {each.name: each.type for each in schema}
    return CsvSource(path.name, schema, None, path.stat().st_size, str(path), path=path, options=options, types=types)


def _skip(row: pa_csv.InvalidRow) -> str:
    return "skip"


def _types(names: tuple[str, ...] | None, table: TableSchema | None) -> dict[str, pa.DataType]:
    """What each column is read as; `@` columns as text, since nobody looks at them."""
    if table is None:
        return {}
    types = {each.name: _readable(each.type) for each in table.arrow_schema()}
    by_lower = {name.lower(): kind for name, kind in types.items()}
    return types if names is None else {name: by_lower.get(name.lower(), pa.string()) for name in names}


def _readable(kind: pa.DataType) -> pa.DataType:
    """TIME columns are read as text: Arrow's CSV reader knows no lengths of time."""
    return pa.string() if pa.types.is_duration(kind) else kind


def _first_record_schema(path: Path, options: CsvOptions, types: dict[str, pa.DataType]) -> pa.Schema:
    names = options.names
    if names is None:
        form = Format(options.delimiter, options.line_end or "\n", "", options.quote, options.escape)
        header = next(islice(_records(path, RecordReader(form)), options.skip_lines, None), [])
        names = tuple(name or "" for name in header)
    return pa.schema([(name, types.get(name, pa.string())) for name in names])


def _names_in(path: Path, options: CsvOptions) -> list[str]:
    """The columns of a file that Arrow's reader has refused."""
    if options.names is not None:
        return list(options.names)
    with path.open(newline="", encoding="utf-8", errors="replace") as file:
        lines = csv.reader(islice(file, options.skip_lines, None), delimiter=options.delimiter)
        return next(lines, [])


def _records(path: Path, reader: RecordReader) -> Iterator[list[str | None]]:
    decoder = codecs.getincrementaldecoder("utf-8")()
    with path.open("rb") as file:
        try:
            while block := file.read(BLOCK_BYTES // 8):
                yield from reader.feed(decoder.decode(block))
            yield from reader.feed(decoder.decode(b"", final=True))
            yield from reader.finish()
        except UnicodeDecodeError as error:
            raise damaged(path, error) from error


def _open(
    path: Path, options: CsvOptions, types: dict[str, pa.DataType], on_bad: Any = None
) -> pa_csv.CSVStreamingReader:
    names = None if options.names is None else list(options.names)
    return pa_csv.open_csv(
        path,
        read_options=pa_csv.ReadOptions(
            use_threads=False, block_size=BLOCK_BYTES, skip_rows=options.skip_lines, column_names=names
        ),  # serial: errors name the row
        parse_options=pa_csv.ParseOptions(
            delimiter=options.delimiter, quote_char=options.quote or False, invalid_row_handler=on_bad,
            newlines_in_values=True,
        ),
        convert_options=pa_csv.ConvertOptions(
            column_types=types, strings_can_be_null=True, quoted_strings_can_be_null=False,
            null_values=list(options.nulls),
        ),
    )  # fmt: skip


def _with_names(error: pa.ArrowInvalid, names: list[str]) -> str:
    """Arrow's message with the column's name in place of its number, and `line` for `Row #`."""
    found = re.match(r"In CSV column #(\d+): Row #(\d+): (.*)", str(error), re.DOTALL)
    if found is None:
        return re.sub(r"Row #(\d+)", r"line \1 (row #\1)", str(error))
    column = names[int(found[1])] if int(found[1]) < len(names) else found[1]
    return f"line {found[2]} (row #{found[2]}), column {column}: {found[3]}"


def _refused(column: pa.Array, wanted: pa.DataType, offset: int = 0) -> Iterator[int]:
    """The places of values that cannot be cast, by halving where something cannot."""
    try:
        cast_array(column, wanted)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        if len(column) <= 1:
            yield from (offset + place for place in range(len(column)))
            return
        middle = len(column) // 2
        yield from _refused(column.slice(0, middle), wanted, offset)
        yield from _refused(column.slice(middle), wanted, offset + middle)
