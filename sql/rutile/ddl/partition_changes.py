"""ALTER TABLE ... ADD, DROP and TRUNCATE PARTITION; and what ALTER TABLE may not do to a partitioned table.

Each is one change of the catalogue, as DROP TABLE and TRUNCATE TABLE are: partitions that come have ids nobody used,
those that go are put on the list of what is to be removed, and who reads older timestamps still finds their rows until
the safe point has passed. It waits, like every change, until nobody commits with the old definition.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from rutile import errors
from rutile.catalog import meta
from rutile.catalog.catalog import Catalog
from rutile.catalog.model import CatalogSnapshot, TableInfo
from rutile.catalog.partitions import Partitioning
from rutile.ddl.delete_ranges import range_of_table, schedule_delete_range
from rutile.ddl.foreign_keys import foreign_keys_refused
from rutile.ddl.partitions import with_partitions
from rutile.errors import SqlError, not_supported
from rutile.parse import alterations as alter
from rutile.session.storage import KvTransaction

ER_NOT_A_PARTITIONED_TABLE = 1505
ER_UNKNOWN_TO_DROP = 1507
ER_LAST_PARTITION = 1508
ER_ONLY_RANGE_OR_LIST = 1512
ER_COLUMN_OF_PARTITIONING = 3855
PartitionChange = alter.AddPartitions | alter.DropPartitions | alter.TruncatePartitions


async def change_partitions(catalog: Catalog, database: str, table: str, change: PartitionChange) -> None:
    """Make the change. Raises 1146, 1505 to 1512, 1735 and what definitions of partitions raise."""

    async def changed(txn: KvTransaction, seen: CatalogSnapshot) -> TableInfo:
        info = seen.table(database, table)
        if info is None:
            raise errors.unknown_table(database, table)
        if info.partitioning is None:
            message = "Partition management on a not partitioned table is not possible"
            raise SqlError(ER_NOT_A_PARTITIONED_TABLE, message)
        if len(info.public_indexes) < len(info.indexes) or info.changing is not None:
            raise not_supported("ALTER TABLE ... PARTITION while an index comes or goes, or a column changes")
        made = replace(info, partitioning=await _changed(txn, info, info.partitioning, change))
        left = set(made.physical_ids)
        for physical_id in info.physical_ids:
            if physical_id not in left:
                schedule_delete_range(txn, *range_of_table(physical_id), mark=txn.start_ts)
        txn.put(meta.table_key(database, table), made.to_bytes())
        return made

    await catalog.change(changed)
    await catalog.settle()


async def _changed(
    txn: KvTransaction, info: TableInfo, partitioning: Partitioning, change: PartitionChange
) -> Partitioning:
    match change:
        case alter.AddPartitions(definitions):
            if partitioning.kind == "HASH":
                raise not_supported("ALTER TABLE ... ADD PARTITION of a table partitioned by HASH")
            made = with_partitions(partitioning, definitions, info.schema)
            kept = [each.partition_id for each in partitioning.partitions]
            return made.with_ids([*kept, *[await meta.next_id(txn) for _ in definitions]])
        case alter.DropPartitions(names):
            return _without(partitioning, names)
        case alter.TruncatePartitions(names):
            chosen = _named(partitioning, info, names)
            parts = [
                replace(each, partition_id=await meta.next_id(txn)) if number in chosen else each
                for number, each in enumerate(partitioning.partitions)
            ]
            return replace(partitioning, partitions=tuple(parts))


def _without(partitioning: Partitioning, names: Sequence[str]) -> Partitioning:
    if partitioning.kind == "HASH":
        raise SqlError(ER_ONLY_RANGE_OR_LIST, "DROP PARTITION can only be used on RANGE/LIST partitions")
    if any(partitioning.number(name) is None for name in names):
        raise SqlError(ER_UNKNOWN_TO_DROP, "Error in list of partitions to DROP")
    dropped = {partitioning.number(name) for name in names}
    left = [each for number, each in enumerate(partitioning.partitions) if number not in dropped]
    if not left:
        raise SqlError(ER_LAST_PARTITION, "Cannot remove all partitions, use DROP TABLE instead")
    return replace(partitioning, partitions=tuple(left))


def _named(partitioning: Partitioning, info: TableInfo, names: Sequence[str] | None) -> frozenset[int]:
    if names is None:
        return frozenset(range(len(partitioning.partitions)))
    return partitioning.chosen(list(names), info.schema.name)


def refuse_change(info: TableInfo, change: alter.Alteration) -> None:
    """What would take rows to other partitions, or cannot be done in partitions. Raises 1506, 3855."""
    if info.partitioning is None:
        return
    match change:
        case alter.AddForeignKey():
            raise foreign_keys_refused()
        case alter.DropColumn(name) | alter.RenameColumn(name) | alter.ModifyColumn(name):
            names = {column.id: column.name.lower() for column in info.schema.columns}
            if name.lower() in [names[each] for each in info.partitioning.column_ids]:
                message = f"Column '{name}' has a partitioning function dependency and cannot be dropped or renamed"
                raise SqlError(ER_COLUMN_OF_PARTITIONING, message)
