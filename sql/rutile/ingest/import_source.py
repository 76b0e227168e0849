"""Files to import, as a stream of Arrow batches: Parquet and CSV, with errors that name the file and the place."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pa_parquet

from rutile.pep249 import DataError, NotSupportedError
from rutile_coprocessor.column_types import ColumnType, Kind

BATCH_ROWS = 32_768
CSV_BLOCK_BYTES = 8 << 20


@dataclass
class Source:
    """A file opened for import. `total_rows` is None when the format does not say (CSV)."""

    path: Path
    schema: pa.Schema
    total_rows: int | None
    size_bytes: int

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The rows, BATCH_ROWS or so at a time. DataError when the file turns out to be damaged."""
        raise NotSupportedError(f"{self.path.name}: no reader")


class ParquetSource(Source):
    """Row groups are read one after the other; memory holds one batch and the group's compressed columns."""

    def batches(self) -> Iterator[pa.RecordBatch]:
        try:
            with pa_parquet.ParquetFile(self.path) as file:
                yield from file.iter_batches(batch_size=BATCH_ROWS, use_threads=False)
        except (pa.ArrowInvalid, OSError) as error:
            raise _damaged(self.path, error) from error


class CsvSource(Source):
    """Column types come from the table when it exists, else from the first block of the file."""

    column_types: dict[str, pa.DataType]

    def batches(self) -> Iterator[pa.RecordBatch]:
        try:
            with _open_csv(self.path, self.column_types) as reader:
                yield from reader
        except pa.ArrowInvalid as error:
            raise _damaged(self.path, error) from error


def open_source(path: Path, wanted: pa.Schema | None = None) -> Source:
    """Open `path` by its ending. `wanted` is the table's schema when there is one: CSV text is read as those types.

    Raises DataError for a missing or damaged file, NotSupportedError for another format.
    """
    if not path.is_file():
        raise DataError(f"{path}: no such file")
    match path.suffix.lower():
        case ".parquet" | ".pq":
            return _open_parquet(path)
        case ".csv":
            return _open_csv_source(path, wanted)
    raise NotSupportedError(f"{path.name}: can import .parquet and .csv files", 1235)


def _open_parquet(path: Path) -> Source:
    try:
        with pa_parquet.ParquetFile(path) as file:
            return ParquetSource(path, file.schema_arrow, file.metadata.num_rows, path.stat().st_size)
    except (pa.ArrowInvalid, OSError) as error:
        raise _damaged(path, error) from error


def _open_csv_source(path: Path, wanted: pa.Schema | None) -> Source:
    types = {field.name: _csv_type(field.type) for field in wanted} if wanted is not None else {}
    try:
        with _open_csv(path, types) as reader:
            source = CsvSource(path, reader.schema, None, path.stat().st_size)
    except pa.ArrowInvalid as error:
        raise _damaged(path, error) from error
    source.column_types = types
    return source


def _csv_type(arrow_type: pa.DataType) -> pa.DataType:
    """TIME columns are read as text: Arrow's CSV reader knows no lengths of time."""
    return pa.string() if pa.types.is_duration(arrow_type) else arrow_type


def _open_csv(path: Path, types: dict[str, pa.DataType]) -> pa_csv.CSVStreamingReader:
    return pa_csv.open_csv(
        path,
        read_options=pa_csv.ReadOptions(use_threads=False, block_size=CSV_BLOCK_BYTES),  # serial: errors name the row
        convert_options=pa_csv.ConvertOptions(column_types=types, strings_can_be_null=True, null_values=["", "NULL"]),
    )


def _damaged(path: Path, error: BaseException) -> DataError:
    return DataError(f"{path}: {error}; nothing was imported", 1366)


def column_type_for(field: pa.Field) -> ColumnType:
    """The column type `--create` gives a file's column; NotSupportedError names the one that has none."""
    kind = field.type
    simple = {
        pa.bool_(): ColumnType(Kind.BOOL), pa.int8(): ColumnType(Kind.TINYINT), pa.int16(): ColumnType(Kind.SMALLINT),
        pa.int32(): ColumnType(Kind.INT), pa.int64(): ColumnType(Kind.BIGINT),
        pa.uint8(): ColumnType(Kind.TINYINT, unsigned=True), pa.uint16(): ColumnType(Kind.SMALLINT, unsigned=True),
        pa.uint32(): ColumnType(Kind.INT, unsigned=True), pa.uint64(): ColumnType(Kind.BIGINT, unsigned=True),
        pa.float32(): ColumnType(Kind.FLOAT), pa.float64(): ColumnType(Kind.DOUBLE), pa.date32(): ColumnType(Kind.DATE),
        pa.date64(): ColumnType(Kind.DATE),
    }  # fmt: skip
    if kind in simple:
        return simple[kind]
    if pa.types.is_decimal(kind):
        return ColumnType(Kind.DECIMAL, precision=kind.precision, scale=kind.scale)
    if pa.types.is_timestamp(kind):
        return ColumnType(Kind.DATETIME, scale=6)
    if pa.types.is_time(kind) or pa.types.is_duration(kind):
        return ColumnType(Kind.TIME, scale=6)
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return ColumnType(Kind.VARCHAR, length=16_383)
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind):
        return ColumnType(Kind.BLOB, length=(1 << 32) - 1)
    if pa.types.is_dictionary(kind):
        return column_type_for(pa.field(field.name, kind.value_type))
    raise NotSupportedError(f"column {field.name}: no SQL type for {kind}; convert the file, or leave the column out")
