"""The types of expressions, as far as MySQL's meaning depends on them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum, auto

from sqlglot import exp

from rutile_coprocessor.schema import ColumnType, Kind

MAX_SCALE = 30
MAX_PRECISION = 38
DIVISION_EXTRA_SCALE = 4
"""MySQL's div_precision_increment."""


class Base(Enum):
    """The families between which meaning differs."""

    NULL = auto()
    BOOL = auto()
    """A truth value; MySQL shows it as 1 or 0."""
    INT = auto()
    DECIMAL = auto()
    DOUBLE = auto()
    TEXT = auto()
    BINARY = auto()
    JSON = auto()
    DATE = auto()
    DATETIME = auto()
    TIME = auto()
    TUPLE = auto()
    UNKNOWN = auto()


@dataclass(frozen=True, slots=True)
class SqlType:
    """`scale` counts a DECIMAL's decimals, or the digits of fractional seconds; `bits` is an integer's width.

    `enumeration` is the type of an ENUM or SET column: a TEXT that counts as its number where one is wanted.
    """

    base: Base
    scale: int = 0
    bits: int = 64
    unsigned: bool = False
    enumeration: ColumnType | None = None

    @property
    def is_exact(self) -> bool:
        return self.base in (Base.INT, Base.DECIMAL, Base.BOOL)

    @property
    def is_number(self) -> bool:
        return self.is_exact or self.base is Base.DOUBLE

    @property
    def is_text(self) -> bool:
        return self.base in (Base.TEXT, Base.JSON)

    @property
    def is_moment(self) -> bool:
        """DATE or DATETIME."""
        return self.base in (Base.DATE, Base.DATETIME)


NULL = SqlType(Base.NULL)
BOOL = SqlType(Base.BOOL)
INT = SqlType(Base.INT)
UNSIGNED = SqlType(Base.INT, unsigned=True)
DOUBLE = SqlType(Base.DOUBLE)
TEXT = SqlType(Base.TEXT)
BINARY = SqlType(Base.BINARY)
JSON = SqlType(Base.JSON)
DATE = SqlType(Base.DATE)
DATETIME = SqlType(Base.DATETIME)
TIME = SqlType(Base.TIME)
TUPLE = SqlType(Base.TUPLE)
UNKNOWN = SqlType(Base.UNKNOWN)


def decimal(scale: int) -> SqlType:
    return SqlType(Base.DECIMAL, min(scale, MAX_SCALE))


_KIND_BITS = {
    Kind.BOOL: 8, Kind.TINYINT: 8, Kind.SMALLINT: 16, Kind.YEAR: 16, Kind.MEDIUMINT: 32, Kind.INT: 32, Kind.BIGINT: 64,
    Kind.BIT: 64,
}  # fmt: skip
_KIND_BASES = {
    Kind.FLOAT: Base.DOUBLE, Kind.DOUBLE: Base.DOUBLE, Kind.DATE: Base.DATE, Kind.DATETIME: Base.DATETIME,
    Kind.TIMESTAMP: Base.DATETIME, Kind.TIME: Base.TIME, Kind.DECIMAL: Base.DECIMAL, Kind.JSON: Base.JSON,
}  # fmt: skip


def of_column(kind: ColumnType) -> SqlType:
    """The type of a table's column."""
    if kind.is_integer:
        return SqlType(Base.INT, bits=_KIND_BITS[kind.kind], unsigned=kind.unsigned)
    if kind.kind in _KIND_BASES:
        return SqlType(_KIND_BASES[kind.kind], kind.scale)
    if kind.is_enumerated:
        return SqlType(Base.TEXT, enumeration=kind)
    return TEXT if kind.is_character else BINARY


def of_literal(literal: exp.Literal) -> SqlType:
    """'...' is text, 1 an integer, 1.0 a DECIMAL, 1e0 a DOUBLE."""
    if literal.is_string:
        return TEXT
    text = literal.name.lower()
    if "e" in text:
        return DOUBLE
    if "." in text:
        return decimal(len(text) - text.index(".") - 1)
    value = int(text)
    if value >= 1 << 64:
        return decimal(0)
    return SqlType(Base.INT, bits=32 if value < 1 << 31 else 64, unsigned=value >= 1 << 63)


_RANKS = (Base.NULL, Base.BOOL, Base.INT, Base.DECIMAL, Base.DOUBLE)


def common(types: Iterable[SqlType]) -> SqlType:
    """The type of CASE, COALESCE and the like, whose value may be of any of `types`: MySQL's aggregated type."""
    found = [kind for kind in types if kind.base is not Base.NULL]
    if not found:
        return NULL
    bases = {kind.base for kind in found}
    if Base.UNKNOWN in bases:
        return UNKNOWN
    scale = max(kind.scale for kind in found)
    if len(bases) == 1:
        return SqlType(found[0].base, scale, max(k.bits for k in found), any(k.unsigned for k in found))
    if bases <= set(_RANKS):
        base = max(bases, key=_RANKS.index)
        return SqlType(base, scale if base is Base.DECIMAL else 0, unsigned=False)
    if bases == {Base.DATE, Base.DATETIME}:
        return SqlType(Base.DATETIME, scale)
    return BINARY if Base.BINARY in bases else TEXT
