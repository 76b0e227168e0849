"""The tables that are made when a query names them: information_schema, mysql, performance_schema.

Of information_schema everybody may read every table; its rows show what one may see. The others want SELECT on their
database, as stored tables do. None can be written, and none is listed by SHOW DATABASES but information_schema, which
has everything that the others say.

Most tables are made of the catalogue alone (`information_schema`); those of `session_tables` and `mysql_tables` ask the
session, its front end, or the placement driver.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import TYPE_CHECKING, TypeAlias

import pyarrow as pa

from rutile.catalog.changes import VIRTUAL_DATABASES
from rutile.catalog.model import CatalogSnapshot
from rutile.show.information_schema import plain_columns, virtual_rows
from rutile.show.information_schema import virtual_schema as catalog_schema
from rutile.show.mysql_tables import MYSQL_TABLES
from rutile.show.session_tables import PERFORMANCE_TABLES, SESSION_TABLES
from rutile_coprocessor.schema import Column, TableSchema

if TYPE_CHECKING:
    from rutile.session.session import Session

VirtualKey: TypeAlias = tuple[str, str]
"""(database, table), in lower case."""
Rows: TypeAlias = list[tuple[object, ...]]
MakeRows: TypeAlias = Callable[["Session", CatalogSnapshot], Awaitable[Rows]]


def _schema(key: VirtualKey, columns: str) -> TableSchema:
    parts = (Column(at, name, kind) for at, (name, kind) in enumerate(plain_columns(columns).items(), start=1))
    return TableSchema(0, key[1], tuple(parts), database=key[0])


def _registered() -> Mapping[VirtualKey, tuple[TableSchema, MakeRows]]:
    named = {
        "information_schema": SESSION_TABLES,
        "mysql": MYSQL_TABLES,
        "performance_schema": PERFORMANCE_TABLES,
    }
    return {
        (database, name): (_schema((database, name), columns), make)
        for database, tables in named.items()
        for name, (columns, make) in tables.items()
    }


_TABLES = _registered()


def is_virtual(database: str) -> bool:
    """Whether the tables of this database are made when asked for."""
    return database.lower() in VIRTUAL_DATABASES


def virtual_schema(key: VirtualKey) -> TableSchema | None:
    """The schema of a virtual table; None if there is none of that name."""
    found = _TABLES.get((key[0].lower(), key[1].lower()))
    if found is not None:
        return found[0]
    return catalog_schema(key[1]) if key[0].lower() == "information_schema" else None


async def virtual_batches(
    session: Session, keys: Iterable[VirtualKey], catalog: CatalogSnapshot
) -> dict[VirtualKey, pa.RecordBatch]:
    """The rows of virtual tables as `session` may see them, `catalog` being what it sees of the definitions."""
    found = {}
    for key in keys:
        known = _TABLES.get(key)
        if known is None:
            found[key] = virtual_rows(key[1], catalog, session.shared.statistics)
        else:
            schema, make = known
            found[key] = batch_of(schema, await make(session, catalog))
    return found


def batch_of(schema: TableSchema, rows: Rows) -> pa.RecordBatch:
    """Python rows as Arrow; what stands in a column of text is written as text."""
    wanted = schema.arrow_schema()
    columns = list(zip(*rows, strict=True)) if rows else [()] * len(wanted)
    arrays = [
        pa.array([_fitting(value, field.type) for value in values], field.type)
        for values, field in zip(columns, wanted, strict=True)
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=wanted)


def _fitting(value: object, kind: pa.DataType) -> object:
    return str(value) if pa.types.is_string(kind) and value is not None else value
