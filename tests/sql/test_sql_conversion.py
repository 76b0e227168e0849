"""Values into columns, in strict mode."""

from datetime import date, datetime, timedelta
from decimal import Decimal

import pytest

from rutile.errors import SqlError
from rutile.rows.conversion import converter_for
from rutile.rows.readings import text_of
from rutile_coprocessor.schema import Column, ColumnType, Kind

INT = ColumnType(Kind.INT)
TINY_UNSIGNED = ColumnType(Kind.TINYINT, unsigned=True)
DECIMAL = ColumnType(Kind.DECIMAL, precision=5, scale=2)
FLOAT = ColumnType(Kind.FLOAT)
DOUBLE = ColumnType(Kind.DOUBLE)
CHAR = ColumnType(Kind.CHAR, length=3)
VARCHAR = ColumnType(Kind.VARCHAR, length=3)
TINYTEXT = ColumnType(Kind.TEXT, length=255)
BINARY = ColumnType(Kind.BINARY, length=3)
DATE = ColumnType(Kind.DATE)
DATETIME = ColumnType(Kind.DATETIME)
DATETIME3 = ColumnType(Kind.DATETIME, scale=3)
TIME = ColumnType(Kind.TIME)
YEAR = ColumnType(Kind.YEAR)
JSON = ColumnType(Kind.JSON)
BOOL = ColumnType(Kind.BOOL)


def convert(kind: ColumnType, value: object, *, nullable: bool = True) -> object:
    return converter_for(Column(1, "c", kind, nullable=nullable))(value, 1)


@pytest.mark.parametrize(
    ("kind", "value", "stored"),
    [
        (INT, "12", 12),
        (INT, " -7 ", -7),
        (INT, 1.5, 2),
        (INT, Decimal("2.5"), 3),
        (INT, Decimal("-2.5"), -3),
        (INT, "1e2", 100),
        (INT, True, 1),
        (INT, b"\x01\x00", 256),
        (TINY_UNSIGNED, 255, 255),
        (BOOL, True, 1),
        (DECIMAL, "1.005", Decimal("1.01")),
        (DECIMAL, 0.1, Decimal("0.10")),
        (DECIMAL, Decimal("-0.001"), Decimal("0.00")),
        (FLOAT, 0.1, 0.10000000149011612),
        (DOUBLE, "1e-3", 0.001),
        (CHAR, "ab  ", "ab"),
        (VARCHAR, "abc  ", "abc"),
        (VARCHAR, 1.5, "1.5"),
        (VARCHAR, b"\xc3\xa9", "é"),
        (VARCHAR, "äöü", "äöü"),
        (BINARY, "a", b"a\0\0"),
        (DATE, "2026-11-22 10:30:00", date(2026, 11, 22)),
        (DATE, 20261122, date(2026, 11, 22)),
        (DATE, "26/1/2", date(2026, 1, 2)),
        (DATETIME, "2026-11-22T10:30:15.5", datetime(2026, 11, 22, 10, 30, 16)),
        (DATETIME3, "2026-11-22 10:30:15.0005", datetime(2026, 11, 22, 10, 30, 15, 1000)),
        (DATETIME, date(2026, 1, 1), datetime(2026, 1, 1)),
        (DATETIME, "2026-01-01 00:00:00+02:00", datetime(2025, 12, 31, 22)),
        (TIME, "-1:02:03", -timedelta(hours=1, minutes=2, seconds=3)),
        (TIME, "2 03:00", timedelta(days=2, hours=3)),
        (TIME, 103000, timedelta(hours=10, minutes=30)),
        (TIME, "10:00:00.6", timedelta(hours=10, seconds=1)),
        (YEAR, 26, 2026),
        (YEAR, "70", 1970),
        (JSON, '{"a":[1,2]}', '{"a": [1, 2]}'),
        (INT, None, None),
    ],
)
def test_converted(kind: ColumnType, value: object, stored: object) -> None:
    result = convert(kind, value)
    assert result == stored
    assert type(result) is type(stored)


@pytest.mark.parametrize(
    ("kind", "value", "code"),
    [
        (INT, 1 << 31, 1264),
        (TINY_UNSIGNED, -1, 1264),
        (INT, float("inf"), 1264),
        (INT, "12x", 1366),
        (INT, "", 1366),
        (DECIMAL, 1000, 1264),
        (DECIMAL, "nan", 1366),
        (FLOAT, 1e39, 1264),
        (DOUBLE, "x", 1366),
        (CHAR, "abcd", 1406),
        (VARCHAR, "abcd", 1406),
        (TINYTEXT, "x" * 256, 1406),
        (BINARY, b"abcd", 1406),
        (VARCHAR, b"\xff", 1366),
        (DATE, "2026-02-30", 1292),
        (DATE, "0000-00-00", 1292),
        (DATETIME, "yesterday", 1292),
        (DATETIME, "2026-01-01 25:00:00", 1292),
        (TIME, "839:00:00", 1292),
        (YEAR, 1800, 1264),
        (JSON, "{", 3140),
    ],
)
def test_refused(kind: ColumnType, value: object, code: int) -> None:
    with pytest.raises(SqlError) as caught:
        convert(kind, value)
    assert caught.value.code == code
    assert "'c'" in caught.value.message


def test_null_needs_a_nullable_column() -> None:
    with pytest.raises(SqlError) as caught:
        convert(INT, None, nullable=False)
    assert (caught.value.code, caught.value.sqlstate) == (1048, "23000")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.0, "1"),
        (0.1, "0.1"),
        (1e20, "1e20"),
        (-2.5e-20, "-2.5e-20"),
        (Decimal("1.50"), "1.50"),
        (True, "1"),
        (date(2026, 1, 2), "2026-01-02"),
        (datetime(2026, 1, 2, 3, 4, 5), "2026-01-02 03:04:05"),
        (-timedelta(hours=100, microseconds=5), "-100:00:00.000005"),
    ],
)
def test_text_of_values(value: object, text: str) -> None:
    assert text_of(value) == text
