"""Values on the wire: binary rows and parameters there and back, text as MySQL writes it, statements from bytes."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rutile.errors import SqlError
from rutile.mysql.binary_protocol import binary_encoder, read_parameter
from rutile.mysql.columns import definition, wire_type
from rutile.mysql.constants import UTF8MB4_BIN, ColumnFlag
from rutile.mysql.literals import statement_text
from rutile.mysql.text_protocol import text_encoder
from rutile.mysql.wire import FieldReader
from rutile.parse.lexer import shape_of
from rutile.session.charsets import UTF8MB4
from rutile.session.result import ResultColumn
from rutile_coprocessor.schema import ColumnType, Kind

FLOATS = st.floats(allow_nan=False, allow_infinity=False)
TIMES = st.timedeltas(-timedelta(hours=838, minutes=59, seconds=59), timedelta(hours=838, minutes=59, seconds=59))
TYPES: list[tuple[ColumnType, st.SearchStrategy[object]]] = [
    *(
        (kind, st.integers(*kind.integer_bounds))
        for base in (Kind.TINYINT, Kind.SMALLINT, Kind.MEDIUMINT, Kind.INT, Kind.BIGINT)
        for kind in (ColumnType(base), ColumnType(base, unsigned=True))
    ),
    (ColumnType(Kind.BOOL), st.integers(0, 1)),
    (ColumnType(Kind.YEAR), st.integers(1901, 2155)),
    (ColumnType(Kind.FLOAT), st.floats(width=32, allow_nan=False, allow_infinity=False)),
    (ColumnType(Kind.DOUBLE), FLOATS),
    (ColumnType(Kind.DECIMAL, precision=20, scale=4), st.decimals(-(10**15), 10**15, places=4)),
    (ColumnType(Kind.VARCHAR, length=500), st.text(max_size=300)),
    (ColumnType(Kind.TEXT), st.text(max_size=20)),
    (ColumnType(Kind.BLOB), st.binary(max_size=300)),
    (ColumnType(Kind.DATE), st.dates()),
    (ColumnType(Kind.DATETIME, scale=6), st.datetimes()),
    (ColumnType(Kind.TIMESTAMP), st.datetimes().map(lambda moment: moment.replace(microsecond=0))),
    (ColumnType(Kind.TIME, scale=6), TIMES),
]


@settings(max_examples=80)
@given(st.lists(st.sampled_from(range(len(TYPES))), min_size=1, max_size=16), st.data())
def test_binary_rows_there_and_back(chosen: list[int], data: st.DataObject) -> None:
    types = [TYPES[index] for index in chosen]
    row = tuple(data.draw(st.none() | values) for _, values in types)
    columns = [ResultColumn("c", kind) for kind, _ in types]
    reader = FieldReader(binary_encoder(columns, UTF8MB4)(row))
    assert reader.take(1) == b"\0"
    nulls = reader.take((len(row) + 2 + 7) // 8)
    found = []
    for position, column in enumerate(columns, start=2):
        is_null = bool(nulls[position >> 3] & 1 << (position & 7))
        kind = wire_type(column.type)
        unsigned = ColumnFlag.UNSIGNED in kind.flags
        value = None if is_null else read_parameter(reader, kind.field, unsigned, UTF8MB4)
        found.append(value.decode() if isinstance(value, bytes) and kind.charset == UTF8MB4_BIN else value)
    assert tuple(found) == row
    assert reader.left == 0


@pytest.mark.parametrize(
    ("kind", "value", "text"),
    [
        (ColumnType(Kind.BIGINT, unsigned=True), 2**64 - 1, b"18446744073709551615"),
        (ColumnType(Kind.BOOL), True, b"1"),
        (ColumnType(Kind.FLOAT), 3.140000104904175, b"3.14"),
        (ColumnType(Kind.DOUBLE), 1.0, b"1"),
        (ColumnType(Kind.DOUBLE), 1e20, b"1e20"),
        (ColumnType(Kind.DECIMAL, precision=10, scale=8), Decimal("0E-8"), b"0.00000000"),
        (ColumnType(Kind.YEAR), 0, b"0000"),
        (ColumnType(Kind.DATE), date(2026, 1, 2), b"2026-01-02"),
        (ColumnType(Kind.DATETIME), datetime(2026, 1, 2), b"2026-01-02 00:00:00"),
        (ColumnType(Kind.DATETIME, scale=3), datetime(2026, 1, 2, 3, 4, 5, 678000), b"2026-01-02 03:04:05.678"),
        (ColumnType(Kind.DATETIME, scale=3), datetime(2026, 1, 2), b"2026-01-02 00:00:00.000"),
        (ColumnType(Kind.TIME), -timedelta(hours=100, seconds=1), b"-100:00:01"),
        (ColumnType(Kind.BLOB), b"\xff\0", b"\xff\0"),
    ],
)
def test_text_rows(kind: ColumnType, value: object, text: bytes) -> None:
    encode = text_encoder([ResultColumn("c", kind), ResultColumn("n", kind)], UTF8MB4)
    assert encode((value, None)) == bytes((len(text),)) + text + b"\xfb"  # type: ignore[arg-type]


def test_a_column_definition_byte_for_byte() -> None:
    column = ResultColumn("price", ColumnType(Kind.DECIMAL, precision=10, scale=2, unsigned=True))
    assert definition(column).hex(" ") == (
        "03 64 65 66 00 00 00 05 70 72 69 63 65 00 0c 3f 00 0c 00 00 00 f6 20 80 02 00 00"
    )


@given(st.integers(0, 255), st.binary(max_size=20), st.booleans())
def test_any_parameter_bytes_give_a_value_or_a_clear_error(kind: int, data: bytes, unsigned: bool) -> None:
    try:
        read_parameter(FieldReader(data), kind, unsigned, UTF8MB4)
    except SqlError as error:
        assert error.code in (1835, 1366)


@given(st.binary(max_size=60), st.sampled_from([b"_binary", b"_BINARY ", b""]))
def test_bytes_between_quotes_arrive_as_they_are(data: bytes, mark: bytes) -> None:
    escaped = data.replace(b"\\", b"\\\\").replace(b"'", b"\\'").replace(b"\0", b"\\0")
    text = statement_text(b"INSERT INTO `_binary'` VALUES (" + mark + b"'" + escaped + b"', 'a_binary''x')")
    shape = shape_of(text, ())
    assert shape is not None
    value = shape.values[0]
    assert (value if isinstance(value, bytes) else str(value).encode()) == data
    assert isinstance(value, bytes) or not mark
    assert shape.values[1] == "a_binary'x"


def test_bytes_outside_of_literals_are_refused() -> None:
    with pytest.raises(SqlError) as caught:
        statement_text(b"SELECT \xff\xfe")
    assert caught.value.code == 1300 and "FF FE" in caught.value.message
