"""The changes of ALTER TABLE that take several steps, as jobs for `rutile.ddl.worker`."""

from __future__ import annotations

from dataclasses import replace

from rutile import errors
from rutile.catalog import meta
from rutile.catalog.jobs import Job
from rutile.catalog.model import CatalogSnapshot, TableInfo
from rutile.ddl import column_rewrites
from rutile.ddl.column_steps import CHANGE, MODIFY_COLUMN
from rutile.ddl.context import DefinitionContext
from rutile.ddl.definition_changes import ER_CANT_DROP_FIELD_OR_KEY
from rutile.ddl.foreign_key_guards import refuse_index_drop
from rutile.ddl.indexes import IndexDefinition, build_indexes
from rutile.ddl.partitions import check_keys
from rutile.errors import SqlError
from rutile.parse import alterations as alter
from rutile.session.storage import KvTransaction
from rutile_proto.timestamps import physical_ms


async def add_index(info: TableInfo, definition: IndexDefinition, txn: KvTransaction) -> Job:
    """The job; the index's id is given to it now. Raises 1061 and what definitions of indexes raise."""
    (index,) = build_indexes(info.schema, [definition], info.indexes, info.last_index_id)
    if info.partitioning is not None:
        check_keys(info.partitioning, info.schema, [index])
    key = meta.table_key(info.schema.database, info.schema.name)
    txn.put(key, replace(info, last_index_id=index.id).to_bytes())
    job = await _job("add index", info, index.id, index.name, txn)
    return replace(job, extra={"index": index.to_json()})


async def drop_index(info: TableInfo, name: str, seen: CatalogSnapshot, txn: KvTransaction) -> Job:
    """Raises 1075, 1091, 1553."""
    index = info.index(name)
    if index is None or not index.is_public:
        message = f"Can't DROP '{name}'; check that column/key exists"
        raise SqlError(ER_CANT_DROP_FIELD_OR_KEY, message, sqlstate="42000")
    refuse_index_drop(info, index, seen)
    automatic = [column for column in info.schema.columns if column.auto_increment]
    others = [each.column_ids[:1] for each in info.public_indexes if each.id != index.id]
    if automatic and (automatic[0].id,) not in [info.schema.primary_key[:1], *others]:
        message = "Incorrect table definition; there can be only one auto column and it must be defined as a key"
        raise SqlError(errors.ER_WRONG_AUTO_KEY, message)
    return await _job("drop index", info, index.id, index.name, txn)


async def modify_column(
    info: TableInfo, change: alter.ModifyColumn, seen: CatalogSnapshot, context: DefinitionContext, txn: KvTransaction
) -> Job:
    """Raises what `rutile.ddl.column_rewrites` refuses."""
    wanted = column_rewrites.wanted_change(info, change, seen, context)
    job = await _job(MODIFY_COLUMN, info, 0, "", txn)
    return replace(job, extra={CHANGE: wanted.to_json()})


async def _job(kind: str, info: TableInfo, index_id: int, name: str, txn: KvTransaction) -> Job:
    schema = info.schema
    created_ms = physical_ms(txn.start_ts)
    return Job(await meta.next_id(txn), kind, schema.database, schema.name, info.table_id, index_id, name, created_ms)
