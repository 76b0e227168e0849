"""MODIFY and CHANGE COLUMN to another type: which there are, and which are refused, as in TiDB.

A change that keeps the bytes of every row is one of the definition alone (`column_changes.modify_column`). The others
are jobs (`column_steps`): INT to VARCHAR, a shorter VARCHAR, other digits of a DECIMAL, and so on, for any pair of
types whose values can be converted. Of the primary key only integers change, to others of their sign: its keys stay.
"""

from __future__ import annotations

from dataclasses import replace

from rutile.catalog.column_change import ChangeState, ColumnChange
from rutile.catalog.model import CatalogSnapshot, TableInfo
from rutile.ddl.column_changes import find, modified_column, refuse_mentioned
from rutile.ddl.context import DefinitionContext
from rutile.ddl.foreign_key_guards import refuse_column_change
from rutile.ddl.indexes import IndexDefinition, build_indexes
from rutile.errors import SqlError
from rutile.parse import alterations as alter
from rutile_coprocessor.schema import Column, Kind

ER_UNSUPPORTED_DDL = 8200


def wanted_change(
    info: TableInfo, change: alter.ModifyColumn, seen: CatalogSnapshot, context: DefinitionContext
) -> ColumnChange:
    """What is asked for; the ids of the new column and its indexes are given when it begins.

    Raises 1054, 1060, 1170, 1832, 1833, 8200 and what column definitions raise.
    """
    old = find(info.schema, change.name)
    refuse_mentioned(info, old, "MODIFY COLUMN")
    wanted = modified_column(info, old, change)
    refuse_column_change(info, old, wanted, seen)
    _refuse_key(info, old, wanted)
    if old.type.kind is Kind.BIT and (wanted.type.is_character or wanted.type.is_binary):
        raise _unsupported(f"from {old.type.mysql_name()} to {wanted.type.mysql_name()}")
    _check_indexes(info, old, wanted)
    if change.place.after is not None:
        find(info.schema, change.place.after)
    place = change.place.first, change.place.after
    return ColumnChange(wanted, old.id, ChangeState.DELETE_ONLY, zone=context.zone, strict=context.strict, place=place)


def _refuse_key(info: TableInfo, old: Column, new: Column) -> None:
    """Rows are found by the primary key, so what it is written as stays."""
    if old.id not in info.schema.primary_key:
        return
    alike = old.type.is_integer and new.type.is_integer and old.type.unsigned == new.type.unsigned
    if not alike or Kind.BIT in (old.type.kind, new.type.kind):
        raise _unsupported("this column has primary key flag")


def _check_indexes(info: TableInfo, old: Column, new: Column) -> None:
    """Its indexes must be possible on the new type, too. Raises 1089, 1170, 3152."""
    columns = tuple(new if each.id == old.id else each for each in info.schema.columns)
    names = {column.id: column.name for column in columns}
    schema = replace(info.schema, columns=columns)
    for index in info.indexes:
        if old.id in index.column_ids:
            parts = tuple((names[part.column_id], part.length) for part in index.columns)
            build_indexes(schema, [IndexDefinition(index.name, parts, index.unique)], (), 0)


def _unsupported(detail: str) -> SqlError:
    return SqlError(ER_UNSUPPORTED_DDL, f"Unsupported modify column: {detail}")
