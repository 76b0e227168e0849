"""The tables of information_schema that show this front end and the cluster: sessions, statements, stores, regions.

Those named CLUSTER_ show in TiDB what every front end knows; a front end here knows its own sessions alone, so they
have one instance.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from rutile.catalog import jobs
from rutile.catalog.model import CatalogSnapshot
from rutile.privileges.names import Privilege
from rutile.rows.temporal import format_datetime
from rutile.session.process_list import process_rows
from rutile.session.statement_summary import Ran, Summary, Window, digest_of
from rutile.session.variables import SERVER_VERSION, SessionVariables
from rutile.show.status import status_rows
from rutile_proto import codec, keys

if TYPE_CHECKING:
    from rutile.session.session import Session

Rows = list[tuple[object, ...]]
MakeRows = Callable[["Session", CatalogSnapshot], Awaitable[Rows]]
_HERE = "127.0.0.1:4000"
_NANOSECONDS = 1_000_000_000


async def _processes(session: Session, catalog: CatalogSnapshot) -> Rows:
    return list(await process_rows(session))


async def _cluster_processes(session: Session, catalog: CatalogSnapshot) -> Rows:
    return [(_HERE, *row) for row in await process_rows(session)]


async def _seen(session: Session, found: Iterable[Ran]) -> list[Ran]:
    """Of all statements with PROCESS, otherwise of the account's own."""
    if await session.privileges.has_global(Privilege.PROCESS):
        return list(found)
    return [ran for ran in found if ran.user == session.privileges.identity.name]


# --- statements -------------------------------------------------------------------------------------------------------

_SUMMARY = (
    "SUMMARY_BEGIN_TIME SUMMARY_END_TIME STMT_TYPE SCHEMA_NAME DIGEST DIGEST_TEXT SAMPLE_USER EXEC_COUNT# SUM_ERRORS#"
    " SUM_WARNINGS# SUM_LATENCY# MAX_LATENCY# MIN_LATENCY# AVG_LATENCY# AVG_RESULT_ROWS# AVG_AFFECTED_ROWS# FIRST_SEEN"
    " LAST_SEEN QUERY_SAMPLE_TEXT PLAN PLAN_DIGEST"
)


def _summary_row(window: Window, end: datetime, summary: Summary) -> tuple[object, ...]:
    ran, count = summary.last, summary.count
    latencies = (summary.seconds, summary.longest_s, summary.shortest_s, summary.seconds / count)
    return (
        format_datetime(window.begun), format_datetime(end), ran.kind, ran.database, digest_of(ran.shape), ran.shape,
        ran.user, count, summary.errors, summary.warnings, *(int(each * _NANOSECONDS) for each in latencies),
        summary.rows_sent // count, summary.rows_affected // count, format_datetime(summary.first.ended),
        format_datetime(ran.ended), ran.text, *_plan(summary),
    )  # fmt: skip


def _plan(summary: Summary) -> tuple[str, str]:
    return ("", "") if summary.plan is None else (summary.plan.text, summary.plan.digest)


async def _summaries(session: Session, windows: list[Window]) -> Rows:
    ends = [*(window.begun for window in windows[1:]), session.shared.options.now()]
    rows = []
    for window, end in zip(windows, ends, strict=True):
        seen = set(map(id, await _seen(session, (summary.last for summary in window.summaries.values()))))
        rows += [_summary_row(window, end, each) for each in window.summaries.values() if id(each.last) in seen]
    return rows


async def _summary(session: Session, catalog: CatalogSnapshot) -> Rows:
    return await _summaries(session, [session.shared.history.windows[-1]])


async def _summary_history(session: Session, catalog: CatalogSnapshot) -> Rows:
    return await _summaries(session, list(session.shared.history.windows))


async def _cluster_summary(session: Session, catalog: CatalogSnapshot) -> Rows:
    return [(_HERE, *row) for row in await _summary(session, catalog)]


async def _cluster_summary_history(session: Session, catalog: CatalogSnapshot) -> Rows:
    return [(_HERE, *row) for row in await _summary_history(session, catalog)]


_SLOW = "Time Conn_ID# User Host DB Query_time Digest Result_rows# Succ# Query"


async def _slow(session: Session, catalog: CatalogSnapshot) -> Rows:
    return [
        (format_datetime(ran.ended), ran.connection_id, ran.user, ran.host, ran.database, f"{ran.seconds:.6f}",
         digest_of(ran.shape), ran.rows_sent, 1 - ran.failures, ran.text)
        for ran in await _seen(session, session.shared.history.slow)
    ]  # fmt: skip


async def _cluster_slow(session: Session, catalog: CatalogSnapshot) -> Rows:
    return [(_HERE, *row) for row in await _slow(session, catalog)]


# --- the cluster ------------------------------------------------------------------------------------------------------


async def _cluster_info(session: Session, catalog: CatalogSnapshot) -> Rows:
    stores = await session.shared.client.stores()
    rows: Rows = [("tidb", _HERE, _HERE, SERVER_VERSION)]
    return rows + [("tikv", store.address, store.status_address, store.version) for store in stores]


async def _store_status(session: Session, catalog: CatalogSnapshot) -> Rows:
    return [
        (store.id, store.address, int(store.state), ("Up", "Offline", "Tombstone")[store.state], store.version)
        for store in await session.shared.client.stores()
    ]


async def _region_status(session: Session, catalog: CatalogSnapshot) -> Rows:
    names = {info.table_id: (info.schema.database, info.schema.name) for info in catalog.tables.values()}
    rows: Rows = []
    for info in await session.shared.client.regions_in(keys.TABLE_PREFIX, keys.TABLE_PREFIX + b"\xff"):
        table_id = _table_id(info.region.start_key)
        database, table = names.get(table_id, (None, None))
        region, epoch = info.region, info.region.region_epoch
        leader = info.leader.store_id if info.leader is not None else None
        rows.append((
            region.id, region.start_key.hex(), region.end_key.hex(), table_id, database, table, epoch.conf_ver,
            epoch.version, len(region.peers), leader,
        ))  # fmt: skip
    return rows


def _table_id(start_key: bytes) -> int:
    """The table whose keys a region begins with; 0 if it begins elsewhere."""
    start = keys.user_bound(start_key)
    return codec.decode_int64(start, 1)[0] if start.startswith(keys.TABLE_PREFIX) and len(start) >= 9 else 0


async def _ddl_jobs(session: Session, catalog: CatalogSnapshot) -> Rows:
    client = session.shared.client
    reader = client.snapshot(await client.timestamp())
    return [
        (job.id, job.database, job.table, job.type, job.schema_state, job.table_id, job.row_count,
         _moment(job.created_ms), _moment(job.ended_ms), job.state.value)
        for job in [*await jobs.queued(reader), *await jobs.history(reader)]
    ]  # fmt: skip


def _moment(ms: int) -> str | None:
    return format_datetime(datetime.fromtimestamp(ms // 1000, UTC).replace(tzinfo=None)) if ms else None


async def _transactions(session: Session, catalog: CatalogSnapshot) -> Rows:
    seen = {row[0] for row in await process_rows(session)}
    return [
        (each.transaction.current.start_ts, "Running" if each.activity.statement else "Idle",
         each.privileges.identity.name, each.database, each.connection_id, each.activity.statement,
         "pessimistic" if each.transaction.is_pessimistic else "optimistic")
        for connection_id, each in sorted(session.shared.sessions.items())
        if connection_id in seen and each.transaction.current is not None
    ]  # fmt: skip


async def _session_variables(session: Session, catalog: CatalogSnapshot) -> Rows:
    return list(session.variables.items())


async def _global_variables(session: Session, catalog: CatalogSnapshot) -> Rows:
    return list(SessionVariables((await session.shared.catalog.current()).variables).global_items())


async def _session_status(session: Session, catalog: CatalogSnapshot) -> Rows:
    return list(status_rows(session, is_global=False))


async def _global_status(session: Session, catalog: CatalogSnapshot) -> Rows:
    return list(status_rows(session, is_global=True))


async def _none(session: Session, catalog: CatalogSnapshot) -> Rows:
    return []


_PROCESS = "ID# USER HOST DB COMMAND TIME# STATE INFO"
SESSION_TABLES: Mapping[str, tuple[str, MakeRows]] = {
    "processlist": (_PROCESS, _processes),
    "cluster_processlist": (f"INSTANCE {_PROCESS}", _cluster_processes),
    "statements_summary": (_SUMMARY, _summary),
    "statements_summary_history": (_SUMMARY, _summary_history),
    "cluster_statements_summary": (f"INSTANCE {_SUMMARY}", _cluster_summary),
    "cluster_statements_summary_history": (f"INSTANCE {_SUMMARY}", _cluster_summary_history),
    "slow_query": (_SLOW, _slow),
    "cluster_slow_query": (f"INSTANCE {_SLOW}", _cluster_slow),
    "cluster_info": ("TYPE INSTANCE STATUS_ADDRESS VERSION", _cluster_info),
    "tikv_store_status": ("STORE_ID# ADDRESS STORE_STATE# STORE_STATE_NAME VERSION", _store_status),
    "tikv_region_status": (
        "REGION_ID# START_KEY END_KEY TABLE_ID# DB_NAME TABLE_NAME EPOCH_CONF_VER# EPOCH_VERSION# PEERS#"
        " LEADER_STORE_ID#", _region_status,
    ),
    "ddl_jobs": (
        "JOB_ID# DB_NAME TABLE_NAME JOB_TYPE SCHEMA_STATE TABLE_ID# ROW_COUNT# CREATE_TIME END_TIME STATE", _ddl_jobs,
    ),
    "tidb_trx": ("ID# STATE USER DB SESSION_ID# CURRENT_SQL MODE", _transactions),
    "cluster_tidb_trx": ("ID# STATE USER DB SESSION_ID# CURRENT_SQL MODE", _transactions),
    "session_variables": ("VARIABLE_NAME VARIABLE_VALUE", _session_variables),
    "global_status": ("VARIABLE_NAME VARIABLE_VALUE", _global_status),
    "session_status": ("VARIABLE_NAME VARIABLE_VALUE", _session_status),
}  # fmt: skip
PERFORMANCE_TABLES: Mapping[str, tuple[str, MakeRows]] = {
    "session_variables": ("VARIABLE_NAME VARIABLE_VALUE", _session_variables),
    "global_variables": ("VARIABLE_NAME VARIABLE_VALUE", _global_variables),
    "session_status": ("VARIABLE_NAME VARIABLE_VALUE", _session_status),
    "global_status": ("VARIABLE_NAME VARIABLE_VALUE", _global_status),
    "setup_actors": ("HOST USER ROLE ENABLED HISTORY", _none),
    "processlist": (_PROCESS, _processes),
}
