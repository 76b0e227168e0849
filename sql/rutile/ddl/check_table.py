"""ADMIN CHECK TABLE: every index has exactly the entries that the rows should have, as of one timestamp."""

from __future__ import annotations

from rutile.errors import SqlError
from rutile.rows.access import TableAccess
from rutile.rows.index_access import IndexAccess
from rutile.rows.readings import text_of
from rutile.session.storage import KvSnapshot, Pair

ER_INCONSISTENT = 8223
PAGE = 2_048


async def check_table(table: TableAccess, snapshot: KvSnapshot) -> int:
    """Compare; the number of rows. Raises 8223 naming the first index and row that do not agree.

    Every row's entries must be there with the right values; and there must be as many entries as rows. A row must be
    in the partition it belongs to.
    """
    rows = 0
    for number, part in enumerate(table.parts):
        rows += await _check_part(part, snapshot)
        await _check_places(table, number, snapshot)
    return rows if table.parts else await _check_part(table, snapshot)


async def _check_places(table: TableAccess, number: int, snapshot: KvSnapshot) -> None:
    """Raises 8223 for a row in partition `number` that belongs elsewhere."""
    assert table.partitions is not None
    start, end = table.parts[number].range
    while page := await snapshot.scan(start, end, PAGE):
        for key, value in page:
            if table.partitions.number_of(table.rows.decode_row(value)) != number:
                name, handle = table.partitions.names[number], _shown(table, table.handle_of(key))
                message = f"table {table.schema.name}: the row of handle {handle} is not of its partition {name}"
                raise SqlError(ER_INCONSISTENT, f"data inconsistency in {message}")
        start = page[-1][0] + b"\0"


async def _check_part(table: TableAccess, snapshot: KvSnapshot) -> int:
    rows = 0
    start, end = table.range
    while page := await snapshot.scan(start, end, PAGE):
        for index in table.indexes:
            if index.info.is_public:
                await _check_rows(table, index, page, snapshot)
        rows += len(page)
        start = page[-1][0] + b"\0"
    for index in table.indexes:
        if index.info.is_public:
            entries = await _count(index, snapshot)
            if entries != rows:
                raise _inconsistent(table, index, f"{entries} entries for {rows} rows")
    return rows


async def _check_rows(table: TableAccess, index: IndexAccess, page: list[Pair], snapshot: KvSnapshot) -> None:
    wanted = {
        entry.key: (entry.value, handle)
        for entry, handle in (
            (index.entry(table.rows.decode_row(value), table.handle_of(key)), table.handle_of(key))
            for key, value in page
        )
    }
    found = await snapshot.batch_get(list(wanted))
    for key, (value, handle) in wanted.items():
        if found.get(key) != value:
            detail = "missing" if key not in found else "another row's"
            raise _inconsistent(table, index, f"handle {_shown(table, handle)}: its entry is {detail}")


async def _count(index: IndexAccess, snapshot: KvSnapshot) -> int:
    count, (start, end) = 0, index.range
    while page := await snapshot.scan(start, end, PAGE):
        count += len(page)
        start = page[-1][0] + b"\0"
    return count


def _shown(table: TableAccess, handle: bytes) -> str:
    if table.is_hidden:
        return str(table.row_id_of(table.prefix + handle))
    return "/".join(text_of(value) for value in table.handles.decode(handle) if value is not None)


def _inconsistent(table: TableAccess, index: IndexAccess, detail: str) -> SqlError:
    message = f"data inconsistency in table: {table.schema.name}, index: {index.info.name}, {detail}"
    return SqlError(ER_INCONSISTENT, message)
