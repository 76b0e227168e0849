"""CREATE TABLE ... LIKE: the definition of a table for another one, which has no rows yet."""

from __future__ import annotations

from dataclasses import replace

from rutile.catalog.catalog import Catalog
from rutile.catalog.model import TableInfo


async def copy_table(catalog: Catalog, source: tuple[str, str], target: tuple[str, str]) -> TableInfo:
    """Make a table as another is; both as (database, name). Raises 1049, 1050, 1146."""
    info = await catalog.get_table(*source)
    owner, name = target
    fresh = tuple(replace(column, added_in=0, dropped_in=None, origin_default=None) for column in info.schema.columns)
    schema = replace(info.schema, name=name, database=owner, columns=fresh, dropped=(), layout_version=0)
    indexes = tuple(replace(index, readable_from=0) for index in info.public_indexes)
    return await catalog.create_table(
        schema, comment=info.comment, indexes=indexes, rules=info.rules, auto_random=info.auto_random
    )
