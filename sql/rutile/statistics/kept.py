"""Where statistics lie in the store, and how they change."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from rutile.catalog import meta
from rutile.catalog.meta import MetaReader, MetaWriter
from rutile.statistics.model import TableStatistics
from rutile_proto.keys import meta_key

VERSION_KEY = meta_key("statistics_version")
OWNER_KEY = meta_key("statistics_owner")
OWNER_LEASE_MS = 30_000
_TABLES = meta_key("statistics")
_CHANGES = meta_key("statistics_changes")


@dataclass(frozen=True, slots=True)
class Kept:
    """All statistics of a cluster."""

    version: int
    tables: Mapping[int, TableStatistics]
    changed: Mapping[int, int]
    """Rows changed since, by table id."""


def statistics_key(table_id: int) -> bytes:
    return meta_key("statistics", table_id)


def changes_key(table_id: int) -> bytes:
    return meta_key("statistics_changes", table_id)


async def load(reader: MetaReader) -> Kept:
    """Everything, as `reader` sees it."""
    version = await meta.read_counter(reader, VERSION_KEY)
    tables = [TableStatistics.from_bytes(value) for _, value in await meta.scan_all(reader, _TABLES)]
    changed = {}
    for key, value in await meta.scan_all(reader, _CHANGES):
        table_id, count = json.loads(value)
        if key == changes_key(table_id):
            changed[table_id] = count
    return Kept(version, {each.table_id: each for each in tables}, changed)


async def save(txn: MetaWriter, found: TableStatistics) -> None:
    """Keep what ANALYZE found; changes count from here."""
    txn.put(statistics_key(found.table_id), found.to_bytes())
    txn.delete(changes_key(found.table_id))
    await _moved(txn)


async def drop(txn: MetaWriter, table_id: int) -> None:
    """Forget a table's."""
    txn.delete(statistics_key(table_id))
    txn.delete(changes_key(table_id))
    await _moved(txn)


async def add_changes(txn: MetaWriter, counts: Mapping[int, int]) -> None:
    """Count rows changed."""
    for table_id, count in counts.items():
        data = await txn.get(changes_key(table_id))
        before = json.loads(data)[1] if data is not None else 0
        txn.put(changes_key(table_id), json.dumps([table_id, before + count]).encode())
    await _moved(txn)


async def _moved(txn: MetaWriter) -> None:
    txn.put(VERSION_KEY, str(await meta.read_counter(txn, VERSION_KEY) + 1).encode())
