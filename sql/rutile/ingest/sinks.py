"""Files that rows are written to: Parquet, CSV, and MySQL's text form. A file has its name only once it is complete."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, Protocol

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pa_parquet

from rutile.errors import not_supported
from rutile.mysql.text_protocol import value_encoder
from rutile.parse.statements import Outfile
from rutile.session.charsets import UTF8MB4
from rutile.session.result import columns_from_schema, rows_of_table
from rutile_coprocessor.schema import ColumnType, Kind

PARTIAL = ".partial"
"""What the name of an unfinished file ends with."""
PART_ROWS = 2_000_000
"""Rows in one file of an export into a directory."""


class Sink(Protocol):
    """Takes batches of one schema."""

    def write(self, batch: pa.RecordBatch) -> None: ...

    def finish(self) -> None:
        """Everything is durable, and has its name."""

    def abandon(self) -> None:
        """Nothing is left."""


Make = Callable[[IO[bytes], pa.Schema], Any]


class FileSink:
    """One file, made by a writer with `write` and `close`."""

    def __init__(self, path: Path, schema: pa.Schema, make: Make) -> None:
        self._path = path
        self._draft = path.with_name(path.name + PARTIAL)
        self._file = self._draft.open("wb")
        try:
            self._writer = make(self._file, schema)
        except BaseException:
            self.abandon()
            raise

    def write(self, batch: pa.RecordBatch) -> None:
        self._writer.write(batch)

    def finish(self) -> None:
        self._writer.close()
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        self._draft.rename(self._path)

    def abandon(self) -> None:
        self._file.close()
        self._draft.unlink(missing_ok=True)


class DirectorySink:
    """Files of PART_ROWS rows, made as they are needed, at least one."""

    def __init__(self, folder: Path, name: str, suffix: str, schema: pa.Schema, make: Make) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder, self._name, self._suffix = folder, name, suffix
        self._schema, self._make = schema, make
        self._done: list[Path] = []
        self._rows = 0
        self._open = self._next()

    def _next(self) -> FileSink:
        path = self._folder / f"{self._name}.{len(self._done):05d}{self._suffix}"
        self._done.append(path)
        return FileSink(path, self._schema, self._make)

    def write(self, batch: pa.RecordBatch) -> None:
        if self._rows >= PART_ROWS:
            self._open.finish()
            self._open, self._rows = self._next(), 0
        self._open.write(batch)
        self._rows += batch.num_rows

    def finish(self) -> None:
        self._open.finish()

    def abandon(self) -> None:
        self._open.abandon()
        for path in self._done:
            path.unlink(missing_ok=True)


def open_sink(path: Path, name: str, form: str, schema: pa.Schema) -> Sink:
    """A file of that name, or files in it if it has no ending. `form`: parquet or csv. Raises 1235 for columns that
    CSV cannot hold."""
    make = parquet_writer if form == "parquet" else CsvWriter
    if path.suffix:
        return FileSink(path, schema, make)
    return DirectorySink(path, name, f".{form}", schema, make)


def parquet_writer(file: IO[bytes], schema: pa.Schema) -> pa_parquet.ParquetWriter:
    """Zstandard, which is read everywhere."""
    return pa_parquet.ParquetWriter(file, schema, compression="zstd")


class CsvWriter:
    """CSV with a header line, as `rutile import` reads it: texts in quotes, NULL as nothing."""

    def __init__(self, file: IO[bytes], schema: pa.Schema) -> None:
        for field in schema:
            if pa.types.is_binary(field.type) or pa.types.is_large_binary(field.type):
                raise not_supported(f"CSV of the binary column {field.name}: only Parquet holds bytes that are no text")
        self._schema = pa.schema([field.with_type(_csv_type(field.type)) for field in schema])
        self._writer = pa_csv.CSVWriter(file, self._schema)

    def write(self, batch: pa.RecordBatch) -> None:
        columns = [_csv_column(column) for column in batch.columns]
        self._writer.write_batch(pa.record_batch(columns, schema=self._schema))

    def close(self) -> None:
        self._writer.close()


def _csv_type(kind: pa.DataType) -> pa.DataType:
    return pa.string() if pa.types.is_duration(kind) or pa.types.is_decimal(kind) else kind


def _csv_column(column: pa.Array) -> pa.Array:
    if pa.types.is_decimal(column.type):
        return column.cast(pa.string())
    return times_as_text(column) if pa.types.is_duration(column.type) else column


def times_as_text(column: pa.Array) -> pa.Array:
    """[-]HH:MM:SS.ffffff."""
    micros = column.cast(pa.duration("us")).cast(pa.int64())
    size = pc.abs(micros)

    def digits(unit: int, modulo: int | None, width: int) -> pa.Array:
        number = pc.divide(size, unit)
        if modulo is not None:
            number = pc.subtract(number, pc.multiply(pc.divide(number, modulo), modulo))
        return pc.utf8_lpad(number.cast(pa.string()), width, "0")

    sign = pc.if_else(pc.less(micros, 0), "-", "")
    hours = pc.binary_join_element_wise(sign, digits(3_600_000_000, None, 2), "")
    clock = pc.binary_join_element_wise(hours, digits(60_000_000, 60, 2), digits(1_000_000, 60, 2), ":")
    return pc.binary_join_element_wise(clock, digits(1, 1_000_000, 6), ".")


class TextWriter:
    """MySQL's text form: what LOAD DATA reads with the same FIELDS and LINES."""

    def __init__(self, file: IO[bytes], schema: pa.Schema, form: Outfile) -> None:
        self._file = file
        types = [column.type for column in columns_from_schema(schema)]
        self._columns = [(value_encoder(kind, UTF8MB4), self._is_enclosed(kind, form)) for kind in types]
        self._null = (form.escape + "N" if form.escape else "NULL").encode()
        self._quote, self._end = form.enclosed.encode(), form.field_end.encode()
        self._line_start, self._line_end = form.line_start.encode(), form.line_end.encode()
        self._quoted, self._bare = _escapes(form, enclosed=True), _escapes(form, enclosed=False)

    def write(self, batch: pa.RecordBatch) -> None:
        lines = [self._line(row) for row in rows_of_table(pa.Table.from_batches([batch]))]
        self._file.write(b"".join(lines))

    def close(self) -> None:
        """Whoever opened the file closes it."""

    def _line(self, row: tuple[object, ...]) -> bytes:
        fields = []
        for value, (encode, enclosed) in zip(row, self._columns, strict=True):
            if value is None:
                fields.append(self._null)
                continue
            data = _escaped(encode(value), self._quoted if enclosed else self._bare)
            fields.append(self._quote + data + self._quote if enclosed else data)
        return self._line_start + self._end.join(fields) + self._line_end

    @staticmethod
    def _is_enclosed(kind: ColumnType, form: Outfile) -> bool:
        texts = kind.is_variable or kind.kind in (Kind.DATE, Kind.DATETIME, Kind.TIMESTAMP, Kind.TIME)
        return bool(form.enclosed) and (texts or not form.optional)


def _escapes(form: Outfile, *, enclosed: bool) -> dict[int, bytes]:
    """What is written in place of a byte: the escape character, the quote, what would end a bare field, and NUL."""
    if not form.escape:
        return {}
    escape = form.escape.encode()
    special = [form.escape, form.enclosed] if enclosed else [form.escape, form.field_end[:1], form.line_end[:1]]
    found = {text.encode()[0]: escape + text.encode()[:1] for text in special if text}
    return found | {0: escape + b"0"}


def _escaped(data: bytes, escapes: dict[int, bytes]) -> bytes:
    if not escapes or not any(byte in escapes for byte in data):
        return data
    return b"".join(escapes.get(byte, bytes([byte])) for byte in data)
