"""The steps of a column's change to another type: F1's states, one at a time.

    in       none -> delete only -> write only -> write reorganization -> [rows are rewritten] -> delete reorganization
             -> old delete only -> public: the new column in the old one's place
    back     from wherever a failed or cancelled change is, `old delete only` excepted -> delete only -> none

The new column is a column of its own, with indexes of its own, which rows hold beside the old one
(`rutile.catalog.column_change`). Why each state gets along with its neighbours:

* `delete only` can read rows with the new column, so others may begin to write them;
* in `write only` everybody writes both, so once that holds, rewriting what is older makes all rows whole;
* in `delete reorganization` nobody reads the old indexes, so others may cease to add to them. What is unique stays so:
  the new indexes are followed, and values that differ in them differ in the old ones;
* in `old delete only` nobody minds what the old indexes hold, so others may leave them alone. One that is unique would
  refuse a value that it has of a row removed by those at `public`, who do not know it;
* who is still there when others are at `public` writes both columns, which these can read. It cannot read the rows
  they write, whose layout it does not know: then it looks at the definition again (`LayoutMismatch`).

Rows are not rewritten a third time: those that hold the old column, too, keep it until they are next written.
"""

from __future__ import annotations

import itertools
from dataclasses import replace

from rutile.catalog.column_change import ChangeState, ColumnChange
from rutile.catalog.indexes import IndexColumn, IndexInfo, IndexState
from rutile.catalog.jobs import Job, JobState
from rutile.catalog.model import TableInfo, TableState
from rutile.ddl.delete_ranges import schedule_delete_range
from rutile.ddl.index_steps import ER_CANCELLED, FILLED, NONE
from rutile.session.storage import KvTransaction
from rutile_coprocessor.schema import Column, TableSchema
from rutile_proto.keys import index_range
from rutile_proto.timestamps import physical_ms

MODIFY_COLUMN = "modify column"
CHANGE = "change"
"""In `Job.extra`: what is asked for."""
_NEXT = dict(itertools.pairwise(ChangeState))
_OLD_INDEXES = {
    ChangeState.DELETE_REORGANIZATION: IndexState.WRITE_ONLY,
    ChangeState.OLD_DELETE_ONLY: IndexState.DELETE_ONLY,
}
"""On their way out; the new ones stay as they were filled."""
NO_WAY_BACK = ChangeState.OLD_DELETE_ONLY.value
"""The job's state from which on it cannot be taken back: the old indexes lack entries."""


def next_step(txn: KvTransaction, job: Job, table: TableInfo | None, now_ts: int) -> tuple[Job, TableInfo | None]:
    """(the job after its next step, the table's new definition if that changes); `txn` takes what else there is."""
    if table is None:
        return job.failed(1146, f"Table '{job.database}.{job.table}' doesn't exist").over(), None
    if job.state is JobState.CANCELLING:
        job = job.failed(ER_CANCELLED, "Cancelled DDL job")
    if not job.started_ms:
        job = replace(job, started_ms=physical_ms(now_ts))
    if job.state is JobState.ROLLING_BACK:
        return _step_out(txn, job, table)
    return _step_in(txn, replace(job, state=JobState.RUNNING), table, now_ts)


def _step_in(txn: KvTransaction, job: Job, table: TableInfo, now_ts: int) -> tuple[Job, TableInfo | None]:
    change = table.changing
    if change is None:
        return _begin(job, table, ColumnChange.from_json(job.extra[CHANGE]))
    if change.state is ChangeState.OLD_DELETE_ONLY:
        for old, _ in change.indexes:
            _forget_entries(txn, table, old)
        return replace(job, state=JobState.SYNCED, schema_state="public"), _swapped(table, change, now_ts)
    if change.state is ChangeState.WRITE_REORGANIZATION and not job.extra.get(FILLED):
        return _at(job, change.state), None
    state = _NEXT[change.state]
    moved = _in_state(table, change, state)
    if state in _OLD_INDEXES:
        return _at(job, state), _with_old_indexes(moved, change, _OLD_INDEXES[state])
    return _at(job, state), _with_new_indexes(moved, change, IndexState(state.value))


def _step_out(txn: KvTransaction, job: Job, table: TableInfo) -> tuple[Job, TableInfo | None]:
    change = table.changing
    if change is None:
        return job.over(), None
    if change.state is not ChangeState.DELETE_ONLY:
        back = _with_new_indexes(_in_state(table, change, ChangeState.DELETE_ONLY), change, IndexState.DELETE_ONLY)
        return _at(job, ChangeState.DELETE_ONLY), _with_old_indexes(back, change, IndexState.PUBLIC)
    for _, new in change.indexes:
        _forget_entries(txn, table, new)
    return replace(job.over(), schema_state=NONE), without_change(table)


def as_ended(table: TableInfo, now_ts: int) -> TableInfo:
    """The table at the end that a change which is under way would come to if its job ended now."""
    change = table.changing
    if change is not None and change.state is ChangeState.OLD_DELETE_ONLY:
        return _swapped(table, change, now_ts)
    return without_change(table)


def without_change(table: TableInfo) -> TableInfo:
    """The table without the change that is under way; rows that hold the new column can still be read."""
    change = table.changing
    if change is None:
        return table
    schema, layout = table.schema, table.schema.layout_version + 1
    dropped = tuple(
        replace(column, dropped_in=layout) if column.id == change.column.id else column for column in schema.dropped
    )
    new = {index_id for _, index_id in change.indexes}
    kept = replace(table, indexes=tuple(index for index in table.indexes if index.id not in new), changing=None)
    kept = _with_old_indexes(kept, change, IndexState.PUBLIC)
    return replace(kept, schema=replace(schema, dropped=dropped, layout_version=layout))


def _begin(job: Job, table: TableInfo, change: ColumnChange) -> tuple[Job, TableInfo | None]:
    """The first step, if the table still is as it was when the job was queued."""
    columns = table.schema.columns
    others = [column.name.lower() for column in columns if column.id != change.source_id]
    _, after = change.place
    is_there = len(others) < len(columns) and (after is None or after.lower() in others)
    if not is_there or change.column.name.lower() in others or table.state is not TableState.PUBLIC:
        message = f"Table '{table.schema.name}' changed before its column '{change.column.name}' could"
        return job.failed(1054, message).over(), None
    return _at(job, ChangeState.DELETE_ONLY), _begun(table, change)


def _begun(table: TableInfo, change: ColumnChange) -> TableInfo:
    """The table with the new column, hidden, and its indexes."""
    schema, layout = table.schema, table.schema.layout_version + 1
    fresh = max(column.id for column in (*schema.columns, *schema.dropped)) + 1
    column = replace(change.column, id=fresh, added_in=layout)
    affected = [index.id for index in table.indexes if change.source_id in index.column_ids]
    pairs = tuple((old, table.last_index_id + at) for at, old in enumerate(affected, start=1))
    change = replace(change, column=column, indexes=pairs)
    hidden = replace(column, name=change.hidden_name, nullable=True)
    new_of = dict(change.indexes)
    made = tuple(_copied(index, new_of[index.id], change) for index in table.indexes if index.id in new_of)
    return replace(
        table,
        schema=replace(schema, dropped=(*schema.dropped, hidden), layout_version=layout),
        indexes=(*table.indexes, *made),
        last_index_id=max([table.last_index_id, *new_of.values()]),
        changing=replace(change, column=column),
    )


def _copied(index: IndexInfo, index_id: int, change: ColumnChange) -> IndexInfo:
    """The index as it will be, under the same name: who looks for the name finds the old one, which is first."""
    columns = tuple(
        IndexColumn(change.column.id, part.length) if part.column_id == change.source_id else part
        for part in index.columns
    )
    return replace(index, id=index_id, columns=columns, state=IndexState.DELETE_ONLY, readable_from=0)


def _swapped(table: TableInfo, change: ColumnChange, now_ts: int) -> TableInfo:
    """The new column in the old one's place, its indexes in the place of the old ones."""
    schema, layout = table.schema, table.schema.layout_version + 1
    source = next(column for column in schema.columns if column.id == change.source_id)
    column = replace(change.column, in_every_row=True)
    dropped = tuple(each for each in schema.dropped if each.id != column.id)
    changed = replace(
        schema,
        columns=_placed(schema, source.id, column, change.place),
        dropped=(*dropped, replace(source, dropped_in=layout)),
        primary_key=tuple(column.id if each == source.id else each for each in schema.primary_key),
        layout_version=layout,
    )
    by_id = {index.id: index for index in table.indexes}
    new_of = dict(change.indexes)
    indexes = []
    for index in table.indexes:
        if index.id in new_of:
            new = by_id[new_of[index.id]]
            indexes.append(replace(new, state=IndexState.PUBLIC, readable_from=now_ts))
        elif index.id not in new_of.values():
            indexes.append(index)
    return replace(table, schema=changed, indexes=tuple(indexes), changing=None)


def _placed(schema: TableSchema, source_id: int, column: Column, place: tuple[bool, str | None]) -> tuple[Column, ...]:
    """The columns with the new one instead of the old one, or where FIRST or AFTER puts it."""
    columns = [column if each.id == source_id else each for each in schema.columns]
    first, after = place
    if first or after is not None:
        columns.remove(column)
        names = [each.name.lower() for each in columns]
        columns.insert(0 if after is None else names.index(after.lower()) + 1, column)
    return tuple(columns)


def _in_state(table: TableInfo, change: ColumnChange, state: ChangeState) -> TableInfo:
    return replace(table, changing=replace(change, state=state))


def _with_new_indexes(table: TableInfo, change: ColumnChange, state: IndexState) -> TableInfo:
    return _with_state(table, {new for _, new in change.indexes}, state)


def _with_old_indexes(table: TableInfo, change: ColumnChange, state: IndexState) -> TableInfo:
    return _with_state(table, {old for old, _ in change.indexes}, state)


def _with_state(table: TableInfo, index_ids: set[int], state: IndexState) -> TableInfo:
    indexes = tuple(replace(each, state=state) if each.id in index_ids else each for each in table.indexes)
    return replace(table, indexes=indexes)


def _forget_entries(txn: KvTransaction, table: TableInfo, index_id: int) -> None:
    for physical_id in table.physical_ids:
        schedule_delete_range(txn, *index_range(physical_id, index_id))


def _at(job: Job, state: ChangeState) -> Job:
    return replace(job, schema_state=state.value)
