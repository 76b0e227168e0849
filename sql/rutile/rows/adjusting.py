"""Values that do not fit their column, made to fit: INSERT IGNORE, UPDATE IGNORE, and every change outside strict mode.

What strict mode refuses becomes a warning here, and the nearest value the column can hold is stored, as MySQL does:

    1264  a number out of range      the nearest bound
    1406  a text too long            its beginning (warning 1265)
    1366  no number in the text      the number it begins with (1265), else 0
    1292  a TIME beyond 838:59:59    the bound (1264); of a text that is no TIME, 00:00:00 (1265)
    1048  NULL in a NOT NULL column  0 or the empty text (with one row and without IGNORE it stays an error)
    1364  no value and no default    the same

Not adjusted, so still an error: dates that are none (MySQL would store '0000-00-00', which Rutile cannot hold), and
texts that are no JSON.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal

from rutile import errors
from rutile.errors import SqlError
from rutile.rows import temporal
from rutile.rows.conversion import Converter
from rutile.rows.partitions import ER_NO_PARTITION, ER_OUTSIDE_OF_PARTITIONS
from rutile.rows.readings import text_of, time_of
from rutile.rows.row_rules import ER_CHECK_VIOLATED
from rutile.session.result import SqlWarning
from rutile_coprocessor.schema import Column, ColumnType, Kind, Scalar

ER_DATA_TRUNCATED = 1265
LEFT_OUT = frozenset({errors.ER_DUP_ENTRY, ER_CHECK_VIOLATED, ER_NO_PARTITION, ER_OUTSIDE_OF_PARTITIONS})
"""The refusals of a whole row that IGNORE turns into a warning."""
MAX_WARNINGS = 64
"""How many of a statement's warnings are kept, as MySQL's max_error_count has it; the rest are only counted."""
_NO_TIME = timedelta()
_HOURS = re.compile(r"\s*(-?\d{3,6}):")
_NUMBER = re.compile(r"\s*[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")


class Adjusting:
    """What one statement adjusts, and its warnings."""

    def __init__(self, *, ignores: bool) -> None:
        self.ignores = ignores
        """IGNORE was written: rows that cannot be stored are left out with a warning."""
        self.nulls = True
        """Whether NULL is adjusted too: not in the single row of an INSERT without IGNORE."""
        self.warnings: list[SqlWarning] = []
        self.count = 0

    def warn(self, code: int, message: str) -> None:
        """Note a warning."""
        self.count += 1
        if len(self.warnings) < MAX_WARNINGS:
            self.warnings.append(SqlWarning("Warning", code, message))

    def leaves_out(self, error: SqlError) -> bool:
        """Whether the row that met `error` is left out, which is noted; else the error stands."""
        if self.ignores:
            self.warn(error.code, error.message)
        return self.ignores

    def converters(self, columns: Sequence[Column], strict: Sequence[Converter]) -> tuple[Converter, ...]:
        """The columns' converters, which adjust where the strict ones refuse."""
        return tuple(self._adjuster(column, convert) for column, convert in zip(columns, strict, strict=True))

    def _adjuster(self, column: Column, convert: Converter) -> Converter:
        def adjust(value: object, row: int) -> Scalar:
            try:
                return convert(value, row)
            except SqlError as error:
                return self._adjusted(column, convert, value, row, error)

        return adjust

    def _adjusted(self, column: Column, convert: Converter, value: object, row: int, error: SqlError) -> Scalar:
        if error.code == errors.ER_BAD_NULL:
            if not self.nulls:
                raise error
            self.warn(error.code, error.message)
            return implicit_default(column, error)
        nearest = _NEAREST.get(error.code, _no_nearest)(column.type, value)
        if nearest is None:
            raise error
        self._note(error, column, row, nearest)
        try:
            return convert(nearest, row)
        except SqlError as again:  # the number a text begins with may be out of range besides
            return self._adjusted(column, convert, nearest, row, again)

    def _note(self, error: SqlError, column: Column, row: int, nearest: object) -> None:
        cut = error.code == errors.ER_DATA_TOO_LONG or (error.code == errors.ER_INCORRECT_VALUE and bool(nearest))
        if cut or nearest == _NO_TIME:
            self.warn(ER_DATA_TRUNCATED, f"Data truncated for column '{column.name}' at row {row}")
        elif column.type.kind is Kind.TIME:
            self.warn(errors.ER_OUT_OF_RANGE, errors.out_of_range(column.name, row).message)
        else:
            self.warn(error.code, error.message)


def implicit_default(column: Column, error: SqlError) -> Scalar:
    """What a NOT NULL column holds where nothing was said: 0, or nothing. Raises `error` where a zero date would be."""
    kind = column.type
    if kind.is_character:
        return ""
    if kind.is_binary:
        return b"\0" * kind.length if kind.kind is Kind.BINARY else b""
    if kind.kind is Kind.DECIMAL:
        return Decimal(0).scaleb(-kind.scale)
    if kind.kind in (Kind.FLOAT, Kind.DOUBLE):
        return 0.0
    if kind.kind is Kind.TIME:
        return _NO_TIME
    if kind.is_integer or kind.kind is Kind.YEAR:
        return 0
    raise error


def _no_nearest(kind: ColumnType, value: object) -> object:
    return None


def _bound(kind: ColumnType, value: object) -> object:
    """The nearest value in range."""
    number = value if isinstance(value, int | float | Decimal) else Decimal(text_of(value).strip())
    if kind.kind is Kind.YEAR:
        return 0
    if kind.is_integer:
        low, high = kind.integer_bounds
        return high if number > 0 else low
    largest = _largest(kind)
    return largest if number > 0 else (0 if kind.unsigned else -largest)


def _largest(kind: ColumnType) -> float | Decimal:
    if kind.kind is Kind.DECIMAL:
        return (Decimal(10) ** kind.precision - 1).scaleb(-kind.scale)
    return 3.4028234663852886e38 if kind.kind is Kind.FLOAT else 1.7976931348623157e308


def _time(kind: ColumnType, value: object) -> object:
    """The nearest TIME; None for dates, which have no nearest."""
    if kind.kind is not Kind.TIME:
        return None
    length = time_of(value)
    if length is None:
        hours = _HOURS.match(value) if isinstance(value, str) else None
        length = timedelta(hours=int(hours[1])) if hours else _NO_TIME
    if abs(length) <= temporal.MAX_TIME:
        return _NO_TIME
    return temporal.MAX_TIME if length > _NO_TIME else -temporal.MAX_TIME


def _beginning(kind: ColumnType, value: object) -> object:
    """The text cut to what fits."""
    if kind.is_binary:
        data = value if isinstance(value, bytes) else text_of(value).encode()
        return data[: kind.length if kind.kind in (Kind.BINARY, Kind.VARBINARY) else kind.max_bytes]
    text = text_of(value)
    if kind.kind in (Kind.CHAR, Kind.VARCHAR):
        return text[: kind.length]
    return text.encode()[: kind.max_bytes].decode("utf-8", "ignore")


def _number_in(kind: ColumnType, value: object) -> object:
    """The number that a text begins with, 0 if it begins with none; of broken UTF-8 the part before the break."""
    if isinstance(value, bytes):
        value = _valid_beginning(value)
        if kind.is_character:
            return value
    found = _NUMBER.match(value) if isinstance(value, str) else None
    return Decimal(found.group().strip()) if found else 0


def _valid_beginning(data: bytes) -> str:
    """The text up to where it is no UTF-8 any more."""
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        return data[: error.start].decode()


_NEAREST = {
    errors.ER_OUT_OF_RANGE: _bound,
    errors.ER_DATA_TOO_LONG: _beginning,
    errors.ER_INCORRECT_VALUE: _number_in,
    errors.ER_TRUNCATED_VALUE: _time,
}
