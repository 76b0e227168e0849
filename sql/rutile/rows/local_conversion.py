"""What a session with another time zone puts into columns: TIMESTAMPs in UTC, DATETIMEs as its clocks show.

A text with an offset ('2026-11-23 10:00:00+05:30') names a moment whatever the session's zone.
"""

from __future__ import annotations

import re
from datetime import datetime

from rutile.errors import incorrect_time
from rutile.rows.conversion import Converter
from rutile_coprocessor.scalars.moments import from_utc, to_utc
from rutile_coprocessor.schema import Column, Kind, Scalar

_OFFSET = re.compile(r"\d{2}:\d{2}.*[+-]\d{2}:\d{2}\s*$")


def local_converter(column: Column, convert: Converter, zone: str) -> Converter:
    """`convert`, the column's converter for UTC, as a session of `zone` wants it."""
    if column.type.kind is Kind.TIMESTAMP:
        return _timestamp(column.name, convert, zone)
    return _datetime(convert, zone) if column.type.kind is Kind.DATETIME else convert


def _timestamp(name: str, convert: Converter, zone: str) -> Converter:
    def converted(value: object, row: int) -> Scalar:
        local = convert(value, row)
        if not isinstance(local, datetime) or _names_moment(value):
            return local
        moment = to_utc(local, zone)
        if moment is None or from_utc(moment, zone) != local:  # skipped by clocks when summer time begins
            raise incorrect_time("datetime", value, name, row)
        return moment

    return converted


def _datetime(convert: Converter, zone: str) -> Converter:
    def converted(value: object, row: int) -> Scalar:
        moment = convert(value, row)
        return from_utc(moment, zone) if isinstance(moment, datetime) and _names_moment(value) else moment

    return converted


def _names_moment(value: object) -> bool:
    return isinstance(value, str) and _OFFSET.search(value) is not None
