"""The changes of ALTER TABLE that are of a table's definition alone: from one definition to the next."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from rutile import errors
from rutile.catalog.model import TableInfo
from rutile.ddl import column_changes, constraints
from rutile.ddl.indexes import ER_DUP_KEYNAME
from rutile.ddl.partition_changes import PartitionChange
from rutile.errors import SqlError
from rutile.parse import alterations as alter

ER_CANT_DROP_FIELD_OR_KEY = 1091
ER_KEY_DOES_NOT_EXIST = 1176


def is_definition(info: TableInfo, change: alter.Alteration) -> bool:
    """Whether the change is one of the table's definition alone, so that it can be made together with others."""
    if isinstance(change, alter.ModifyColumn):
        return info.schema.has_column(change.name) and not (
            column_changes.forbids_null(info, change) or column_changes.rewrites_rows(info, change)
        )
    if isinstance(change, PartitionChange):
        return False
    others = alter.AddIndex | alter.DropIndex | alter.RenameTable | alter.SetAutoIncrement
    return not isinstance(change, others | alter.AddCheck | alter.DropCheck | alter.AddForeignKey)


def changed(info: TableInfo, change: alter.Alteration, now: datetime) -> TableInfo:
    """The table with a change of its definition. Raises what each change raises."""
    match change:
        case alter.AddColumn():
            return column_changes.add_column(info, change, now)
        case alter.DropColumn(name):
            return column_changes.drop_column(info, name)
        case alter.RenameColumn(old, new):
            return column_changes.rename_column(info, old, new)
        case alter.ModifyColumn():
            return column_changes.modify_column(info, change)
        case alter.SetDefault():
            return column_changes.set_default(info, change)
        case alter.SetComment(comment):
            return replace(info, comment=comment)
        case alter.DropForeignKey(name):
            return constraints.without_foreign_key(info, name)
        case alter.RenameIndex(old, new):
            return _rename_index(info, old, new)
    raise AssertionError(f"made elsewhere: {change}")


def _rename_index(info: TableInfo, old: str, new: str) -> TableInfo:
    index = info.index(old)
    if index is None:
        message = f"Key '{old}' doesn't exist in table '{info.schema.name}'"
        raise SqlError(ER_KEY_DOES_NOT_EXIST, message, sqlstate="42000")
    if info.index(new) is not None and new.lower() != old.lower():
        raise SqlError(ER_DUP_KEYNAME, f"Duplicate key name '{new}'", sqlstate="42000")
    renamed = replace(index, name=new)
    return replace(info, indexes=tuple(renamed if each.id == index.id else each for each in info.indexes))


def is_harmless(change: alter.Alteration, error: SqlError) -> bool:
    """Whether IF [NOT] EXISTS makes a note of the error."""
    match change:
        case alter.AddIndex(_, True):
            return error.code == ER_DUP_KEYNAME
        case alter.AddColumn(_, _, True):
            return error.code == errors.ER_DUP_FIELDNAME
        case alter.DropIndex(_, True) | alter.DropColumn(_, True) | alter.DropForeignKey(_, True):
            return error.code == ER_CANT_DROP_FIELD_OR_KEY
    return False
