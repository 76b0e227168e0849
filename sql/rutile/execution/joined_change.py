"""UPDATE and DELETE over the rows of a join."""

from __future__ import annotations

from functools import partial

from rutile.execution.point import update_result
from rutile.execution.write import RowWriter, adjusted_environment
from rutile.expressions.compile import Environment
from rutile.planner.joined_change import ChangedTable, JoinedChangePlan
from rutile.rows.access import Row
from rutile.session.result import Result
from rutile.session.storage import KvTransaction


async def run_joined_change(
    plan: JoinedChangePlan, rows: list[Row], txn: KvTransaction, environment: Environment, *, is_update: bool
) -> Result:
    """Apply the plan to what its query gave; each row of each table once."""
    environment = adjusted_environment(environment, ignores=plan.ignores)
    matched, changed, writers = 0, 0, list[RowWriter]()
    for each in plan.tables:
        writer = RowWriter(each.table, txn, environment, partitions=each.partitions)
        writers.append(writer)
        chosen = _chosen(each, rows)
        await writer.look_ahead((key, old) for key, (_, old, _) in chosen.items())
        for key, (number, old, found) in chosen.items():
            if is_update:
                changed += await writer.try_update(key, old, partial(_new_row, each, writer, found, old, number))
            else:
                await writer.delete(key, old)
        matched += len(chosen)
    for writer in writers:
        await writer.settle()
    return update_result(matched, changed, environment) if is_update else Result(affected_rows=matched)


def _chosen(each: ChangedTable, rows: list[Row]) -> dict[bytes, tuple[int, Row, Row]]:
    """By the key of a row of one table: the number of the join's row in which it is first, it, and that row."""
    chosen: dict[bytes, tuple[int, Row, Row]] = {}
    for number, found in enumerate(rows, start=1):
        key, old = _row_of(each, found)
        if key is not None:
            chosen.setdefault(key, (number, old, found))
    return chosen


def _row_of(each: ChangedTable, found: Row) -> tuple[bytes | None, Row]:
    """The key and the row of one table in a row of the join; no key on the missing side of an outer join."""
    table = each.table
    end = each.start + len(table.schema.columns)
    row = found[each.start : end]
    row_id = found[end] if table.is_hidden else None
    named_by = [row_id] if table.is_hidden else [row[position] for position in table.key_positions]
    if None in named_by:
        return None, row
    assert row_id is None or isinstance(row_id, int)
    return table.key_of_row(row, row_id), row


def _new_row(each: ChangedTable, writer: RowWriter, found: Row, old: Row, number: int) -> Row:
    row = list(old)
    for position, place in each.computed:
        row[position] = writer.converters[position](found[place], number)
    return writer.touched(old, row, {position for position, _ in each.computed}, number)
