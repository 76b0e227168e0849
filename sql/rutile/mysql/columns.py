"""Column definitions: how a result's columns are told to the client, and the wire type of each."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from rutile.mysql.constants import BINARY_CHARSET, ColumnFlag, FieldType
from rutile.mysql.wire import lenenc_bytes
from rutile.session.charsets import UTF8MB4, Charset
from rutile.session.result import ResultColumn
from rutile_coprocessor.schema import ColumnType, Kind

FLOATING_DECIMALS = 31
"""Means: as many as there are."""
KEPT_DEFINITIONS = 4_096
"""Point queries ask for the same few columns again and again."""
_MAX_LENGTH = 0xFFFF_FFFF

_FIELD_TYPES = {
    Kind.BOOL: FieldType.TINY, Kind.TINYINT: FieldType.TINY, Kind.SMALLINT: FieldType.SHORT,
    Kind.MEDIUMINT: FieldType.INT24, Kind.INT: FieldType.LONG, Kind.BIGINT: FieldType.LONGLONG,
    Kind.YEAR: FieldType.YEAR, Kind.FLOAT: FieldType.FLOAT, Kind.DOUBLE: FieldType.DOUBLE,
    Kind.DECIMAL: FieldType.NEWDECIMAL, Kind.CHAR: FieldType.STRING, Kind.VARCHAR: FieldType.VAR_STRING,
    Kind.TEXT: FieldType.BLOB, Kind.BINARY: FieldType.STRING, Kind.VARBINARY: FieldType.VAR_STRING,
    Kind.BLOB: FieldType.BLOB, Kind.JSON: FieldType.JSON, Kind.DATE: FieldType.DATE,
    Kind.DATETIME: FieldType.DATETIME, Kind.TIMESTAMP: FieldType.TIMESTAMP, Kind.TIME: FieldType.TIME,
    Kind.ENUM: FieldType.STRING, Kind.SET: FieldType.STRING, Kind.BIT: FieldType.BIT,
}  # fmt: skip
_WIDTHS = {
    Kind.BOOL: 1, Kind.TINYINT: 4, Kind.SMALLINT: 6, Kind.MEDIUMINT: 9, Kind.INT: 11, Kind.BIGINT: 20, Kind.YEAR: 4,
    Kind.FLOAT: 12, Kind.DOUBLE: 22, Kind.DATE: 10, Kind.DATETIME: 19, Kind.TIMESTAMP: 19, Kind.TIME: 10,
}  # fmt: skip
"""Characters the widest value takes, without a fraction."""


@dataclass(frozen=True, slots=True)
class WireType:
    """What a definition says of a column's values."""

    field: FieldType
    charset: int
    length: int
    flags: ColumnFlag
    decimals: int


@lru_cache(KEPT_DEFINITIONS)
def wire_type(kind: ColumnType, charset: Charset = UTF8MB4) -> WireType:
    """The protocol's type for one of ours, where texts are sent in `charset`."""
    number = charset.collation_id if kind.is_character else BINARY_CHARSET
    length = _length(kind, charset.max_bytes)
    return WireType(_FIELD_TYPES[kind.kind], number, length, _flags(kind), _decimals(kind))


@lru_cache(KEPT_DEFINITIONS)
def definition(column: ResultColumn, charset: Charset = UTF8MB4) -> bytes:
    """ColumnDefinition41. Schema and table are empty where the column is no table's."""
    kind, origin = wire_type(column.type, charset), column.origin
    come_from = ("", "", "", "") if origin is None else (origin.database, origin.alias, origin.table, origin.column)
    database, alias, table, org_name = (lenenc_bytes(charset.nearest(name)) for name in come_from)
    flags = int(kind.flags) | (0 if origin is None else int(origin.traits))
    return b"".join((
        lenenc_bytes(b"def"), database, alias, table, lenenc_bytes(charset.nearest(column.name)), org_name,
        b"\x0c",
        kind.charset.to_bytes(2, "little"),
        kind.length.to_bytes(4, "little"),
        bytes((kind.field,)),
        flags.to_bytes(2, "little"),
        bytes((kind.decimals,)),
        b"\0\0",
    ))  # fmt: skip


def _length(kind: ColumnType, most_bytes: int) -> int:
    """In bytes, where a character takes `most_bytes`."""
    if kind.kind is Kind.DECIMAL:
        return kind.precision + 2
    if kind.kind in (Kind.CHAR, Kind.VARCHAR):
        return kind.length * most_bytes
    if kind.kind in (Kind.BINARY, Kind.VARBINARY):
        return kind.length
    if kind.kind is Kind.BIT:
        return kind.length
    if kind.is_enumerated:
        lengths = [len(member) for member in kind.members]
        longest = max(lengths) if kind.kind is Kind.ENUM else sum(lengths) + len(lengths) - 1
        return longest * most_bytes
    if kind.is_variable:
        per_character = most_bytes if kind.kind is Kind.TEXT else 1
        return min(kind.max_bytes * per_character, _MAX_LENGTH)
    fraction = kind.scale + 1 if kind.scale else 0
    return _WIDTHS[kind.kind] + fraction


def _flags(kind: ColumnType) -> ColumnFlag:
    flags = ColumnFlag(0)
    if kind.unsigned or kind.kind is Kind.YEAR:
        flags |= ColumnFlag.UNSIGNED
    if kind.kind is Kind.YEAR:
        flags |= ColumnFlag.ZEROFILL
    if kind.is_integer or kind.kind in (Kind.DECIMAL, Kind.FLOAT, Kind.DOUBLE):
        flags |= ColumnFlag.NUMBER
    if kind.kind in (Kind.TEXT, Kind.BLOB, Kind.JSON):
        flags |= ColumnFlag.BLOB
    if kind.is_enumerated:
        flags |= ColumnFlag.ENUM if kind.kind is Kind.ENUM else ColumnFlag.SET
    if ColumnFlag.NUMBER not in flags and not kind.is_character:
        # Text too is compared by its bytes, which MySQL tells by this flag; but mysql-connector-python takes a column
        # that has it alone for bytes, and the collation says the same.
        flags |= ColumnFlag.BINARY
    return flags


def _decimals(kind: ColumnType) -> int:
    return FLOATING_DECIMALS if kind.kind in (Kind.FLOAT, Kind.DOUBLE) else kind.scale
