"""Collecting a table's statistics: two queries that run beside the data, and their answers put together.

The first reads every row and brings one: counts, ranges, about how many different values. The second brings a sample:
rows whose key hashes below a bound, so that each region gives its share and the same rows come each time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pyarrow as pa

from rutile.catalog.model import TableInfo
from rutile.errors import SqlError
from rutile.statistics.model import ColumnStatistics, TableStatistics
from rutile.statistics.summary import Detail, summarize
from rutile_coprocessor.schema import HIDDEN_HANDLE, Column, Kind

if TYPE_CHECKING:
    from rutile.session.engine import Database

SAMPLE_ROWS = 60_000
"""About how many rows are sampled of a larger table."""
LONGEST_VALUE = 64
"""Characters of a text in histograms; common values that are longer are not told."""
_HASH_PARTS = 1_000_000


@dataclass(frozen=True, slots=True)
class Wish:
    """What ANALYZE TABLE asks for."""

    columns: tuple[str, ...] | None = None
    """Names in lower case; None: all."""
    detail: Detail = field(default_factory=Detail)
    sample_rate: float | None = None
    """None: so that about SAMPLE_ROWS come."""


async def collect(database: Database, info: TableInfo, wish: Wish) -> TableStatistics:
    """The statistics of a table as of now. Raises SqlError."""
    columns = [column for column in info.schema.columns if _is_described(column, wish)]
    session = await database.session(info.schema.database)
    try:
        ts = await database.client.timestamp()
        counted = (await session.door.run(_count_query(info, columns), ())).arrow().to_pylist()[0]
        rows = int(counted["row_count"])
        rate = min(1.0, SAMPLE_ROWS / max(1, rows)) if wish.sample_rate is None else wish.sample_rate
        sample = (await session.door.run(_sample_query(info, columns, rate), ())).arrow()
    finally:
        await session.close()
    scale = rows / max(1, sample.num_rows)
    found = {
        column.id: _column(place, counted, sample.column(place), scale, wish.detail)
        for place, column in enumerate(columns)
    }
    return TableStatistics(info.table_id, ts, rows, sample.num_rows, found)


def check_columns(info: TableInfo, wish: Wish) -> None:
    """Raises 1072 for a column the table has not."""
    for name in wish.columns or ():
        if not info.schema.has_column(name):
            raise SqlError(1072, f"Key column '{name}' doesn't exist in table", sqlstate="42000")


def _is_described(column: Column, wish: Wish) -> bool:
    if column.type.kind is Kind.JSON:
        return False
    return wish.columns is None or column.name.lower() in wish.columns


def _count_query(info: TableInfo, columns: Sequence[Column]) -> str:
    parts = ["count(*) AS row_count"]
    for place, column in enumerate(columns):
        name = _quoted(column.name)
        value = _value(column)
        parts.append(f"count({name}) AS n{place}, approx_count_distinct({name}) AS d{place}")
        if value is not None:
            parts.append(f"min({value}) AS low{place}, max({value}) AS high{place}")
        if column.type.is_character:
            parts.append(f"avg(strlen({name})) AS w{place}")
    return f"SELECT {', '.join(parts)} FROM {_table(info)}"


def _sample_query(info: TableInfo, columns: Sequence[Column], rate: float) -> str:
    values = [f"{_value(column) or 'NULL'} AS v{place}" for place, column in enumerate(columns)]
    where = "" if rate >= 1 else f" WHERE hash({_key(info)}) % {_HASH_PARTS} < {round(rate * _HASH_PARTS)}"
    return f"SELECT {', '.join(values) or '1'} FROM {_table(info)}{where}"


def _key(info: TableInfo) -> str:
    names = [column.name for column in info.schema.primary_key_columns] or [HIDDEN_HANDLE]
    return ", ".join(_quoted(name) for name in names)


def _value(column: Column) -> str | None:
    """The value as statistics hold it; None for what has no useful order."""
    if column.type.is_binary:
        return None
    return f"left({_quoted(column.name)}, {LONGEST_VALUE})" if column.type.is_character else _quoted(column.name)


def _column(
    place: int, counted: dict[str, object], sample: pa.ChunkedArray, scale: float, detail: Detail
) -> ColumnStatistics:
    present, total = _number(counted[f"n{place}"]), _number(counted["row_count"])
    common, buckets = ((), ()) if pa.types.is_null(sample.type) else summarize(sample, scale, detail)
    distinct = min(present, _number(counted[f"d{place}"]))
    return ColumnStatistics(
        nulls=total - present,
        distinct=max(distinct, min(present, len(common) + len(buckets))),
        low=counted.get(f"low{place}"),  # type: ignore[arg-type]
        high=counted.get(f"high{place}"),  # type: ignore[arg-type]
        width=float(counted.get(f"w{place}") or _fixed_width(sample.type)),  # type: ignore[arg-type]
        common=common,
        buckets=buckets,
    )


def _number(value: object) -> int:
    assert isinstance(value, int)
    return value


def _fixed_width(kind: pa.DataType) -> float:
    return kind.bit_width / 8 if pa.types.is_primitive(kind) or pa.types.is_decimal(kind) else 0.0


def _table(info: TableInfo) -> str:
    return f"{_quoted(info.schema.database)}.{_quoted(info.schema.name)}"


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
