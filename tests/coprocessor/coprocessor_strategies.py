"""Hypothesis strategies for column types, their values, schemas and rows."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from decimal import Decimal

from hypothesis import strategies as st

from rutile_coprocessor.enumerations import text_of_number
from rutile_coprocessor.row_values import MAX_TIME_US
from rutile_coprocessor.schema import Column, ColumnType, Kind, Scalar, TableSchema

INTEGER_KINDS = (Kind.BOOL, Kind.TINYINT, Kind.SMALLINT, Kind.MEDIUMINT, Kind.INT, Kind.BIGINT)
SIMPLE_KINDS = (Kind.YEAR, Kind.FLOAT, Kind.DOUBLE, Kind.TEXT, Kind.BLOB, Kind.JSON, Kind.DATE)


@st.composite
def decimal_types(draw: st.DrawFn) -> ColumnType:
    precision = draw(st.integers(1, 38))
    scale = draw(st.integers(0, min(precision, 30)))
    return ColumnType(Kind.DECIMAL, precision=precision, scale=scale, unsigned=draw(st.booleans()))


column_types = st.one_of(
    st.builds(ColumnType, st.sampled_from(INTEGER_KINDS), unsigned=st.booleans()),
    st.builds(ColumnType, st.sampled_from(SIMPLE_KINDS)),
    st.builds(ColumnType, st.sampled_from((Kind.DATETIME, Kind.TIMESTAMP, Kind.TIME)), scale=st.integers(0, 6)),
    st.builds(
        ColumnType,
        st.sampled_from((Kind.CHAR, Kind.VARCHAR, Kind.BINARY, Kind.VARBINARY)),
        length=st.integers(0, 40),
    ),
    decimal_types(),
    st.builds(
        ColumnType,
        st.sampled_from((Kind.ENUM, Kind.SET)),
        members=st.lists(st.text("abcé'% ", min_size=1, max_size=4), min_size=1, max_size=64, unique=True).map(tuple),
    ),
    st.builds(ColumnType, st.just(Kind.BIT), unsigned=st.just(True), length=st.integers(1, 64)),
)


def values_of(kind: ColumnType) -> st.SearchStrategy[Scalar]:
    """Values the type can hold, never None."""
    step = 10 ** (6 - kind.scale)
    text_length = kind.length if kind.kind in (Kind.CHAR, Kind.VARCHAR, Kind.BINARY, Kind.VARBINARY) else 40
    if kind.is_integer:
        return st.integers(*kind.integer_bounds)
    if kind.is_enumerated:
        highest = len(kind.members) if kind.kind is Kind.ENUM else (1 << len(kind.members)) - 1
        return st.integers(int(kind.kind is Kind.ENUM), highest).map(lambda number: text_of_number(kind, number))
    if kind.is_character:
        return st.text(max_size=text_length)
    if kind.is_binary:
        return st.binary(max_size=text_length)
    if kind.kind is Kind.DECIMAL:
        limit = 10**kind.precision - 1
        return st.integers(0 if kind.unsigned else -limit, limit).map(
            lambda unscaled: Decimal((unscaled < 0, tuple(map(int, str(abs(unscaled)))), -kind.scale))
        )
    if kind.kind in (Kind.FLOAT, Kind.DOUBLE):
        width = 32 if kind.kind is Kind.FLOAT else 64
        return st.floats(allow_nan=False, allow_infinity=False, width=width)
    if kind.kind is Kind.DATE:
        return st.dates()
    if kind.kind is Kind.TIME:
        return st.integers(-MAX_TIME_US // step, MAX_TIME_US // step).map(lambda n: timedelta(microseconds=n * step))
    return st.datetimes().map(lambda at: at.replace(microsecond=at.microsecond // step * step))


def nullable_values_of(kind: ColumnType) -> st.SearchStrategy[Scalar]:
    return st.none() | values_of(kind)


@st.composite
def schemas(draw: st.DrawFn) -> TableSchema:
    kinds = draw(st.lists(column_types, min_size=1, max_size=12))
    ids = draw(st.permutations(range(1, len(kinds) + 1)))
    columns = tuple(Column(ids[place], f"c{place}", kind) for place, kind in enumerate(kinds))
    return TableSchema(7, "t", columns)


@st.composite
def tables(draw: st.DrawFn, max_rows: int = 8) -> tuple[TableSchema, list[tuple[Scalar, ...]]]:
    """A schema and rows of it."""
    schema = draw(schemas())
    row = st.tuples(*(nullable_values_of(column.type) for column in schema.columns))
    return schema, draw(st.lists(row, max_size=max_rows))


def sample_value(kind: ColumnType) -> Scalar:
    """Some value of the type, always the same."""
    if kind.is_integer:
        return 1
    if kind.is_enumerated:
        return kind.members[0]
    if kind.is_character:
        return ""
    if kind.is_binary:
        return b""
    return {
        Kind.DECIMAL: Decimal(0), Kind.FLOAT: 0.5, Kind.DOUBLE: 0.5, Kind.DATE: date(2024, 2, 29),
        Kind.DATETIME: datetime(2024, 2, 29), Kind.TIMESTAMP: datetime(2024, 2, 29), Kind.TIME: timedelta(hours=1),
    }[kind.kind]  # fmt: skip
