"""PEP 249's type objects and constructors."""

from __future__ import annotations

import datetime
import time

Date = datetime.date
Time = datetime.time
Timestamp = datetime.datetime
Binary = bytes


def DateFromTicks(ticks: float) -> datetime.date:
    """The local date at `ticks` seconds since the epoch."""
    return datetime.date(*time.localtime(ticks)[:3])


def TimeFromTicks(ticks: float) -> datetime.time:
    """The local time of day at `ticks` seconds since the epoch."""
    return datetime.time(*time.localtime(ticks)[3:6])


def TimestampFromTicks(ticks: float) -> datetime.datetime:
    """The local date and time at `ticks` seconds since the epoch."""
    return datetime.datetime(*time.localtime(ticks)[:6])


class TypeObject:
    """Equal to every type name of its group, as PEP 249 wants of STRING, NUMBER, ...."""

    def __init__(self, *names: str) -> None:
        self._names = frozenset(names)

    def __eq__(self, other: object) -> bool:
        return other in self._names if isinstance(other, str) else self is other

    def __hash__(self) -> int:
        return hash(self._names)

    def __repr__(self) -> str:
        return f"TypeObject({', '.join(sorted(self._names))})"


STRING = TypeObject("char", "varchar", "tinytext", "text", "mediumtext", "longtext", "json")
BINARY = TypeObject("binary", "varbinary", "tinyblob", "blob", "mediumblob", "longblob")
NUMBER = TypeObject("tinyint", "smallint", "mediumint", "int", "bigint", "float", "double", "decimal", "year", "bool")
DATETIME = TypeObject("date", "time", "datetime", "timestamp")
ROWID = TypeObject()
