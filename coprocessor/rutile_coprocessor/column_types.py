"""MySQL column types and the Arrow types that carry them.

| MySQL                          | Arrow                     | DuckDB            | Python value          |
|--------------------------------|---------------------------|-------------------|-----------------------|
| TINYINT (BOOL is TINYINT(1))   | int8 / uint8              | TINYINT, UTINYINT | int                   |
| SMALLINT, YEAR                 | int16 / uint16            | SMALLINT, ...     | int                   |
| MEDIUMINT, INT                 | int32 / uint32            | INTEGER, ...      | int                   |
| BIGINT                         | int64 / uint64            | BIGINT, UBIGINT   | int                   |
| DECIMAL(p <= 38, s)            | decimal128(p, s)          | DECIMAL           | decimal.Decimal       |
| FLOAT, DOUBLE                  | float32, float64          | FLOAT, DOUBLE     | float                 |
| CHAR, VARCHAR, TEXT family     | string                    | VARCHAR           | str                   |
| ENUM, SET                      | string                    | VARCHAR           | str                   |
| BIT(n)                         | uint64                    | UBIGINT           | int                   |
| JSON                           | string                    | VARCHAR           | str (JSON text)       |
| BINARY, VARBINARY, BLOB family | binary                    | BLOB              | bytes                 |
| DATE                           | date32                    | DATE              | datetime.date         |
| DATETIME(f), TIMESTAMP(f)      | timestamp('us'), no zone  | TIMESTAMP         | datetime.datetime     |
| TIME(f)                        | duration('us')            | INTERVAL          | datetime.timedelta    |

TIME is a signed length of time up to 838:59:59, which no time-of-day type can hold; DuckDB's INTERVAL compares, orders
and adds it exactly. TIMESTAMP is stored in UTC; turning it into the session's zone is the front end's business.
MySQL's zero dates ('0000-00-00') are not representable and are refused, as in strict mode.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

import pyarrow as pa

from rutile_proto.errors import InvalidRequest

MAX_DECIMAL_PRECISION = 38
"""MySQL allows 65; decimal128 holds 38."""
MAX_DECIMAL_SCALE = 30
MAX_FRACTIONAL_SECONDS = 6
MAX_CHAR_LENGTH = 255
MAX_VARCHAR_LENGTH = 65_535
MAX_BITS = 64
MAX_ENUM_MEMBERS = 65_535
MAX_SET_MEMBERS = 64
MAX_INT64_PRECISION = 18
"""Decimals of up to this precision travel in rows as int64."""


class Kind(StrEnum):
    """The family of a column's type; its value is MySQL's keyword."""

    BOOL = "bool"
    TINYINT = "tinyint"
    SMALLINT = "smallint"
    MEDIUMINT = "mediumint"
    INT = "int"
    BIGINT = "bigint"
    YEAR = "year"
    FLOAT = "float"
    DOUBLE = "double"
    DECIMAL = "decimal"
    CHAR = "char"
    VARCHAR = "varchar"
    TEXT = "text"
    BINARY = "binary"
    VARBINARY = "varbinary"
    BLOB = "blob"
    JSON = "json"
    DATE = "date"
    DATETIME = "datetime"
    TIMESTAMP = "timestamp"
    TIME = "time"
    ENUM = "enum"
    SET = "set"
    BIT = "bit"


_INTEGER_BITS = {
    Kind.BOOL: 8, Kind.TINYINT: 8, Kind.SMALLINT: 16, Kind.YEAR: 16, Kind.MEDIUMINT: 24, Kind.INT: 32, Kind.BIGINT: 64,
    Kind.BIT: 64,
}  # fmt: skip
_ENUMERATED_KINDS = frozenset({Kind.ENUM, Kind.SET})
_CHARACTER_KINDS = frozenset({Kind.CHAR, Kind.VARCHAR, Kind.TEXT, Kind.JSON, *_ENUMERATED_KINDS})
_BINARY_KINDS = frozenset({Kind.BINARY, Kind.VARBINARY, Kind.BLOB})
_FRACTIONAL_KINDS = frozenset({Kind.DATETIME, Kind.TIMESTAMP, Kind.TIME})
_SIMPLE_ARROW = {
    Kind.FLOAT: pa.float32(), Kind.DOUBLE: pa.float64(), Kind.DATE: pa.date32(),
    Kind.DATETIME: pa.timestamp("us"), Kind.TIMESTAMP: pa.timestamp("us"), Kind.TIME: pa.duration("us"),
}  # fmt: skip
_SIGNED_ARROW = {8: pa.int8(), 16: pa.int16(), 24: pa.int32(), 32: pa.int32(), 64: pa.int64()}
_UNSIGNED_ARROW = {8: pa.uint8(), 16: pa.uint16(), 24: pa.uint32(), 32: pa.uint32(), 64: pa.uint64()}
_LENGTH_PREFIXES = ((255, "tiny"), (65_535, ""), (16_777_215, "medium"), (4_294_967_295, "long"))
"""TINYTEXT, TEXT, MEDIUMTEXT, LONGTEXT and the BLOBs alike: the most bytes each holds."""


@dataclass(frozen=True)
class ColumnType:
    """A column's type. Which fields mean something depends on `kind`:

    * integers: `unsigned`;
    * DECIMAL: `precision`, `scale`, `unsigned`;
    * DATETIME, TIMESTAMP, TIME: `scale`, the number of fractional digits;
    * CHAR, VARCHAR: `length` in characters; BINARY, VARBINARY: `length` in bytes;
    * TEXT, BLOB: `length` in bytes, one of 255, 65535, 2^24-1, 2^32-1 (0 means 65535);
    * ENUM, SET: `members`; BIT: `length` in bits, and it is `unsigned`.

    Raises InvalidRequest, naming the bound, if a field is out of it.
    """

    kind: Kind
    unsigned: bool = False
    precision: int = 0
    scale: int = 0
    length: int = 0
    members: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.kind is Kind.DECIMAL:
            _check(1 <= self.precision <= MAX_DECIMAL_PRECISION, f"DECIMAL precision {self.precision} is not in 1..38")
            limit = min(self.precision, MAX_DECIMAL_SCALE)
            _check(0 <= self.scale <= limit, f"DECIMAL scale {self.scale} is not in 0..{limit}")
        elif self.kind in _FRACTIONAL_KINDS:
            _check(0 <= self.scale <= MAX_FRACTIONAL_SECONDS, f"{self.scale} fractional digits are not in 0..6")
        elif self.kind in (Kind.CHAR, Kind.BINARY):
            _check(0 <= self.length <= MAX_CHAR_LENGTH, f"{self.kind.value}({self.length}) is longer than 255")
        elif self.kind in (Kind.VARCHAR, Kind.VARBINARY):
            _check(0 <= self.length <= MAX_VARCHAR_LENGTH, f"{self.kind.value}({self.length}) is longer than 65535")
        elif self.kind is Kind.BIT:
            _check(1 <= self.length <= MAX_BITS and self.unsigned, f"BIT({self.length}) is not in 1..64")
        elif self.kind in _ENUMERATED_KINDS:
            limit = MAX_ENUM_MEMBERS if self.kind is Kind.ENUM else MAX_SET_MEMBERS
            _check(1 <= len(self.members) <= limit, f"{len(self.members)} members are not in 1..{limit}")

    @property
    def is_integer(self) -> bool:
        """TINYINT to BIGINT, BOOL, YEAR and BIT."""
        return self.kind in _INTEGER_BITS

    @property
    def is_character(self) -> bool:
        """Text in UTF-8: CHAR, VARCHAR, the TEXT family, JSON; ENUM and SET, whose texts are stored as numbers."""
        return self.kind in _CHARACTER_KINDS

    @property
    def is_binary(self) -> bool:
        return self.kind in _BINARY_KINDS

    @property
    def is_enumerated(self) -> bool:
        """ENUM or SET."""
        return self.kind in _ENUMERATED_KINDS

    @property
    def is_variable(self) -> bool:
        """Values differ in length, so they live in a row's variable section."""
        return (self.is_character and not self.is_enumerated) or self.is_binary

    @property
    def integer_bounds(self) -> tuple[int, int]:
        """(lowest, highest) value of an integer type, both allowed. YEAR holds 1901..2155, and 0."""
        if self.kind is Kind.YEAR:
            return 0, 2155
        if self.kind is Kind.BIT:
            return 0, (1 << self.length) - 1
        bits = _INTEGER_BITS[self.kind]
        return (0, (1 << bits) - 1) if self.unsigned else (-(1 << (bits - 1)), (1 << (bits - 1)) - 1)

    @property
    def max_bytes(self) -> int:
        """The most bytes a value may take, of the types whose `length` counts bytes."""
        if self.kind is Kind.JSON:
            return _LENGTH_PREFIXES[-1][0]
        return self.length or _LENGTH_PREFIXES[1][0]

    @cached_property
    def arrow_type(self) -> pa.DataType:
        """The Arrow type of the module's table."""
        if self.is_integer:
            return (_UNSIGNED_ARROW if self.unsigned else _SIGNED_ARROW)[_INTEGER_BITS[self.kind]]
        if self.kind is Kind.DECIMAL:
            return pa.decimal128(self.precision, self.scale)
        if self.is_variable or self.is_enumerated:
            return pa.string() if self.is_character else pa.binary()
        return _SIMPLE_ARROW[self.kind]

    def mysql_name(self) -> str:
        """As SHOW CREATE TABLE writes it: `bigint unsigned`, `decimal(15,2)`, `varchar(25)`, `datetime(6)`."""
        if self.kind is Kind.BOOL:
            return "tinyint(1)"
        return self._sized_name() + (" unsigned" if self.unsigned and self.kind is not Kind.BIT else "")

    def _sized_name(self) -> str:
        name = self.kind.value
        if self.kind is Kind.DECIMAL:
            return f"{name}({self.precision},{self.scale})"
        if self.kind in _FRACTIONAL_KINDS:
            return f"{name}({self.scale})" if self.scale else name
        if self.kind in (Kind.TEXT, Kind.BLOB):
            return next(prefix for limit, prefix in _LENGTH_PREFIXES if self.max_bytes <= limit) + name
        if self.kind in (Kind.CHAR, Kind.VARCHAR, Kind.BINARY, Kind.VARBINARY, Kind.BIT):
            return f"{name}({self.length})"
        if self.is_enumerated:
            quoted = ("'" + member.replace("'", "''") + "'" for member in self.members)
            return f"{name}({','.join(quoted)})"
        return name


def _check(holds: bool, message: str) -> None:
    if not holds:
        raise InvalidRequest(message)
