"""Rows as text: each value as MySQL writes it, after its length.

The value's own type decides how it is written, but for what only the column knows: a FLOAT's shortest form is that of
its 32 bits, and a time of day has as many digits after the point as its column.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

import numpy as np

from rutile.mysql.wire import NULL_LENGTH, lenenc_bytes
from rutile.rows.readings import text_of
from rutile.session.charsets import Charset
from rutile.session.result import ResultColumn, Row
from rutile_coprocessor.schema import ColumnType, Kind

Encode = Callable[[object], bytes]
_FRACTION_DIGITS = 6


def text_encoder(columns: Sequence[ResultColumn], charset: Charset) -> Callable[[Row], bytes]:
    """How to write rows of these columns, texts in `charset`."""
    encoders = [value_encoder(column.type, charset) for column in columns]

    def encode(row: Row) -> bytes:
        return b"".join([
            NULL_LENGTH if value is None else lenenc_bytes(write(value))
            for write, value in zip(encoders, row, strict=True)
        ])  # fmt: skip

    return encode


def value_encoder(kind: ColumnType, charset: Charset) -> Encode:
    """How to write the values of a column, NULL excepted."""
    if kind.kind is Kind.FLOAT:
        return _single
    if kind.kind is Kind.BIT:
        return bit_bytes(kind)
    if kind.kind is Kind.YEAR:
        return lambda value: text_of(value).rjust(4, "0").encode()
    if kind.kind in (Kind.DATETIME, Kind.TIMESTAMP, Kind.TIME):
        return _moment(kind.scale)
    return _plain if charset.is_utf8 else _plain_in(charset)


def bit_bytes(kind: ColumnType) -> Encode:
    """A BIT value as its bytes, the highest first."""
    size = (kind.length + 7) // 8
    return lambda value: int(value).to_bytes(size, "big")  # type: ignore[call-overload]


def _plain(value: object) -> bytes:
    if isinstance(value, str):
        return value.encode()
    return value if isinstance(value, bytes) else text_of(value).encode()


def _plain_in(charset: Charset) -> Encode:
    return lambda value: charset.encode(value) if isinstance(value, str) else _plain(value)


def _single(value: object) -> bytes:
    return text_of(float(str(np.float32(value)))).encode() if isinstance(value, float) else _plain(value)


def _moment(scale: int) -> Encode:
    def write(value: object) -> bytes:
        text = text_of(value)
        if isinstance(value, datetime | timedelta):
            whole, _, fraction = text.partition(".")
            text = f"{whole}.{fraction.ljust(_FRACTION_DIGITS, '0')[:scale]}" if scale else whole
        return text.encode()

    return write
