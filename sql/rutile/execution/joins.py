"""Runs joins that no store can run alone: small tables are sent to every store, or the rows of all brought here."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import pyarrow as pa
import pyarrow.compute as pc

from rutile.execution.join_choice import MAX_KEYS, Broadcast, in_turns
from rutile.planner.fetch import KeyFilter
from rutile.planner.join_keys import JoinKey
from rutile.planner.scans import ScanPlan
from rutile_coprocessor.inputs import MAX_INPUT_BYTES, MAX_INPUT_ROWS, Input
from rutile_coprocessor.scan_source import ScanSource


class Fetch(Protocol):
    """Brings a scan's rows here."""

    async def __call__(self, scan: ScanPlan, filters: Sequence[KeyFilter]) -> ScanSource: ...


@dataclass
class Fetched:
    """The rows of scans that were brought here, and what they were filtered by."""

    sources: dict[str, ScanSource] = field(default_factory=dict)
    keys: dict[str, list[JoinKey]] = field(default_factory=dict)


async def fetch_all(scans: Sequence[ScanPlan], filters: dict[str, list[int]], fetch: Fetch, into: Fetched) -> None:
    """Bring scans here, the small ones first where their keys (`filters`: their numbers, by scan) leave out rows of
    larger ones.

    The reads of one turn run at once; the first that fails fails all, once the others have ended.
    """
    for turn in in_turns([scan for scan in scans if scan.name not in into.sources], filters):
        made = {scan.name: _key_filters(scan, filters.get(scan.name, []), into.sources) for scan in turn}
        found = await asyncio.gather(*(fetch(scan, made[scan.name]) for scan in turn))
        into.sources |= {scan.name: source for scan, source in zip(turn, found, strict=True)}
        into.keys |= {name: [each.key for each in found] for name, found in made.items()}


def _key_filters(scan: ScanPlan, numbers: Sequence[int], sources: Mapping[str, ScanSource]) -> list[KeyFilter]:
    """The filters that turned out to be small, as expected."""
    found, size = [], 0
    for number in numbers:
        key = scan.keys[number]
        if key.other not in sources:
            continue
        column = pc.unique(sources[key.other].table.column(key.other_column).combine_chunks()).drop_null()
        size += column.nbytes
        if len(column) <= MAX_KEYS and size <= MAX_INPUT_BYTES // 2:
            found.append(KeyFilter(key, pa.table({"k": column})))
    return found


def inputs_of(broadcast: Broadcast, sources: Mapping[str, ScanSource], size_bytes: int) -> tuple[Input, ...] | None:
    """The rows of all scans but the spread one as inputs of its fragment; None if they turned out to be too many."""
    tables = {name: source.table for name, source in sources.items() if name != broadcast.spread.name}
    limit = MAX_INPUT_BYTES if broadcast.is_forced else min(size_bytes, MAX_INPUT_BYTES)
    if sum(table.nbytes for table in tables.values()) > limit:
        return None
    if any(table.num_rows > MAX_INPUT_ROWS for table in tables.values()):
        return None
    inputs = tuple(Input.of(name, table) for name, table in tables.items())
    return inputs if sum(len(each.data) for each in inputs) <= MAX_INPUT_BYTES else None
