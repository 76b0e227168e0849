"""UPDATE and DELETE over the rows a query found."""

from __future__ import annotations

from functools import partial

from rutile.execution.point import update_result
from rutile.execution.write import RowWriter, adjusted_environment
from rutile.expressions.compile import Environment
from rutile.planner.change import ChangePlan
from rutile.rows.access import Row
from rutile.session.result import Result
from rutile.session.storage import KvTransaction


async def run_change(
    plan: ChangePlan, rows: list[Row], txn: KvTransaction, environment: Environment, *, is_update: bool
) -> Result:
    """Apply the plan to what its query gave."""
    environment = adjusted_environment(environment, ignores=plan.ignores)
    writer = RowWriter(plan.table, txn, environment, partitions=plan.partitions)
    keyed = [(_key_of(plan, found), found) for found in rows]
    width = len(plan.table.schema.columns)
    await writer.look_ahead((key, found[:width]) for key, found in keyed)
    changed = 0
    for number, (key, found) in enumerate(keyed, start=1):
        old = found[:width]
        if is_update:
            changed += await writer.try_update(key, old, partial(_new_row, plan, writer, found, old, number))
        else:
            await writer.delete(key, old)
    await writer.settle()
    return update_result(len(rows), changed, environment) if is_update else Result(affected_rows=len(rows))


def _key_of(plan: ChangePlan, found: Row) -> bytes:
    width = len(plan.table.schema.columns)
    row_id = found[width] if plan.table.is_hidden else None
    assert row_id is None or isinstance(row_id, int)
    return plan.table.key_of_row(found[:width], row_id)


def _new_row(plan: ChangePlan, writer: RowWriter, found: Row, old: Row, number: int) -> Row:
    if plan.assignments is not None:
        return writer.assign(old, plan.assignments, number)
    row = list(old)
    for position, value in zip(plan.computed, found[-len(plan.computed) :], strict=True):
        row[position] = writer.converters[position](value, number)
    return writer.touched(old, row, set(plan.computed), number)
