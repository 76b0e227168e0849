"""Running range plans: a scan of a key, closures on the rows, sorted and summed up in Python."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from decimal import Decimal, localcontext
from typing import Any

from rutile.expressions import semantics
from rutile.expressions.compile import Environment, NotCompilable
from rutile.planner.range_select import MAX_RANGES, PAUSE, Aggregate, KeyChoice, RangeSelect
from rutile.rows.access import Row
from rutile.session.result import Result, ResultColumn
from rutile.session.storage import KeyRange, KvSnapshot, NotNow, Pair
from rutile_coprocessor.schema import Scalar

MAX_ROWS = 1_000
"""Longer ranges are better read beside the data."""
SUM_PRECISION = 80
"""Digits of a thousand of the widest decimals, and more."""


async def run_range(plan: RangeSelect, reader: KvSnapshot, environment: Environment, ts: int) -> Result:
    """The result as of `ts`, which is the reader's. Raises NotCompilable where the general path should have it."""
    if plan.patience.pause:
        plan.patience.pause -= 1
        raise NotCompilable("the ranges were too long lately")
    key, ranges, exact = _chosen(plan, environment, ts)
    found = await _rows(plan, key, await _entries(plan, ranges, reader), reader)
    if not exact:
        found = [row for row in found if semantics.truth(plan.matches(row, environment))]
    columns = [ResultColumn(*told) for told in zip(plan.names, plan.types, plan.origins, strict=True)]
    made = [tuple(_aggregated(each, found) for each in plan.aggregates)] if plan.aggregates else _ordered(plan, found)
    if plan.limit is not None:
        made = made[: int(semantics.number(plan.limit((), environment)))]
    return Result.of_rows(columns, made)


def _chosen(plan: RangeSelect, environment: Environment, ts: int) -> tuple[KeyChoice, list[KeyRange], bool]:
    """The first key that the conditions bound, its ranges, and whether they hold nothing else."""
    for key in plan.keys:
        if key.index is not None and key.index.info.readable_from > ts:
            continue
        found = plan.ranges(key, environment)
        if found is not None and len(found[0]) <= MAX_RANGES:
            return key, *found
    raise NotCompilable("no key is bounded")


async def _entries(plan: RangeSelect, ranges: Sequence[KeyRange], reader: KvSnapshot) -> list[Pair]:
    """The pairs in the ranges. Raises NotCompilable when there are more than MAX_ROWS."""
    parts = await asyncio.gather(*(_scan(reader, low, high) for low, high in ranges)) if len(ranges) > 1 else [
        await _scan(reader, low, high) for low, high in ranges
    ]  # fmt: skip
    found = [pair for part in parts for pair in part]
    if len(found) > MAX_ROWS:
        plan.patience.pause = PAUSE
        raise NotCompilable("the ranges are long")
    return found


async def _scan(reader: KvSnapshot, low: bytes, high: bytes) -> Sequence[Pair]:
    try:
        return reader.scan_now(low, high, MAX_ROWS + 1)
    except NotNow:
        return await reader.scan(low, high, MAX_ROWS + 1)


async def _rows(plan: RangeSelect, key: KeyChoice, entries: Sequence[Pair], reader: KvSnapshot) -> list[Row]:
    decode = plan.table.rows.decode_row
    if key.index is None:
        return [decode(value) for _, value in entries]
    if key.covering:
        return [_covered(plan, key, entry) for entry in entries]
    keys = [plan.table.prefix + key.index.read(*entry)[1] for entry in entries]
    try:
        values: Sequence[bytes | None] = [reader.get_now(each) for each in keys]
    except NotNow:
        found = await reader.batch_get(keys)
        values = [found.get(each) for each in keys]
    return [decode(value) for value in values if value is not None]


def _covered(plan: RangeSelect, key: KeyChoice, entry: Pair) -> Row:
    """A row as far as an index's entry has it: the indexed columns and the primary key's; the others stay None."""
    assert key.index is not None
    values, handle = key.index.read(*entry)
    row: list[Scalar] = [None] * len(plan.table.schema.columns)
    for position, value in zip(plan.table.key_positions, plan.table.handles.decode(handle), strict=True):
        row[position] = value
    for position, part, value in zip(key.index.positions, key.index.info.columns, values, strict=True):
        if part.length is None:
            row[position] = value
    return tuple(row)


def _ordered(plan: RangeSelect, found: list[Row]) -> list[Row]:
    """The columns asked for, in order, each once where that is asked."""
    for position, descending in reversed(plan.order):
        found.sort(key=lambda row, at=position: _sort_key(row[at]), reverse=descending)  # type: ignore[misc]
    columns = plan.columns
    made = [tuple([row[at] for at in columns]) for row in found]
    return list(dict.fromkeys(made)) if plan.distinct else made


def _sort_key(value: Any) -> tuple[bool, Any]:
    """NULLs before everything, as MySQL has them."""
    return (False, 0) if value is None else (True, value)


def _aggregated(aggregate: Aggregate, rows: Sequence[Row]) -> Any:
    if aggregate.position is None:
        return len(rows)
    values: list[Any] = [row[aggregate.position] for row in rows if row[aggregate.position] is not None]
    match aggregate.function:
        case "count":
            return len(values)
        case "sum":
            return _sum(values)
        case "min":
            return min(values, default=None)
        case _:
            return max(values, default=None)


def _sum(values: Sequence[int | Decimal]) -> Decimal | None:
    """Exact, whatever the precision of the process's decimals."""
    with localcontext() as context:
        context.prec = SUM_PRECISION
        return Decimal(sum(values)) if values else None
