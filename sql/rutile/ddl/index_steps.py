"""The steps of ADD INDEX and DROP INDEX: F1's states, one at a time.

    add      none -> delete only -> write only -> write reorganization -> [entries of the rows there are] -> public
    drop     public -> write only -> delete only -> none
    back     a failed or cancelled add goes the way of a drop from where it is

Why each state gets along with its neighbours: a front end in `delete only` leaves no entry of a row it removes, so what
the next state writes stays true; one in `write only` makes the entries of all it writes, so once all are there the
entries of the older rows can be made, and nothing will be missing when the first one reads. Until then two rows may
have one value of a unique index, one of them without an entry: whoever removes that one leaves the other's
(`rutile.execution.unfinished_entries`), and the fill refuses the index if both are still there.

Source: Online, Asynchronous Schema Change in F1 (VLDB 2013).
"""

from __future__ import annotations

from dataclasses import replace

from rutile.catalog.indexes import IndexInfo, IndexState
from rutile.catalog.jobs import Job, JobState
from rutile.catalog.model import TableInfo
from rutile.ddl.delete_ranges import schedule_delete_range
from rutile.session.storage import KvTransaction
from rutile_proto.keys import index_range
from rutile_proto.timestamps import physical_ms

NONE = "none"
ER_CANCELLED = 8214
_IN = (None, IndexState.DELETE_ONLY, IndexState.WRITE_ONLY, IndexState.WRITE_REORGANIZATION)
_OUT = {
    IndexState.PUBLIC: IndexState.WRITE_ONLY, IndexState.WRITE_REORGANIZATION: IndexState.DELETE_ONLY,
    IndexState.WRITE_ONLY: IndexState.DELETE_ONLY, IndexState.DELETE_ONLY: None,
}  # fmt: skip
FILLED = "filled"
"""In `Job.extra`: the entries of all rows are there."""


def next_step(txn: KvTransaction, job: Job, table: TableInfo | None, now_ts: int) -> tuple[Job, TableInfo | None]:
    """(the job after its next step, the table's new definition if that changes). `txn` takes what else belongs to it.

    A table that has gone meanwhile took the index along: the job is over.
    """
    if table is None:
        return job.failed(1146, f"Table '{job.database}.{job.table}' doesn't exist").over(), None
    if job.state is JobState.CANCELLING:
        job = job.failed(ER_CANCELLED, "Cancelled DDL job")
    if not job.started_ms:
        job = replace(job, started_ms=physical_ms(now_ts))
    index = next((each for each in table.indexes if each.id == job.index_id), None)
    if job.type == "drop index" or job.state is JobState.ROLLING_BACK:
        return _step_out(txn, job, table, index)
    return _step_in(job, table, index, now_ts)


def _step_in(job: Job, table: TableInfo, index: IndexInfo | None, now_ts: int) -> tuple[Job, TableInfo | None]:
    job = replace(job, state=JobState.RUNNING)
    if index is None:
        made = replace(IndexInfo.from_json(job.extra["index"]), state=IndexState.DELETE_ONLY)
        return _at(job, made.state), replace(table, indexes=(*table.indexes, made))
    if index.state is IndexState.WRITE_REORGANIZATION:
        if not job.extra.get(FILLED):
            return _at(job, index.state), None
        public = replace(index, state=IndexState.PUBLIC, readable_from=now_ts)
        return replace(_at(job, public.state), state=JobState.SYNCED), _with_index(table, public)
    state = _IN[_IN.index(index.state) + 1]
    assert state is not None
    return _at(job, state), _with_index(table, replace(index, state=state))


def _step_out(txn: KvTransaction, job: Job, table: TableInfo, index: IndexInfo | None) -> tuple[Job, TableInfo | None]:
    if index is None:
        return job.over(), None
    state = _OUT[index.state]
    if job.state is JobState.QUEUEING:
        job = replace(job, state=JobState.RUNNING)
    if state is not None:
        return _at(job, state), _with_index(table, replace(index, state=state))
    for physical_id in table.physical_ids:
        schedule_delete_range(txn, *index_range(physical_id, index.id))
    left = tuple(each for each in table.indexes if each.id != index.id)
    return replace(job.over(), schema_state=NONE), replace(table, indexes=left)


def _at(job: Job, state: IndexState) -> Job:
    return replace(job, schema_state=state.value)


def _with_index(table: TableInfo, index: IndexInfo) -> TableInfo:
    indexes = tuple(index if each.id == index.id else each for each in table.indexes)
    return replace(table, indexes=indexes)
