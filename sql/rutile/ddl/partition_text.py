"""PARTITION BY as it is printed: SHOW CREATE TABLE, information_schema.partitions."""

from __future__ import annotations

from rutile.catalog.partitions import Bound, Partition, Partitioning
from rutile_coprocessor.schema import TableSchema


def partitioning_text(partitioning: Partitioning, schema: TableSchema) -> str:
    """PARTITION BY as SHOW CREATE TABLE prints it."""
    columns = columns_text(partitioning, schema)
    if partitioning.kind == "HASH" and partitioning.partitions == numbered(len(partitioning.partitions), partitioning):
        return f"PARTITION BY HASH ({partitioning.expression}) PARTITIONS {len(partitioning.partitions)}"
    by = f"({columns})" if partitioning.is_by_columns else f" ({partitioning.expression})"
    parts = ",\n ".join(_partition_text(partitioning, each) for each in partitioning.partitions)
    return f"PARTITION BY {partitioning.kind}{by}\n({parts})"


def columns_text(partitioning: Partitioning, schema: TableSchema) -> str:
    """The columns that choose the partition, as SHOW CREATE TABLE prints them."""
    names = {column.id: column.name for column in schema.columns}
    return ",".join("`" + names[each].replace("`", "``") + "`" for each in partitioning.column_ids)


def numbered(count: int, partitioning: Partitioning) -> tuple[Partition, ...]:
    """The partitions of PARTITIONS n, with the ids of those there are."""
    found = zip(range(count), partitioning.partitions, strict=True)
    return tuple(Partition(each.partition_id, f"p{number}") for number, each in found)


def _partition_text(partitioning: Partitioning, part: Partition) -> str:
    name = "`" + part.name.replace("`", "``") + "`"
    comment = f" COMMENT '{part.comment.replace(chr(39), chr(39) * 2)}'" if part.comment else ""
    return f"PARTITION {name}{values_text(partitioning, part)}{comment}"


def values_text(partitioning: Partitioning, part: Partition) -> str:
    """VALUES ... of a partition; empty for HASH."""
    if partitioning.kind == "HASH":
        return ""
    if partitioning.kind.startswith("RANGE"):
        return f" VALUES LESS THAN ({description(partitioning, part)})"
    return f" VALUES IN ({description(partitioning, part)})"


def description(partitioning: Partitioning, part: Partition) -> str:
    """The values alone, as information_schema.partitions has them."""
    if part.is_last:
        return ",".join(["MAXVALUE"] * (len(partitioning.column_ids) if partitioning.is_by_columns else 1))
    if part.less_than:
        return ",".join(map(_bound_text, part.less_than))
    shown = [",".join(map(_bound_text, each)) for each in part.values]
    return ",".join(f"({one})" if len(each) > 1 else one for each, one in zip(part.values, shown, strict=True))


def _bound_text(value: Bound) -> str:
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    return "NULL" if value is None else str(value)
