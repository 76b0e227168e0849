"""Rows of a table one of whose columns is becoming another: what the old value becomes, and rows that hold both.

Every front end, and whoever rewrites the older rows, makes the new value of the old one by the same function; so it
does not matter who wrote a row last.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from rutile import errors
from rutile.catalog.column_change import ColumnChange
from rutile.errors import SqlError
from rutile.rows.adjusting import ER_DATA_TRUNCATED, Adjusting
from rutile.rows.conversion import Converter, converter_for
from rutile.rows.local_conversion import local_converter
from rutile.rows.readings import text_of
from rutile_coprocessor.enumerations import number_of_text
from rutile_coprocessor.row import RowCodec
from rutile_coprocessor.scalars.moments import from_utc
from rutile_coprocessor.schema import Column, ColumnType, Kind, Scalar, TableSchema

if TYPE_CHECKING:
    from rutile.catalog.model import TableInfo


class ChangingColumn:
    """The new column of a table, and how its values come from the old one's."""

    def __init__(self, schema: TableSchema, change: ColumnChange) -> None:
        self.change = change
        self.column: Column = change.column
        ids = [column.id for column in schema.columns]
        self.position = ids.index(change.source_id)
        """Where the old value is in a row."""
        self.convert: Converter = converter_between(schema.columns[self.position], change)
        """(old value, row number) to the new value. Raises 1264, 1265, 1292, 1366, 1406, ... with the row."""

    def value_of(self, row: Sequence[Scalar], number: int = 1) -> Scalar:
        """The new column's value in a row."""
        return self.convert(row[self.position], number)


class ChangingRows(RowCodec):
    """The row codec of such a table: rows have the columns users see, bytes hold the new one too once it is written."""

    def __init__(self, schema: TableSchema, changing: ChangingColumn) -> None:
        super().__init__(schema)
        self._changing = changing
        self._writer_of = RowCodec(_written_schema(schema, changing.change))

    def encode_row(self, values: Sequence[Scalar]) -> bytes:
        """The bytes of one row. Raises a ColumnValueError, and what the conversion raises."""
        return self.encode_numbered(values, 1)

    def encode_numbered(self, values: Sequence[Scalar], number: int) -> bytes:
        """The same; errors name the row by its number."""
        if not self._changing.change.state.writes:
            return self._writer_of.encode_row(values)
        return self._writer_of.encode_row((*values, self._changing.value_of(values, number)))

    def is_rewritten(self, data: bytes) -> bool:
        """Whether a row's bytes hold the new column."""
        return data[1] | data[2] << 8 == self.schema.layout_version


def changing_of(info: TableInfo) -> ChangingColumn | None:
    """What is becoming of a column of the table, if anything is."""
    return None if info.changing is None else ChangingColumn(info.schema, info.changing)


def rows_of(schema: TableSchema, changing: ChangingColumn | None) -> RowCodec:
    """The codec of a table's rows."""
    return RowCodec(schema) if changing is None else ChangingRows(schema, changing)


def _written_schema(schema: TableSchema, change: ColumnChange) -> TableSchema:
    """The schema in whose layout rows are written: that of before, or with the new column at the end."""
    hidden = next(column for column in schema.dropped if column.id == change.column.id)
    others = tuple(column for column in schema.dropped if column.id != hidden.id)
    if not change.state.writes:
        return replace(schema, dropped=others, layout_version=schema.layout_version - 1)
    return replace(schema, columns=(*schema.columns, hidden), dropped=others)


# --- values -----------------------------------------------------------------------------------------------------------


def converter_between(source: Column, change: ColumnChange) -> Converter:
    """How values of one column become values of the other."""
    target = change.column
    convert = converter_for(target)
    if target.type.kind is Kind.TIMESTAMP and source.type.kind is not Kind.TIMESTAMP:
        convert = local_converter(target, convert, change.zone)
    if not change.strict:
        (convert,) = Adjusting(ignores=True).converters([target], [convert])
    read = _reader(source, target, change.zone)
    is_text = source.type.is_character and target.type.is_character

    def converted(value: object, row: int) -> Scalar:
        try:
            return convert(None if value is None else read(value), row)
        except SqlError as error:
            if error.code == errors.ER_BAD_NULL or (is_text and error.code == errors.ER_DATA_TOO_LONG):
                raise SqlError(ER_DATA_TRUNCATED, f"Data truncated for column '{target.name}' at row {row}") from error
            raise

    return converted


def _reader(source: Column, target: Column, zone: str) -> Callable[[Any], object]:
    """What a stored value is where another type is wanted."""
    kind, wanted = source.type, target.type
    if kind.kind is Kind.TIMESTAMP and wanted.kind is not Kind.TIMESTAMP:
        return lambda value: _spelled(from_utc(value, zone), kind, wanted)
    if kind.is_enumerated and not wanted.is_character:
        return lambda value: number_of_text(kind, value)
    if kind.is_binary and not wanted.is_binary:
        return _decoded
    if kind.kind is Kind.FLOAT and wanted.kind is not Kind.DOUBLE:
        return lambda value: float(format(value, ".7g"))
    return lambda value: _spelled(value, kind, wanted)


def _spelled(value: object, kind: ColumnType, wanted: ColumnType) -> object:
    """A time as text with all its column's digits; other values as they are."""
    is_time = kind.scale and kind.kind in (Kind.DATETIME, Kind.TIMESTAMP, Kind.TIME)
    if not is_time or not (wanted.is_character or wanted.is_binary):
        return value
    text, _, fraction = text_of(value).partition(".")
    return f"{text}.{fraction[: kind.scale].ljust(kind.scale, '0')}"


def _decoded(value: bytes) -> object:
    """Bytes as the text they are; as they are if they are none, for the conversion to refuse."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value
