"""Foreign keys as CREATE TABLE and ALTER TABLE write them, and as they are shown."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from sqlglot import exp

from rutile import errors
from rutile.catalog.foreign_keys import Action, ForeignKey, key_of
from rutile.catalog.indexes import IndexColumn, IndexInfo
from rutile.catalog.model import CatalogSnapshot, TableInfo
from rutile.errors import SqlError, not_supported
from rutile_coprocessor.schema import Column, Kind, TableSchema

ER_WRONG_FK_DEF = 1239
ER_FK_ON_PARTITIONED = 1506
ER_FK_NO_INDEX_PARENT = 1822
ER_FK_CANNOT_OPEN_PARENT = 1824
ER_FK_DUP_NAME = 1826
ER_FK_COLUMN_NOT_NULL = 1830
ER_FK_NO_COLUMN_PARENT = 3734
ER_FK_INCOMPATIBLE_COLUMNS = 3780
_ACTIONS = {action.value: action for action in Action}
_SIZED_FREELY = (Kind.CHAR, Kind.VARCHAR, Kind.BINARY, Kind.VARBINARY)
_ALIKE = {Kind.BOOL: Kind.TINYINT}


@dataclass(frozen=True, slots=True)
class ForeignKeyDefinition:
    """A foreign key as written."""

    name: str | None
    columns: tuple[str, ...]
    parent: tuple[str | None, str]
    parent_columns: tuple[str, ...]
    on_delete: Action = Action.NO_ACTION
    on_update: Action = Action.NO_ACTION


def read_foreign_key(node: exp.ForeignKey, constraint: str | None) -> ForeignKeyDefinition:
    """FOREIGN KEY [name] (columns) REFERENCES ...; the name of a CONSTRAINT goes first. Raises 1235 for SET DEFAULT."""
    name = constraint or (node.this.name if node.this is not None else None)
    columns = tuple(column.name for column in node.expressions)
    reference = node.args.get("reference")
    if reference is None:
        raise not_supported("FOREIGN KEY without REFERENCES")
    return read_reference(reference, columns, name)


def read_reference(reference: exp.Reference, columns: tuple[str, ...], name: str | None) -> ForeignKeyDefinition:
    """REFERENCES parent (columns) ON DELETE ... ON UPDATE ... of these columns. Raises 1235, 1239."""
    target = reference.this
    if not isinstance(target, exp.Schema):
        raise not_supported("REFERENCES without the columns of the parent")
    parent = target.this
    parent_columns = tuple(column.name for column in target.expressions)
    if len(parent_columns) != len(columns):
        message = f"Incorrect foreign key definition for '{name or 'foreign key without name'}'"
        raise SqlError(ER_WRONG_FK_DEF, f"{message}: Key reference and table reference don't match", sqlstate="42000")
    actions = {"ON DELETE": Action.NO_ACTION, "ON UPDATE": Action.NO_ACTION}
    for option in reference.args.get("options") or []:
        event, action = str(option).upper()[:9], str(option).upper()[10:]
        if event not in actions or action not in _ACTIONS:
            raise not_supported(f"FOREIGN KEY ... {option}")
        actions[event] = _ACTIONS[action]
    place = parent.db or None, parent.name
    return ForeignKeyDefinition(name, columns, place, parent_columns, actions["ON DELETE"], actions["ON UPDATE"])


def build_foreign_keys(info: TableInfo, definitions: Sequence[ForeignKeyDefinition]) -> tuple[ForeignKey, ...]:
    """The table's foreign keys with those added; unnamed ones are called fk_1, fk_2, ... Raises 1072, 1826, 1830."""
    made = list(info.foreign_keys)
    for definition in definitions:
        made.append(_build(info, definition, {each.name.lower() for each in made}))
    return tuple(made)


def _build(info: TableInfo, definition: ForeignKeyDefinition, taken: set[str]) -> ForeignKey:
    name = definition.name or next(
        each for each in (f"fk_{number}" for number in itertools.count(1)) if each not in taken
    )
    if name.lower() in taken:
        raise SqlError(ER_FK_DUP_NAME, f"Duplicate foreign key constraint name '{name}'")
    columns = [_column(info.schema, column) for column in definition.columns]
    if len({column.id for column in columns}) < len(columns):
        raise SqlError(errors.ER_DUP_FIELDNAME, f"Duplicate column name '{columns[0].name}'")
    _check_actions(info, definition, columns, name)
    database, table = definition.parent
    parent = database or info.schema.database, table
    ids = tuple(column.id for column in columns)
    return ForeignKey(name, ids, parent, definition.parent_columns, definition.on_delete, definition.on_update)


def _column(schema: TableSchema, name: str) -> Column:
    if not schema.has_column(name):
        message = f"Key column '{name}' doesn't exist in table"
        raise SqlError(errors.ER_KEY_COLUMN_MISSING, message, sqlstate="42000")
    return schema.column(name)


def _check_actions(info: TableInfo, definition: ForeignKeyDefinition, columns: Sequence[Column], name: str) -> None:
    generated = {each.column_id for each in info.rules.generated}
    writes = definition.on_update is Action.CASCADE or Action.SET_NULL in (definition.on_delete, definition.on_update)
    for column in columns:
        if Action.SET_NULL in (definition.on_delete, definition.on_update) and not column.nullable:
            message = f"Column '{column.name}' cannot be NOT NULL: needed in a foreign key constraint '{name}' SET NULL"
            raise SqlError(ER_FK_COLUMN_NOT_NULL, message)
        if writes and column.id in generated:
            raise not_supported(f"FOREIGN KEY with an action that would write the generated column {column.name}")


# --- the two ends -----------------------------------------------------------------------------------------------------


def foreign_keys_refused() -> SqlError:
    """1506: at neither end of a foreign key may be a partitioned table."""
    message = "Foreign key clause is not yet supported in conjunction with partitioning"
    return SqlError(ER_FK_ON_PARTITIONED, message)


def check_links(info: TableInfo, seen: CatalogSnapshot, foreign_keys: Iterable[ForeignKey], *, checked: bool) -> None:
    """The parents of these foreign keys of `info` must fit; without `checked` they may be missing.

    Raises 1822, 1824, 3734, 3780.
    """
    for foreign in foreign_keys:
        is_own = foreign.leads_to(*key_of(info))
        parent = info if is_own else seen.table(*foreign.parent)
        if parent is not None:
            check_link(info, foreign, parent)
        elif checked:
            raise SqlError(ER_FK_CANNOT_OPEN_PARENT, f"Failed to open the referenced table '{foreign.parent[1]}'")


def check_children(parent: TableInfo, seen: CatalogSnapshot) -> None:
    """Foreign keys made before their parent must fit it when it comes. Raises 1822, 3734, 3780."""
    for child in seen.tables.values():
        for foreign in child.foreign_keys:
            if foreign.leads_to(*key_of(parent)):
                check_link(child, foreign, parent)


def check_link(child: TableInfo, foreign: ForeignKey, parent: TableInfo) -> None:
    """Whether the foreign key of `child` can lead to `parent`. Raises 1506, 1822, 3734, 3780."""
    if child.partitioning is not None or parent.partitioning is not None:
        raise foreign_keys_refused()
    by_id = {column.id: column for column in child.schema.columns}
    ids = []
    for column_id, name in zip(foreign.column_ids, foreign.parent_columns, strict=True):
        if not parent.schema.has_column(name):
            message = f"Failed to add the foreign key constraint. Missing column '{name}' for constraint"
            raise SqlError(
                ER_FK_NO_COLUMN_PARENT,
                f"{message} '{foreign.name}' in the referenced table '{parent.schema.name}'",
            )
        referenced, referencing = parent.schema.column(name), by_id[column_id]
        ids.append(referenced.id)
        if not _compatible(referencing, referenced):
            raise SqlError(
                ER_FK_INCOMPATIBLE_COLUMNS,
                f"Referencing column '{referencing.name}' and referenced column '{referenced.name}' in foreign key"
                f" constraint '{foreign.name}' are incompatible.",
            )
    if not any(leads_with(index, ids) for index in keys_of(parent)):
        message = "Failed to add the foreign key constraint. Missing index for constraint"
        raise SqlError(
            ER_FK_NO_INDEX_PARENT, f"{message} '{foreign.name}' in the referenced table '{parent.schema.name}'"
        )


def _compatible(child: Column, parent: Column) -> bool:
    ours, theirs = child.type, parent.type
    if _ALIKE.get(ours.kind, ours.kind) is not _ALIKE.get(theirs.kind, theirs.kind):
        return False
    if ours.kind in _SIZED_FREELY:
        return True
    return replace(ours, kind=Kind.INT) == replace(theirs, kind=Kind.INT)


def keys_of(info: TableInfo) -> Iterable[IndexInfo]:
    """The primary key and the public indexes."""
    primary = tuple(IndexColumn(column_id) for column_id in info.schema.primary_key)
    return (*([IndexInfo(0, "PRIMARY", primary, unique=True)] if primary else []), *info.public_indexes)


def leads_with(index: IndexInfo, column_ids: Sequence[int]) -> bool:
    """Whether the index begins with these columns, whole and in this order."""
    first = index.columns[: len(column_ids)]
    return index.column_ids[: len(column_ids)] == tuple(column_ids) and all(part.length is None for part in first)


def needs_index(info: TableInfo, column_ids: Sequence[int]) -> bool:
    """Whether a child has no key yet by which the rows of a foreign key are found."""
    return not any(leads_with(index, column_ids) for index in keys_of(info))


# --- as text ----------------------------------------------------------------------------------------------------------


def described(child: TableInfo, foreign: ForeignKey) -> str:
    """The foreign key as errors 1451, 1452 and 1701 show it."""
    return f"`{child.schema.database}`.`{child.schema.name}`, {definition_text(child, foreign)}"


def definition_text(child: TableInfo, foreign: ForeignKey) -> str:
    """The foreign key as SHOW CREATE TABLE shows it."""
    names = {column.id: column.name for column in child.schema.columns}
    columns = ", ".join(_quoted(names[column_id]) for column_id in foreign.column_ids)
    parent = _quoted(foreign.parent[1])
    if foreign.parent[0].lower() != child.schema.database.lower():
        parent = f"{_quoted(foreign.parent[0])}.{parent}"
    text = f"CONSTRAINT {_quoted(foreign.name)} FOREIGN KEY ({columns})"
    text += f" REFERENCES {parent} ({', '.join(map(_quoted, foreign.parent_columns))})"
    if foreign.on_delete is not Action.NO_ACTION:
        text += f" ON DELETE {foreign.on_delete.value}"
    return text + (f" ON UPDATE {foreign.on_update.value}" if foreign.on_update is not Action.NO_ACTION else "")


def _quoted(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"
