"""The keys of a table as SHOW INDEX, SHOW COLUMNS and information_schema list them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from rutile.catalog.indexes import IndexColumn, IndexInfo
from rutile.catalog.model import TableInfo
from rutile_coprocessor.schema import Column


@dataclass(frozen=True, slots=True)
class KeyPart:
    """One column of a key."""

    key_name: str
    unique: bool
    position: int
    """From 1."""
    column: Column
    length: int | None
    comment: str


def key_parts(info: TableInfo) -> Iterator[KeyPart]:
    """The columns of the primary key, then those of each public index."""
    schema = info.schema
    by_id = {column.id: column for column in schema.columns}
    primary = IndexInfo(0, "PRIMARY", tuple(IndexColumn(column_id) for column_id in schema.primary_key), unique=True)
    for index in (primary, *info.public_indexes):
        for position, part in enumerate(index.columns, start=1):
            column = by_id[part.column_id]
            yield KeyPart(index.name, index.unique, position, column, part.length, index.comment)


def column_key(info: TableInfo, column: Column) -> str:
    """PRI, UNI (a unique key of this column alone), MUL (the first of a key that may repeat), or nothing."""
    if column.id in info.schema.primary_key:
        return "PRI"
    first_of = [index for index in info.public_indexes if index.column_ids[0] == column.id]
    if any(index.unique and len(index.columns) == 1 for index in first_of):
        return "UNI"
    return "MUL" if first_of else ""


def column_extra(info: TableInfo, column: Column) -> str:
    """What SHOW COLUMNS says in Extra."""
    for generated in info.rules.generated:
        if generated.column_id == column.id:
            return "STORED GENERATED" if generated.stored else "VIRTUAL GENERATED"
    if column.on_update_sql:
        return f"on update {column.on_update_sql}"
    return "auto_increment" if column.auto_increment else ""
