"""Files to import, as a stream of Arrow batches, with errors that name the file and the place.

import_source   what a source is, Parquet, which kind a file is
csv_source      CSV, quick or line by line
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pa_parquet

from rutile.pep249 import DataError, NotSupportedError
from rutile_coprocessor.column_types import ColumnType, Kind

BATCH_ROWS = 65_536


@dataclass
class Source:
    """Something opened for import."""

    name: str
    """What errors call it."""
    schema: pa.Schema
    total_rows: int | None = None
    """None when the format does not say (CSV)."""
    size_bytes: int = 0
    described: str = ""
    """What SHOW IMPORT JOBS calls it."""
    reopen: dict[str, Any] | None = None
    """What `import_file.reopened` opens it with again; None if it cannot be read twice."""

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The rows, BATCH_ROWS or so at a time. DataError when the file turns out to be damaged."""
        raise NotSupportedError(f"{self.name}: no reader")

    def note(self) -> str:
        """What is to be said of the reading afterwards; empty if nothing is."""
        return ""


@dataclass
class ParquetSource(Source):
    """Row groups are read one after the other; memory holds one batch and the group's compressed columns."""

    path: Path = Path()

    def batches(self) -> Iterator[pa.RecordBatch]:
        try:
            with pa_parquet.ParquetFile(self.path) as file:
                for batch in file.iter_batches(batch_size=BATCH_ROWS, use_threads=False):
                    yield batch.rename_columns(self.schema.names)
        except (pa.ArrowInvalid, OSError) as error:
            raise damaged(self.path, error) from error


def open_parquet(path: Path, names: tuple[str, ...] = ()) -> ParquetSource:
    """`names`: what the columns are to be called, in their order; by default what the file calls them."""
    check_is_file(path)
    try:
        with pa_parquet.ParquetFile(path) as file:
            schema, rows = file.schema_arrow, file.metadata.num_rows
    except (pa.ArrowInvalid, OSError) as error:
        raise damaged(path, error) from error
    if names and len(names) != len(schema):
        raise DataError(f"{path}: {len(schema)} columns in the file, {len(names)} are named", 1136)
    if names:
        schema = pa.schema([field.with_name(name) for field, name in zip(schema, names, strict=True)])
    return ParquetSource(path.name, schema, rows, path.stat().st_size, str(path), path=path)


def check_is_file(path: Path) -> None:
    """Raises DataError."""
    if not path.is_file():
        raise DataError(f"{path}: no such file")


def damaged(path: Path, error: BaseException | str) -> DataError:
    """For a file that cannot be read as what it is."""
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
