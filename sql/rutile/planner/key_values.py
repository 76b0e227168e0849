"""Literals as values of primary key columns: only where the comparison then means the same."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal

from rutile.errors import SqlError
from rutile.rows.conversion import converter_for
from rutile.rows.readings import datetime_of, time_of
from rutile_coprocessor.schema import Column, Kind, Scalar

_NUMBERS = (int, float, Decimal)


class NotExact(Exception):
    """The literal is no value of the column: it may still compare with it, but not by its key."""


def key_value(column: Column, value: object) -> Scalar:
    """The stored value equal to `value`. Raises NotExact: for 1.5 and an integer column, 'x' and a number, NULL, ..."""
    value = _comparable(column, value)
    try:
        stored = converter_for(column)(value, 1)
    except SqlError as error:
        raise NotExact from error
    if stored != value:
        raise NotExact
    return stored


def _comparable(column: Column, value: object) -> object:
    """`value` as the comparison would read it, in the column's own kind."""
    kind = column.type
    if isinstance(value, bool):
        value = int(value)
    if kind.is_integer or kind.kind in (Kind.DECIMAL, Kind.FLOAT, Kind.DOUBLE):
        if isinstance(value, str) and value.strip().lstrip("-").isdigit():
            return int(value)
        if isinstance(value, float) and kind.kind is Kind.DECIMAL:
            raise NotExact  # compared as doubles
        if isinstance(value, _NUMBERS):
            return value
    elif kind.is_character and isinstance(value, str):
        return value.rstrip(" ") if kind.kind is Kind.CHAR else value
    elif kind.is_binary and isinstance(value, bytes | str):
        return value if isinstance(value, bytes) else value.encode()
    elif kind.kind is Kind.TIME:
        return _or_not_exact(time_of(value) if isinstance(value, str) else value)
    elif kind.kind in (Kind.DATE, Kind.DATETIME, Kind.TIMESTAMP) and isinstance(value, str | date):
        return _moment(kind.kind, _or_not_exact(datetime_of(value)))
    raise NotExact


def _moment(kind: Kind, moment: object) -> object:
    assert isinstance(moment, datetime)
    if kind is not Kind.DATE:
        return moment
    if moment.time() != datetime.min.time():
        raise NotExact
    return moment.date()


def _or_not_exact(value: object) -> object:
    if value is None:
        raise NotExact
    return value
