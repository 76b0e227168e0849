"""Running point plans: one get (or batch_get), closures, and puts into the buffer. No DuckDB, no Arrow."""

from __future__ import annotations

from rutile.execution.write import RowWriter, adjusted_environment
from rutile.expressions import semantics
from rutile.expressions.compile import Environment, NotCompilable
from rutile.planner.point import ConstantSelect, KeyFinder, PointDelete, PointSelect, PointUpdate
from rutile.rows.access import Row
from rutile.session.result import LONGTEXT, Result, ResultColumn, type_of_value
from rutile.session.storage import KvSnapshot, KvTransaction, NotNow
from rutile_coprocessor.schema import ColumnType
from rutile_proto.timestamps import MAX_TIMESTAMP


async def find_rows(
    finder: KeyFinder, reader: KvSnapshot, environment: Environment, ts: int = MAX_TIMESTAMP
) -> list[tuple[bytes, Row]]:
    """The rows WHERE names, with their keys, in key order. Raises NotCompilable when the index is not good at `ts`."""
    keys = finder.keys(environment)
    if finder.index is not None:
        if finder.index.info.readable_from > ts:
            raise NotCompilable(f"index {finder.index.info.name} is younger than the transaction")
        keys = await _row_keys(finder.table.prefix, keys, reader)
    if len(keys) == 1:
        value = await _get(reader, keys[0])
        found = [] if value is None else [(keys[0], value)]
    else:
        found = sorted((await reader.batch_get(keys)).items()) if keys else []
    decode = finder.table.rows.decode_row
    rows = [(key, decode(value)) for key, value in found]
    matches = finder.matches
    if matches is None:
        return rows
    return [(key, row) for key, row in rows if semantics.truth(matches(row, environment))]


async def _get(reader: KvSnapshot, key: bytes) -> bytes | None:
    """A value; from a store in this process, without an await where that is possible."""
    try:
        return reader.get_now(key)
    except NotNow:
        return await reader.get(key)


async def _row_keys(prefix: bytes, entries: list[bytes], reader: KvSnapshot) -> list[bytes]:
    """The keys of the rows that entries of a unique index lead to."""
    if len(entries) == 1:
        handle = await _get(reader, entries[0])
        return [] if handle is None else [prefix + handle]
    found = await reader.batch_get(entries) if entries else {}
    return [prefix + handle for handle in found.values()]


async def run_select(
    plan: PointSelect, reader: KvSnapshot, environment: Environment, ts: int = MAX_TIMESTAMP
) -> tuple[Result, list[bytes]]:
    """The result as of `ts`, which is the reader's, and the keys of its rows."""
    found = await find_rows(plan.finder, reader, environment, ts)
    if plan.limit is not None:
        found = found[: int(semantics.number(plan.limit((), environment)))]
    rows = [tuple(project(row, environment) for project in plan.project) for _, row in found]
    columns = [
        ResultColumn(name, _type(kind, rows, position), origin)
        for position, (name, kind, origin) in enumerate(zip(plan.names, plan.types, plan.origins, strict=True))
    ]
    return Result.of_rows(columns, rows), [key for key, _ in found]


def run_constant(plan: ConstantSelect, environment: Environment) -> Result:
    """The one row."""
    row = tuple(project((), environment) for project in plan.project)
    columns = [ResultColumn(name, _type(None, [row], at)) for at, name in enumerate(plan.names)]
    return Result.of_rows(columns, [row])


def _type(kind: ColumnType | None, rows: list[Row], position: int) -> ColumnType:
    if kind is not None:
        return kind
    return next((type_of_value(row[position]) for row in rows if row[position] is not None), LONGTEXT)


async def run_update(plan: PointUpdate, txn: KvTransaction, environment: Environment) -> Result:
    """The rows changed, counted as MySQL does: those that were already so do not count."""
    found = await find_rows(plan.finder, txn, environment, txn.start_ts)
    environment = adjusted_environment(environment, ignores=False)
    writer = RowWriter(plan.finder.table, txn, environment)
    await writer.look_ahead(found)
    changed = 0
    for number, (key, row) in enumerate(found, start=1):
        changed += await writer.update(key, row, writer.assign(row, plan.assignments, number))
    await writer.settle()
    return update_result(len(found), changed, environment)


def update_result(matched: int, changed: int, environment: Environment) -> Result:
    """What UPDATE answers, with the warnings of what was adjusted."""
    adjusting = environment.adjusting
    info = f"Rows matched: {matched}  Changed: {changed}  Warnings: {adjusting.count if adjusting else 0}"
    warnings = adjusting.warnings if adjusting else []
    return Result(affected_rows=changed, matched_rows=matched, warnings=warnings, info=info)


async def run_delete(plan: PointDelete, txn: KvTransaction, environment: Environment) -> Result:
    found = await find_rows(plan.finder, txn, environment, txn.start_ts)
    writer = RowWriter(plan.finder.table, txn, environment)
    await writer.look_ahead(found)
    for key, row in found:
        await writer.delete(key, row)
    await writer.settle()
    return Result(affected_rows=len(found))
