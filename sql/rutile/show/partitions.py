"""information_schema.partitions: a row for each partition, and one for each table that has none, as in MySQL."""

from __future__ import annotations

from collections.abc import Iterator

from rutile.catalog.model import CatalogSnapshot, TableInfo
from rutile.ddl.partition_text import columns_text, description

_CATALOG = "def"


def partition_rows(catalog: CatalogSnapshot) -> list[tuple[object, ...]]:
    """The rows; how many rows a partition has is not kept."""
    tables = (info for key, info in sorted(catalog.tables.items()) if catalog.table(*key) is not None)
    return [row for info in tables for row in _rows(info)]


def _rows(info: TableInfo) -> Iterator[tuple[object, ...]]:
    schema, partitioning = info.schema, info.partitioning
    if partitioning is None:
        yield (_CATALOG, schema.database, schema.name, *[None] * 23)
        return
    by = columns_text(partitioning, schema) if partitioning.is_by_columns else partitioning.expression
    for position, part in enumerate(partitioning.partitions, start=1):
        yield (
            _CATALOG, schema.database, schema.name, part.name, None, position, None, partitioning.kind, None, by, None,
            description(partitioning, part) or None, *[None] * 10, part.comment, None, None, part.partition_id,
        )  # fmt: skip
