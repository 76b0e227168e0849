"""What foreign keys forbid of other definitions: drops and changes of what they go by."""

from __future__ import annotations

from collections.abc import Iterable

from rutile.catalog.foreign_keys import Action, ForeignKey, Referrer, TableName, key_of
from rutile.catalog.indexes import IndexInfo
from rutile.catalog.model import CatalogSnapshot, TableInfo
from rutile.ddl.foreign_keys import ER_FK_COLUMN_NOT_NULL, described, keys_of, leads_with
from rutile.errors import SqlError
from rutile_coprocessor.schema import Column

ER_TRUNCATE_ILLEGAL_FK = 1701
ER_FK_COLUMN_CANNOT_DROP = 1828
ER_FK_COLUMN_CANNOT_DROP_CHILD = 1829
ER_FK_COLUMN_CANNOT_CHANGE = 1832
ER_FK_COLUMN_CANNOT_CHANGE_CHILD = 1833
ER_DROP_INDEX_FK = 1553
ER_FK_CANNOT_DROP_PARENT = 3730


def refuse_drop(info: TableInfo, seen: CatalogSnapshot, dropping: frozenset[TableName]) -> None:
    """A parent stays as long as it has children that are not dropped with it. Raises 3730."""
    for referrer in _outside(info, dropping):
        raise SqlError(
            ER_FK_CANNOT_DROP_PARENT,
            f"Cannot drop table '{info.schema.name}' referenced by a foreign key constraint '{referrer.foreign_key}' on"
            f" table '{seen.tables[referrer.key].schema.name}'.",
        )


def refuse_truncate(info: TableInfo, seen: CatalogSnapshot) -> None:
    """TRUNCATE looks at no row, so a parent is not truncated. Raises 1701."""
    for referrer in _outside(info, frozenset()):
        child = seen.tables[referrer.key]
        foreign = next(each for each in child.foreign_keys if each.name == referrer.foreign_key)
        message = f"Cannot truncate a table referenced in a foreign key constraint ({described(child, foreign)})"
        raise SqlError(ER_TRUNCATE_ILLEGAL_FK, message, sqlstate="42000")


def _outside(info: TableInfo, dropping: frozenset[TableName]) -> list[Referrer]:
    return [each for each in info.referrers if each.key != key_of(info) and each.key not in dropping]


def refuse_index_drop(info: TableInfo, index: IndexInfo, seen: CatalogSnapshot) -> None:
    """An index by which a foreign key finds rows stays while there is no other. Raises 1553."""
    others = [each for each in keys_of(info) if each.id != index.id]
    for ids in _columns_in_use(info, seen):
        if leads_with(index, ids) and not any(leads_with(other, ids) for other in others):
            raise SqlError(ER_DROP_INDEX_FK, f"Cannot drop index '{index.name}': needed in a foreign key constraint")


def _columns_in_use(info: TableInfo, seen: CatalogSnapshot) -> Iterable[tuple[int, ...]]:
    """The column lists of `info` that its own foreign keys, and those that lead to it, go by."""
    yield from (foreign.column_ids for foreign in info.foreign_keys)
    for _, foreign in referring(info, seen):
        yield tuple(info.schema.column(name).id for name in foreign.parent_columns)


def referring(info: TableInfo, seen: CatalogSnapshot) -> Iterable[tuple[TableInfo, ForeignKey]]:
    """The foreign keys that lead to `info`, with their tables."""
    for referrer in info.referrers:
        child = seen.tables[referrer.key]
        yield child, next(each for each in child.foreign_keys if each.name == referrer.foreign_key)


def refuse_column_drop(info: TableInfo, column: Column, seen: CatalogSnapshot) -> None:
    """Raises 1828 for a column of a foreign key, 1829 for one that others lead to."""
    _refuse_column(info, column, seen, "drop", (ER_FK_COLUMN_CANNOT_DROP, ER_FK_COLUMN_CANNOT_DROP_CHILD))


def refuse_column_change(info: TableInfo, old: Column, new: Column, seen: CatalogSnapshot) -> None:
    """The type of a column in a foreign key stays. Raises 1830, 1832, 1833."""
    if not new.nullable:
        for foreign in info.foreign_keys:
            if old.id in foreign.column_ids and Action.SET_NULL in (foreign.on_delete, foreign.on_update):
                message = f"Column '{old.name}' cannot be NOT NULL: needed in a foreign key constraint"
                raise SqlError(ER_FK_COLUMN_NOT_NULL, f"{message} '{foreign.name}' SET NULL")
    if old.type != new.type:
        _refuse_column(info, old, seen, "change", (ER_FK_COLUMN_CANNOT_CHANGE, ER_FK_COLUMN_CANNOT_CHANGE_CHILD))


def _refuse_column(info: TableInfo, column: Column, seen: CatalogSnapshot, verb: str, codes: tuple[int, int]) -> None:
    needed = "needed" if verb == "drop" else "used"
    for foreign in info.foreign_keys:
        if column.id in foreign.column_ids:
            message = f"Cannot {verb} column '{column.name}': {needed} in a foreign key constraint '{foreign.name}'"
            raise SqlError(codes[0], message)
    for child, foreign in referring(info, seen):
        if column.name.lower() in (name.lower() for name in foreign.parent_columns):
            message = f"Cannot {verb} column '{column.name}': {needed} in a foreign key constraint '{foreign.name}'"
            raise SqlError(codes[1], f"{message} of table '{child.schema.name}'")
