"""What a statement gives back: typed columns, and rows as an Arrow table or as Python values, whichever was made.

Point plans make Python rows, everything pushed down makes Arrow; each is turned into the other only when asked for.
The MySQL type of a column travels in the Arrow field's metadata, so a result keeps its types over the wire.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cached_property
from typing import TYPE_CHECKING

import pyarrow as pa

from rutile_coprocessor.schema import ColumnType, Kind, Scalar

if TYPE_CHECKING:
    from rutile.rows.origins import Origin  # would load DuckDB, which the key-value face does without

TYPE_METADATA = b"rutile.type"
"""Arrow field metadata: `kind,unsigned,precision,scale,length`, and each member of an ENUM or SET after a NUL."""

Row = tuple[Scalar, ...]


@dataclass(frozen=True, slots=True)
class ResultColumn:
    """A column of a result set."""

    name: str
    type: ColumnType
    origin: Origin | None = None
    """The table's column that it is unchanged, where that is so."""


@dataclass(frozen=True, slots=True)
class SqlWarning:
    """A row of SHOW WARNINGS."""

    level: str
    code: int
    message: str


@dataclass
class Result:
    """What a statement did or found. `columns` is empty for statements without a result set."""

    columns: list[ResultColumn] = field(default_factory=list)
    affected_rows: int = 0
    matched_rows: int = 0
    """Rows an UPDATE found, those already as asked for included: what some clients want for `affected_rows`."""
    last_insert_id: int = 0
    warnings: list[SqlWarning] = field(default_factory=list)
    info: str = ""
    plan: object | None = None
    """The executed plan (rutile.planner.plan.PlanNode), after EXPLAIN ANALYZE."""
    _rows: list[Row] | None = None
    _table: pa.Table | None = None

    @classmethod
    def of_rows(cls, columns: Sequence[ResultColumn], rows: list[Row]) -> Result:
        """A result set of Python rows."""
        return cls(columns=list(columns), _rows=rows)

    @classmethod
    def of_table(cls, table: pa.Table) -> Result:
        """A result set of an Arrow table."""
        return cls(columns=columns_from_schema(table.schema), _table=table)

    @property
    def has_rows(self) -> bool:
        """Whether the statement gives a result set, be it an empty one."""
        return bool(self.columns)

    @property
    def row_count(self) -> int:
        """How many rows there are, without making them."""
        if self._rows is not None:
            return len(self._rows)
        return self._table.num_rows if self._table is not None else 0

    def rows(self) -> list[Row]:
        """The rows as int, Decimal, float, str, bytes, date, datetime, timedelta or None."""
        if self._rows is None:
            self._rows = rows_of_table(self._table) if self._table is not None else []
        return self._rows

    def pages(self, page_rows: int) -> Iterator[list[Row]]:
        """The rows, at most `page_rows` at a time. An Arrow table is turned into Python values page by page."""
        if self._rows is None and self._table is not None:
            for start in range(0, self._table.num_rows, page_rows):
                yield rows_of_table(self._table.slice(start, page_rows))
        else:
            rows = self.rows()
            for start in range(0, len(rows), page_rows):
                yield rows[start : start + page_rows]

    def arrow(self) -> pa.Table:
        """The rows as an Arrow table, the MySQL types in the fields' metadata; without columns if there are none."""
        return self._arrow_table

    @cached_property
    def _arrow_table(self) -> pa.Table:
        if self._table is not None:
            return self._table
        schema = schema_of_columns(self.columns)
        values = list(zip(*self.rows(), strict=True)) if self.rows() else [()] * len(self.columns)
        arrays = [_array(column, field.type) for column, field in zip(values, schema, strict=True)]
        return pa.Table.from_arrays(arrays, schema=schema)


def _array(values: Sequence[Scalar], kind: pa.DataType) -> pa.Array:
    if pa.types.is_string(kind):
        values = [value if value is None or isinstance(value, str) else str(value) for value in values]
    return pa.array(values, kind)


def schema_of_columns(columns: Sequence[ResultColumn]) -> pa.Schema:
    """The Arrow schema of `columns`, their MySQL types in the metadata."""
    return pa.schema([field_of(column.name, column.type) for column in columns])


def field_of(name: str, kind: ColumnType) -> pa.Field:
    """An Arrow field that remembers its MySQL type."""
    parts = (kind.kind.value, int(kind.unsigned), kind.precision, kind.scale, kind.length)
    text = "\0".join([",".join(map(str, parts)), *kind.members])
    return pa.field(name, kind.arrow_type, metadata={TYPE_METADATA: text.encode()})


def columns_from_schema(schema: pa.Schema) -> list[ResultColumn]:
    """The columns of an Arrow schema: by their metadata, or by the nearest MySQL type where there is none."""
    return [ResultColumn(field.name, _type_of_field(field)) for field in schema]


def _type_of_field(field: pa.Field) -> ColumnType:
    text = (field.metadata or {}).get(TYPE_METADATA)
    if text is None:
        return type_of_arrow(field.type)
    sizes, *members = text.decode().split("\0")
    kind, unsigned, precision, scale, length = sizes.split(",")
    return ColumnType(Kind(kind), unsigned == "1", int(precision), int(scale), int(length), tuple(members))


BIGINT = ColumnType(Kind.BIGINT)
DOUBLE = ColumnType(Kind.DOUBLE)
LONGTEXT = ColumnType(Kind.TEXT, length=4_294_967_295)
LONGBLOB = ColumnType(Kind.BLOB, length=4_294_967_295)
_OF_ARROW = {
    pa.bool_(): ColumnType(Kind.BOOL), pa.int8(): ColumnType(Kind.TINYINT), pa.int16(): ColumnType(Kind.SMALLINT),
    pa.int32(): ColumnType(Kind.INT), pa.int64(): BIGINT,
    pa.uint8(): ColumnType(Kind.TINYINT, unsigned=True), pa.uint16(): ColumnType(Kind.SMALLINT, unsigned=True),
    pa.uint32(): ColumnType(Kind.INT, unsigned=True), pa.uint64(): ColumnType(Kind.BIGINT, unsigned=True),
    pa.float32(): ColumnType(Kind.FLOAT), pa.float64(): DOUBLE, pa.date32(): ColumnType(Kind.DATE),
}  # fmt: skip


def type_of_arrow(kind: pa.DataType) -> ColumnType:
    """The MySQL type nearest to an Arrow type; text for what MySQL has no word for."""
    if kind in _OF_ARROW:
        return _OF_ARROW[kind]
    if pa.types.is_decimal(kind):
        return ColumnType(Kind.DECIMAL, precision=min(kind.precision, 38), scale=min(kind.scale, 30))
    if pa.types.is_timestamp(kind):
        return ColumnType(Kind.DATETIME, scale=6)
    if pa.types.is_duration(kind) or pa.types.is_time(kind) or pa.types.is_interval(kind):
        return ColumnType(Kind.TIME, scale=6)
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        return LONGBLOB
    return LONGTEXT


def type_of_value(value: object) -> ColumnType:
    """The type of a computed value, for result columns that come from no table."""
    match value:
        case bool() | int():
            return ColumnType(Kind.BIGINT, unsigned=value > (1 << 63) - 1)
        case Decimal():
            scale = max(0, -int(value.as_tuple().exponent))
            return ColumnType(Kind.DECIMAL, precision=38, scale=min(scale, 30))
        case float():
            return DOUBLE
        case bytes():
            return LONGBLOB
        case datetime.datetime():
            return ColumnType(Kind.DATETIME, scale=6 if value.microsecond else 0)
        case datetime.date():
            return ColumnType(Kind.DATE)
        case datetime.timedelta():
            return ColumnType(Kind.TIME, scale=6 if value.microseconds else 0)
        case _:
            return LONGTEXT


def rows_of_table(table: pa.Table) -> list[Row]:
    """The rows of an Arrow table as Python values: booleans as 0 and 1, no time zones, TIME as timedelta."""
    if not table.num_columns:
        return []
    return list(zip(*(_python_values(column) for column in table.columns), strict=True))


def _python_values(column: pa.ChunkedArray) -> list[Scalar]:
    kind = column.type
    if pa.types.is_boolean(kind):
        return column.cast(pa.int8()).to_pylist()  # type: ignore[no-any-return]
    if pa.types.is_interval(kind):
        return [None if value is None else _interval_to_timedelta(value) for value in column.to_pylist()]
    if pa.types.is_time(kind):
        return _python_values(column.cast(pa.time64("us")).cast(pa.int64()).cast(pa.duration("us")))
    if _is_faster_by_numpy(kind):  # a twentieth of the time for dates and times, a third for decimals
        return column.to_numpy().tolist()  # type: ignore[no-any-return]
    return column.to_pylist()  # type: ignore[no-any-return]


def _is_faster_by_numpy(kind: pa.DataType) -> bool:
    """Whether numpy makes the same Python values: not of nanoseconds, which Python's types have not, nor of zones."""
    if pa.types.is_timestamp(kind):
        return kind.tz is None and kind.unit != "ns"
    if pa.types.is_duration(kind):
        return bool(kind.unit != "ns")
    return bool(pa.types.is_date32(kind) or pa.types.is_decimal(kind))


def _interval_to_timedelta(value: pa.MonthDayNano) -> datetime.timedelta:
    return datetime.timedelta(days=value.days + 30 * value.months, microseconds=value.nanoseconds // 1000)
