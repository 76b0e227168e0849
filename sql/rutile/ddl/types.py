"""MySQL's type names, as sqlglot reads them, to column types."""

from __future__ import annotations

from sqlglot import exp

from rutile.errors import SqlError, not_supported
from rutile.parse.mysql_text import mysql_text
from rutile_coprocessor.schema import ColumnType, Kind
from rutile_proto.errors import InvalidRequest

ER_WRONG_FIELD_SPEC = 1063
ER_DUPLICATED_VALUE_IN_TYPE = 1291
ER_ILLEGAL_VALUE_FOR_TYPE = 1367
ER_TOO_BIG_PRECISION = 1426
DType = exp.DataType.Type

_INTEGERS = {
    DType.TINYINT: Kind.TINYINT, DType.SMALLINT: Kind.SMALLINT, DType.MEDIUMINT: Kind.MEDIUMINT, DType.INT: Kind.INT,
    DType.BIGINT: Kind.BIGINT,
}  # fmt: skip
_UNSIGNED = {
    DType.UTINYINT: Kind.TINYINT, DType.USMALLINT: Kind.SMALLINT, DType.UMEDIUMINT: Kind.MEDIUMINT,
    DType.UINT: Kind.INT, DType.UBIGINT: Kind.BIGINT,
}  # fmt: skip
_TEXTS = {
    DType.TINYTEXT: (Kind.TEXT, 255), DType.TEXT: (Kind.TEXT, 65_535), DType.MEDIUMTEXT: (Kind.TEXT, 16_777_215),
    DType.LONGTEXT: (Kind.TEXT, 4_294_967_295), DType.TINYBLOB: (Kind.BLOB, 255), DType.BLOB: (Kind.BLOB, 65_535),
    DType.MEDIUMBLOB: (Kind.BLOB, 16_777_215), DType.LONGBLOB: (Kind.BLOB, 4_294_967_295),
}  # fmt: skip
_SIZED = {
    DType.CHAR: Kind.CHAR, DType.NCHAR: Kind.CHAR, DType.VARCHAR: Kind.VARCHAR, DType.NVARCHAR: Kind.VARCHAR,
    DType.BINARY: Kind.BINARY, DType.VARBINARY: Kind.VARBINARY,
}  # fmt: skip
_TIMES = {
    DType.DATETIME: Kind.DATETIME, DType.TIMESTAMP: Kind.DATETIME, DType.TIMESTAMPTZ: Kind.TIMESTAMP,
    DType.TIME: Kind.TIME,
}  # fmt: skip


def column_type(kind: exp.DataType) -> ColumnType:
    """The column type. Raises 1235 for types Rutile lacks, 1426 for sizes out of bounds, and for members 1291, 1367."""
    sizes = [_size(parameter) for parameter in kind.expressions] if kind.this not in (DType.ENUM, DType.SET) else []
    try:
        return _build(kind, sizes)
    except InvalidRequest as error:
        raise SqlError(ER_TOO_BIG_PRECISION, str(error), sqlstate="42000") from error


def _build(kind: exp.DataType, sizes: list[int]) -> ColumnType:
    name = kind.this
    first = sizes[0] if sizes else 0
    if name in (DType.ENUM, DType.SET):
        return _enumeration(Kind.ENUM if name is DType.ENUM else Kind.SET, [each.name for each in kind.expressions])
    if name is DType.BIT:
        return ColumnType(Kind.BIT, unsigned=True, length=first or 1)
    if name is DType.BOOLEAN or (name is DType.TINYINT and sizes == [1]):
        return ColumnType(Kind.BOOL)
    if name in _INTEGERS or name in _UNSIGNED:
        return ColumnType(_INTEGERS.get(name) or _UNSIGNED[name], unsigned=name in _UNSIGNED)
    if name in (DType.DECIMAL, DType.UDECIMAL):
        precision, scale = (*sizes, *(10, 0)[len(sizes) :])
        return ColumnType(Kind.DECIMAL, unsigned=name is DType.UDECIMAL, precision=precision, scale=scale)
    if name in (DType.FLOAT, DType.DOUBLE, DType.UDOUBLE):
        return _floating(name, sizes)
    if name in _TEXTS:
        text, length = _TEXTS[name]
        return ColumnType(text, length=length)
    if name in _SIZED:
        return ColumnType(_SIZED[name], length=_length(name, sizes))
    if name in _TIMES:
        return ColumnType(_TIMES[name], scale=first)
    simple = {DType.DATE: Kind.DATE, DType.YEAR: Kind.YEAR, DType.JSON: Kind.JSON}.get(name)
    if simple is None:
        raise not_supported(f"column type {mysql_text(kind)}")
    return ColumnType(simple)


def _enumeration(kind: Kind, members: list[str]) -> ColumnType:
    """ENUM or SET; spaces at the end of a member do not count."""
    kept = tuple(member.rstrip(" ") for member in members)
    for member in kept:
        if kept.count(member) > 1:
            raise SqlError(ER_DUPLICATED_VALUE_IN_TYPE, f"Column has duplicated value '{member}' in {kind.upper()}")
        if kind is Kind.SET and "," in member:
            raise SqlError(ER_ILLEGAL_VALUE_FOR_TYPE, f"Illegal set '{member}' value found during parsing")
    return ColumnType(kind, members=kept)


def _floating(name: object, sizes: list[int]) -> ColumnType:
    """FLOAT(p) is a DOUBLE from 25 bits on; FLOAT(m, d) and DOUBLE(m, d) would round, which is not done."""
    if len(sizes) > 1:
        raise not_supported("FLOAT(m,d) and DOUBLE(m,d)")
    single = name is DType.FLOAT and (not sizes or sizes[0] <= 24)
    return ColumnType(Kind.FLOAT if single else Kind.DOUBLE, unsigned=name is DType.UDOUBLE)


def _length(name: object, sizes: list[int]) -> int:
    if sizes:
        return sizes[0]
    if name in (DType.VARCHAR, DType.NVARCHAR, DType.VARBINARY):
        raise SqlError(ER_WRONG_FIELD_SPEC, "VARCHAR and VARBINARY need a length", sqlstate="42000")
    return 1


def _size(parameter: exp.Expr) -> int:
    text = parameter.name
    if not text.isdigit():
        raise not_supported(f"type parameter {mysql_text(parameter)}")
    return int(text)
