"""Where statistics lie in the store, and how they change.

Rows are changed all the time, tables are analyzed seldom, and what was found of them is thousands of values. So each of
the two has a version of its own: a front end that looks loads what has moved.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from rutile.catalog import meta
from rutile.catalog.meta import MetaReader, MetaWriter
from rutile.statistics.model import TableStatistics
from rutile_proto.keys import meta_key

VERSION_KEY = meta_key("statistics_version")
CHANGES_VERSION_KEY = meta_key("statistics_changes_version")
OWNER_KEY = meta_key("statistics_owner")
OWNER_LEASE_MS = 30_000
_TABLES = meta_key("statistics")
_CHANGES = meta_key("statistics_changes")


@dataclass(frozen=True, slots=True)
class Kept:
    """All statistics of a cluster."""

    version: int
    tables: Mapping[int, TableStatistics]
    changes_version: int
    changed: Mapping[int, int]
    """Rows changed since, by table id."""


NOTHING = Kept(-1, {}, -1, {})
"""What is known before the first load: every version differs from its."""


def statistics_key(table_id: int) -> bytes:
    return meta_key("statistics", table_id)


def changes_key(table_id: int) -> bytes:
    return meta_key("statistics_changes", table_id)


async def load(reader: MetaReader, known: Kept = NOTHING) -> Kept:
    """Everything, as `reader` sees it. What has not moved is taken from `known`."""
    version = await meta.read_counter(reader, VERSION_KEY)
    changes_version = await meta.read_counter(reader, CHANGES_VERSION_KEY)
    moved = version != known.version  # a table that was analyzed starts counting from nothing
    return Kept(
        version,
        await _load_tables(reader) if moved else known.tables,
        changes_version,
        await _load_changes(reader) if moved or changes_version != known.changes_version else known.changed,
    )


async def _load_tables(reader: MetaReader) -> dict[int, TableStatistics]:
    tables = [TableStatistics.from_bytes(value) for _, value in await meta.scan_all(reader, _TABLES)]
    return {each.table_id: each for each in tables}


async def _load_changes(reader: MetaReader) -> dict[int, int]:
    changed = {}
    for key, value in await meta.scan_all(reader, _CHANGES):
        table_id, count = json.loads(value)
        if key == changes_key(table_id):
            changed[table_id] = count
    return changed


async def save(txn: MetaWriter, found: TableStatistics) -> None:
    """Keep what ANALYZE found; changes count from here."""
    txn.put(statistics_key(found.table_id), found.to_bytes())
    txn.delete(changes_key(found.table_id))
    await _move(txn, VERSION_KEY)


async def drop(txn: MetaWriter, table_id: int) -> None:
    """Forget a table's."""
    txn.delete(statistics_key(table_id))
    txn.delete(changes_key(table_id))
    await _move(txn, VERSION_KEY)


async def add_changes(txn: MetaWriter, counts: Mapping[int, int]) -> None:
    """Count rows changed."""
    for table_id, count in counts.items():
        data = await txn.get(changes_key(table_id))
        before = json.loads(data)[1] if data is not None else 0
        txn.put(changes_key(table_id), json.dumps([table_id, before + count]).encode())
    await _move(txn, CHANGES_VERSION_KEY)


async def _move(txn: MetaWriter, version_key: bytes) -> None:
    txn.put(version_key, str(await meta.read_counter(txn, version_key) + 1).encode())
