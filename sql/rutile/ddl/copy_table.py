"""CREATE TABLE ... LIKE: the definition of a table for another one, which has no rows yet."""

from __future__ import annotations

from dataclasses import replace

from rutile.catalog.catalog import Catalog
from rutile.catalog.model import TableInfo
from rutile.ddl.column_steps import without_change


async def copy_table(catalog: Catalog, source: tuple[str, str], target: tuple[str, str]) -> TableInfo:
    """Make a table as another is; both as (database, name). Raises 1049, 1050, 1146."""
    info = copied(await catalog.get_table(*source), *target)
    return await catalog.create_table(
        info.schema,
        comment=info.comment,
        indexes=info.indexes,
        rules=info.rules,
        auto_random=info.auto_random,
        partitioning=info.partitioning,
    )


def copied(info: TableInfo, owner: str, name: str) -> TableInfo:
    """The definition under another name, for a table without rows."""
    info = without_change(info)
    fresh = tuple(replace(column, added_in=0, dropped_in=None, origin_default=None) for column in info.schema.columns)
    schema = replace(info.schema, name=name, database=owner, columns=fresh, dropped=(), layout_version=0)
    indexes = tuple(replace(index, readable_from=0) for index in info.public_indexes)
    return TableInfo(
        schema,
        comment=info.comment,
        indexes=indexes,
        last_index_id=info.last_index_id,
        rules=info.rules,
        auto_random=info.auto_random,
        partitioning=info.partitioning,
    )
