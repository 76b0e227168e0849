"""The catalogue's keys, read and written within a transaction."""

from __future__ import annotations

import asyncio
import json
from typing import Protocol

from rutile.catalog.model import CatalogSnapshot, DatabaseInfo, TableInfo
from rutile.catalog.partitions import Partitioning
from rutile.catalog.sequence_info import SequenceInfo
from rutile.catalog.view_info import ViewInfo
from rutile.ddl.delete_ranges import range_of_table, schedule_delete_range
from rutile.privileges.model import User
from rutile_proto.keys import meta_key, prefix_next
from rutile_proto.types import Timestamp

SCHEMA_VERSION_KEY = meta_key("schema_version")
NEXT_ID_KEY = meta_key("next_id")
FIRST_TABLE_ID = 100
"""Below are ids kept for system tables."""

_DATABASES = meta_key("database")
_TABLES = meta_key("table")
_VIEWS = meta_key("view")
_USERS = meta_key("user")
_SEQUENCES = meta_key("sequence")
_VARIABLES = meta_key("variable")
STATISTICS_OF_TABLE = ("statistics", "statistics_changes")
"""`rutile.statistics.kept` writes them; they go with the table."""
_PAGE = 1024


class MetaReader(Protocol):
    """What reading the catalogue needs; `Snapshot` and `Transaction` of the client both have it."""

    async def get(self, key: bytes) -> bytes | None: ...

    async def scan(self, start: bytes, end: bytes, limit: int) -> list[tuple[bytes, bytes]]: ...


class MetaWriter(MetaReader, Protocol):
    """What changing it needs; the client's `Transaction` has it."""

    start_ts: Timestamp

    def put(self, key: bytes, value: bytes) -> None: ...

    def delete(self, key: bytes) -> None: ...


def database_key(name: str) -> bytes:
    return meta_key("database", name.lower())


def table_key(database: str, name: str) -> bytes:
    return meta_key("table", database.lower(), name.lower())


def user_key(name: str, host: str) -> bytes:
    return meta_key("user", name, host)


def variable_key(name: str) -> bytes:
    return meta_key("variable", name)


def variable_bytes(name: str, value: int | str) -> bytes:
    """A system variable's value for all sessions to come, as it is kept."""
    return json.dumps([name, value]).encode()


def view_key(database: str, name: str) -> bytes:
    return meta_key("view", database.lower(), name.lower())


def sequence_key(database: str, name: str) -> bytes:
    return meta_key("sequence", database.lower(), name.lower())


def sequence_next_key(sequence_id: int) -> bytes:
    return meta_key("sequence_next", sequence_id)


def auto_increment_key(table_id: int) -> bytes:
    return meta_key("auto_increment", table_id)


def row_id_key(table_id: int) -> bytes:
    return meta_key("row_id", table_id)


async def read_counter(reader: MetaReader, key: bytes, default: int = 0) -> int:
    """A number kept as decimal text."""
    data = await reader.get(key)
    return default if data is None else int(data)


async def scan_all(reader: MetaReader, prefix: bytes) -> list[tuple[bytes, bytes]]:
    """Every pair under `prefix`, page by page."""
    start, end, pairs = prefix, prefix_next(prefix), list[tuple[bytes, bytes]]()
    while True:
        page = await reader.scan(start, end, _PAGE)
        pairs += page
        if len(page) < _PAGE:
            return pairs
        start = page[-1][0] + b"\0"


async def _values(reader: MetaReader, prefix: bytes) -> list[bytes]:
    return [value for _, value in await scan_all(reader, prefix)]


async def load(reader: MetaReader) -> CatalogSnapshot:
    """The whole catalogue as `reader` sees it."""
    prefixes = (_DATABASES, _TABLES, _VIEWS, _USERS, _SEQUENCES, _VARIABLES)
    # All at once: small requests of one moment travel together.
    version, found = await asyncio.gather(
        read_counter(reader, SCHEMA_VERSION_KEY), asyncio.gather(*(_values(reader, prefix) for prefix in prefixes))
    )
    databases = [DatabaseInfo.from_bytes(value) for value in found[0]]
    tables = [TableInfo.from_bytes(value) for value in found[1]]
    views = [ViewInfo.from_bytes(value) for value in found[2]]
    users = [User.from_bytes(value) for value in found[3]]
    sequences = [SequenceInfo.from_bytes(value) for value in found[4]]
    variables = [json.loads(value) for value in found[5]]
    return CatalogSnapshot(
        version,
        {info.name.lower(): info for info in databases},
        {(info.schema.database.lower(), info.schema.name.lower()): info for info in tables},
        views={(view.schema.database.lower(), view.schema.name.lower()): view for view in views},
        users={user.key: user for user in users},
        sequences={(info.database.lower(), info.name.lower()): info for info in sequences},
        variables=dict(variables),
    )


async def next_id(txn: MetaWriter) -> int:
    """A fresh id."""
    fresh = await read_counter(txn, NEXT_ID_KEY, FIRST_TABLE_ID)
    txn.put(NEXT_ID_KEY, str(fresh + 1).encode())
    return fresh


async def bump_version(txn: MetaWriter) -> int:
    """Say that the catalogue changed; two changes at once conflict here."""
    version = await read_counter(txn, SCHEMA_VERSION_KEY) + 1
    txn.put(SCHEMA_VERSION_KEY, str(version).encode())
    return version


def drop_table(txn: MetaWriter, info: TableInfo) -> None:
    """Take a table out of the catalogue and put its keys on the list of what is to be removed."""
    txn.delete(table_key(info.schema.database, info.schema.name))
    forget_table(txn, info)


def forget_table(txn: MetaWriter, info: TableInfo) -> None:
    """`forget_rows` of a table and of its partitions."""
    forget_rows(txn, info.table_id)
    for physical_id in info.physical_ids if info.partitioning is not None else ():
        schedule_delete_range(txn, *range_of_table(physical_id), mark=txn.start_ts)


async def with_fresh_ids(txn: MetaWriter, partitioning: Partitioning | None) -> Partitioning | None:
    """The same partitions with ids of their own, for a table without rows."""
    if partitioning is None:
        return None
    return partitioning.with_ids([await next_id(txn) for _ in partitioning.partitions])


def forget_rows(txn: MetaWriter, table_id: int) -> None:
    """Put a table's keys on the list of what is to be removed, and drop its counters."""
    schedule_delete_range(txn, *range_of_table(table_id), mark=txn.start_ts)
    txn.delete(auto_increment_key(table_id))
    txn.delete(row_id_key(table_id))
    for name in STATISTICS_OF_TABLE:
        txn.delete(meta_key(name, table_id))
