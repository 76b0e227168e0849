"""Dropped and truncated tables, and how they come back: FLASHBACK TABLE, RECOVER TABLE, FLASHBACK DATABASE.

A drop leaves the rows where they are, and a note that they are to be destroyed once the safe point has passed
(`rutile_kv.client.delete_ranges`). It also leaves a job in the history with the definition. To recover is to take the
note back and put the definition in again, in one transaction. The garbage collector claims a note in a transaction
before it destroys anything, so one of the two finds that the other was first: a table is recovered whole or not at all.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from rutile import errors
from rutile.catalog import jobs, meta
from rutile.catalog.jobs import Job, JobState
from rutile.catalog.model import CatalogSnapshot, DatabaseInfo, TableInfo
from rutile.catalog.sequence_info import SequenceInfo
from rutile.catalog.view_info import ViewInfo
from rutile.ddl.column_steps import as_ended
from rutile.ddl.delete_ranges import range_of_table, unschedule
from rutile.errors import SqlError
from rutile.session.storage import KvTransaction
from rutile_proto.timestamps import physical_ms

DROP_TABLE = "drop table"
TRUNCATE_TABLE = "truncate table"
DROP_DATABASE = "drop schema"
ER_SNAPSHOT_TOO_OLD = 8055
_TABLE, _COUNTERS, _BACK = "table", "counters", "recovered"


# --- what a drop leaves -----------------------------------------------------------------------------------------------


async def note_table(txn: KvTransaction, info: TableInfo, kind: str, *, alone: bool = True) -> None:
    """Write down in the history that a table is dropped or truncated. `alone`: not with its database.

    The job has the number of the table, which nothing else has.
    """
    keys = meta.auto_increment_key(info.table_id), meta.row_id_key(info.table_id)
    counters = [await meta.read_counter(txn, key) for key in keys]
    extra = {_TABLE: json.loads(as_ended(info, txn.start_ts).to_bytes()), _COUNTERS: counters, "alone": alone}
    await _note(txn, info.table_id, kind, info.schema.database, info.schema.name, extra)


async def note_database(txn: KvTransaction, seen: CatalogSnapshot, info: DatabaseInfo, tables: list[TableInfo]) -> None:
    """Write down that a database is dropped, with all there was in it."""
    sequences = [
        [json.loads(each.to_bytes()), (await txn.get(meta.sequence_next_key(each.sequence_id)) or b"").decode()]
        for each in seen.sequences_of(info.name)
    ]
    extra = {
        "tables": [table.table_id for table in tables],
        "views": [json.loads(view.to_bytes()) for view in seen.views_of(info.name)],
        "sequences": sequences,
    }
    await _note(txn, info.database_id, DROP_DATABASE, info.name, "", extra)


async def _note(txn: KvTransaction, job_id: int, kind: str, database: str, table: str, extra: dict[str, Any]) -> None:
    await jobs.forget_old(txn)
    now_ms = physical_ms(txn.start_ts)
    job = Job(
        job_id, kind, database, table, job_id, 0, "", now_ms, JobState.SYNCED, "none",
        started_ms=now_ms, ended_ms=now_ms, extra=extra,
    )  # fmt: skip
    jobs.save(txn, job)


# --- the way back -----------------------------------------------------------------------------------------------------


class Recovery:
    """The change of the catalogue that brings back what `choose` picks of the history, under another name if one is
    given. Run it with `Catalog.change`."""

    def __init__(self, choose: Callable[[Job], bool], shown: str, new_name: str | None = None) -> None:
        self._choose = choose
        self._shown = shown
        self._new_name = new_name

    async def table(self, txn: KvTransaction, seen: CatalogSnapshot) -> TableInfo:
        """Raises 1049, 1050, 8055."""
        job = await self._job(txn, (DROP_TABLE, TRUNCATE_TABLE))
        info = TableInfo.from_bytes(json.dumps(job.extra[_TABLE]).encode())
        if seen.database(info.schema.database) is None:
            raise errors.unknown_database(info.schema.database)
        name = self._new_name or info.schema.name
        if seen.has_name(info.schema.database, name):
            raise SqlError(errors.ER_TABLE_EXISTS, f"Table '{name}' already exists")
        return await self._bring_back(txn, job, replace(info, schema=replace(info.schema, name=name)))

    async def database(self, txn: KvTransaction, seen: CatalogSnapshot) -> None:
        """Raises 1007, 8055."""
        job = await self._job(txn, (DROP_DATABASE,))
        name = self._new_name or job.database
        if seen.database(name) is not None:
            raise SqlError(errors.ER_DB_CREATE_EXISTS, f"Can't create database '{name}'; database exists")
        txn.put(meta.database_key(name), DatabaseInfo(job.id, name).to_bytes())
        for table_id in job.extra["tables"]:
            dropped = await jobs.find(txn, table_id)
            if dropped is None:
                raise self._too_late()
            info = TableInfo.from_bytes(json.dumps(dropped.extra[_TABLE]).encode())
            await self._bring_back(txn, dropped, replace(info, schema=replace(info.schema, database=name)))
        for body in job.extra["views"]:
            view = ViewInfo.from_bytes(json.dumps(body).encode())
            moved = replace(view, schema=replace(view.schema, database=name))
            txn.put(meta.view_key(name, view.schema.name), moved.to_bytes())
        for body, following in job.extra["sequences"]:
            sequence = replace(SequenceInfo.from_bytes(json.dumps(body).encode()), database=name)
            txn.put(meta.sequence_key(name, sequence.name), sequence.to_bytes())
            txn.put(meta.sequence_next_key(sequence.sequence_id), following.encode())
        jobs.save(txn, replace(job, extra={**job.extra, _BACK: True}))

    async def _job(self, txn: KvTransaction, kinds: Iterable[str]) -> Job:
        for job in await jobs.history(txn):
            if job.type in kinds and not job.extra.get(_BACK) and self._choose(job):
                return job
        raise self._too_late()

    async def _bring_back(self, txn: KvTransaction, job: Job, info: TableInfo) -> TableInfo:
        for physical_id in dict.fromkeys((info.table_id, *info.physical_ids)):
            if not await unschedule(txn, *range_of_table(physical_id)):
                raise self._too_late()
        # An index on its way in had a job, which has found its table gone.
        back = replace(info, indexes=info.public_indexes, referrers=())
        for key, value in zip(
            (meta.auto_increment_key(info.table_id), meta.row_id_key(info.table_id)), job.extra[_COUNTERS], strict=True
        ):
            if value:
                txn.put(key, str(value).encode())
        txn.put(meta.table_key(info.schema.database, info.schema.name), back.to_bytes())
        jobs.save(txn, replace(job, extra={**job.extra, _BACK: True}))
        return back

    def _too_late(self) -> SqlError:
        message = (
            f"Can't find dropped/truncated {self._shown} in GC safe point: it was not dropped, is back already, or"
        )
        return SqlError(ER_SNAPSHOT_TOO_OLD, f"{message} garbage collection has begun to remove it")
