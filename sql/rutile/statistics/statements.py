"""ANALYZE TABLE, DROP STATS and SHOW STATS_...: the statements about statistics."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from rutile.catalog.model import TableInfo
from rutile.parse import statements as st
from rutile.rows.temporal import format_datetime
from rutile.session.definitions import database_of
from rutile.session.result import Result, ResultColumn, Row, SqlWarning
from rutile.show.like import like_matcher
from rutile.statistics.collect import Wish, check_columns
from rutile.statistics.model import ColumnStatistics, TableStatistics
from rutile.statistics.summary import BUCKETS, COMMON_VALUES, Detail
from rutile_coprocessor.schema import Column, ColumnType, Kind
from rutile_proto.timestamps import physical_ms

if TYPE_CHECKING:
    from rutile.session.session import Session

_TEXT = ColumnType(Kind.VARCHAR, length=4096)
_NUMBER = ColumnType(Kind.BIGINT)
_DOUBLE = ColumnType(Kind.DOUBLE)


async def run_analyze(session: Session, statement: st.AnalyzeTable) -> Result:
    """ANALYZE TABLE: a note for each table of how much was read. Raises 1046, 1072, 1146."""
    detail = Detail(
        COMMON_VALUES if statement.topn is None else statement.topn,
        BUCKETS if statement.buckets is None else max(1, statement.buckets),
    )
    wish = Wish(statement.columns, detail, statement.sample_rate)
    infos = [await _table(session, name) for name in statement.tables]
    for info in infos:
        check_columns(info, wish)
    notes = []
    for info in infos:
        found = await session.shared.statistics_keeper.analyze(info, wish)
        name = f"{info.schema.database}.{info.schema.name}"
        notes.append(SqlWarning("Note", 1105, f"Analyzed {name}: {found.rows} rows, {found.sampled} sampled"))
    return Result(warnings=notes)


async def run_drop_stats(session: Session, statement: st.DropStats) -> Result:
    """DROP STATS. Raises 1046, 1146."""
    for info in [await _table(session, name) for name in statement.tables]:
        await session.shared.statistics_keeper.drop(info.table_id)
    return Result()


async def _table(session: Session, name: st.TableName) -> TableInfo:
    return await session.shared.catalog.get_table(database_of(name, session.database), name.name)


# --- SHOW -------------------------------------------------------------------------------------------------------------

_NAMES = {"Db_name": _TEXT, "Table_name": _TEXT, "Partition_name": _TEXT}
_COLUMN_NAMES = {**_NAMES, "Column_name": _TEXT, "Is_index": _NUMBER}
_HEADS: dict[str, dict[str, ColumnType]] = {
    "stats_meta": {**_NAMES, "Update_time": _TEXT, "Modify_count": _NUMBER, "Row_count": _NUMBER},
    "stats_healthy": {**_NAMES, "Healthy": _NUMBER},
    "stats_histograms": {
        **_COLUMN_NAMES, "Update_time": _TEXT, "Distinct_count": _NUMBER, "Null_count": _NUMBER,
        "Avg_col_size": _DOUBLE, "Correlation": _DOUBLE,
    },
    "stats_topn": {**_COLUMN_NAMES, "Value": _TEXT, "Count": _NUMBER},
    "stats_buckets": {
        **_COLUMN_NAMES, "Bucket_id": _NUMBER, "Count": _NUMBER, "Repeats": _NUMBER, "Lower_Bound": _TEXT,
        "Upper_Bound": _TEXT,
    },
    "analyze status": {
        "Table_schema": _TEXT, "Table_name": _TEXT, "Partition_name": _TEXT, "Job_info": _TEXT,
        "Processed_rows": _NUMBER, "Start_time": _TEXT, "End_time": _TEXT, "State": _TEXT, "Fail_reason": _TEXT,
    },
}  # fmt: skip
SHOW_KINDS = frozenset(_HEADS)


async def run_show_statistics(session: Session, statement: st.Show) -> Result:
    """SHOW STATS_META and its like, of the tables the session may see; LIKE is for table names."""
    matches = like_matcher(statement.pattern).match
    head = [ResultColumn(name, kind) for name, kind in _HEADS[statement.what].items()]
    if statement.what == "analyze status":
        return Result.of_rows(head, [row for row in _runs(session) if matches(str(row[1]))])
    await session.shared.statistics.refresh()
    seen = await session.privileges.visible(await session.shared.catalog.current())
    rows: list[Row] = []
    for info in sorted(seen.tables.values(), key=lambda info: (info.schema.database, info.schema.name)):
        found = session.shared.statistics.of(info.table_id)
        if found is not None and matches(info.schema.name):
            changed = session.shared.statistics.changed(info.table_id)
            rows += _ROWS[statement.what](info, found, changed)
    return Result.of_rows(head, rows)


def _runs(session: Session) -> Iterator[Row]:
    for run in reversed(session.shared.statistics_keeper.runs):
        ended = format_datetime(run.ended) if run.ended is not None else None
        started = format_datetime(run.started)
        yield (run.database, run.table, "", run.job, run.rows, started, ended, run.state, run.error)


def _names(info: TableInfo) -> Row:
    return (info.schema.database, info.schema.name, "")


def _collected(found: TableStatistics) -> str:
    return format_datetime(datetime.fromtimestamp(physical_ms(found.ts) // 1000, UTC).replace(tzinfo=None))


def _meta(info: TableInfo, found: TableStatistics, changed: int) -> Iterator[Row]:
    yield (*_names(info), _collected(found), changed, found.rows)


def _healthy(info: TableInfo, found: TableStatistics, changed: int) -> Iterator[Row]:
    """TiDB's measure: the share of rows not changed since, in percent."""
    healthy = 100 if changed == 0 else max(0, int((1 - changed / max(1, found.rows)) * 100))
    yield (*_names(info), healthy)


def _columns(info: TableInfo, found: TableStatistics) -> Iterator[tuple[Column, ColumnStatistics]]:
    for column in info.schema.columns:
        if column.id in found.columns:
            yield column, found.columns[column.id]


def _histograms(info: TableInfo, found: TableStatistics, changed: int) -> Iterator[Row]:
    for column, each in _columns(info, found):
        sizes = (each.distinct, each.nulls, each.width, 0.0)
        yield (*_names(info), column.name, 0, _collected(found), *sizes)


def _topn(info: TableInfo, found: TableStatistics, changed: int) -> Iterator[Row]:
    for column, each in _columns(info, found):
        for value, count in each.common:
            yield (*_names(info), column.name, 0, str(value), round(count))


def _buckets(info: TableInfo, found: TableStatistics, changed: int) -> Iterator[Row]:
    for column, each in _columns(info, found):
        low = each.low
        for place, bucket in enumerate(each.buckets):
            counts = (round(bucket.rows), round(bucket.repeats))
            yield (*_names(info), column.name, 0, place, *counts, str(low), str(bucket.high))
            low = bucket.high


_ROWS: dict[str, Callable[[TableInfo, TableStatistics, int], Iterator[Row]]] = {
    "stats_meta": _meta, "stats_healthy": _healthy, "stats_histograms": _histograms, "stats_topn": _topn,
    "stats_buckets": _buckets,
}  # fmt: skip
