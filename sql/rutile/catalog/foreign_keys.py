"""Foreign keys as the catalogue knows them: of the child, and where they lead, of the parent.

A foreign key belongs to its child (`TableInfo.foreign_keys`) and names its parent, which may be missing as long as
nobody checks (foreign_key_checks = 0). Each parent lists who leads to it (`TableInfo.referrers`). `relinked` keeps that
list true at the end of every change of the catalogue, in the change's own transaction: so a foreign key that comes or
goes changes its parent's definition too, and a transaction that wrote the parent without knowing of it cannot commit
(8028, `holds.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rutile.catalog.model import CatalogSnapshot, TableInfo

TableName = tuple[str, str]
"""(database, table)."""


class Action(StrEnum):
    """What happens to children when their parent goes or gets another key."""

    NO_ACTION = "NO ACTION"
    """The same as RESTRICT: nothing is deferred to the end of a transaction."""
    RESTRICT = "RESTRICT"
    CASCADE = "CASCADE"
    SET_NULL = "SET NULL"

    @property
    def refuses(self) -> bool:
        return self in (Action.NO_ACTION, Action.RESTRICT)


@dataclass(frozen=True, slots=True)
class ForeignKey:
    """A foreign key of the table it is in."""

    name: str
    column_ids: tuple[int, ...]
    parent: TableName
    """As it is spelled; compare in lower case."""
    parent_columns: tuple[str, ...]
    on_delete: Action = Action.NO_ACTION
    on_update: Action = Action.NO_ACTION

    def leads_to(self, database: str, table: str) -> bool:
        return (self.parent[0].lower(), self.parent[1].lower()) == (database.lower(), table.lower())

    def to_json(self) -> dict[str, Any]:
        """For the catalogue's JSON."""
        return {
            "name": self.name, "columns": self.column_ids, "parent": self.parent,
            "parent_columns": self.parent_columns, "on_delete": self.on_delete.value,
            "on_update": self.on_update.value,
        }  # fmt: skip

    @staticmethod
    def from_json(body: dict[str, Any]) -> ForeignKey:
        """What `to_json` made."""
        database, table = body["parent"]
        columns, parent_columns = tuple(body["columns"]), tuple(body["parent_columns"])
        actions = Action(body["on_delete"]), Action(body["on_update"])
        return ForeignKey(body["name"], columns, (database, table), parent_columns, *actions)


@dataclass(frozen=True, slots=True, order=True)
class Referrer:
    """A foreign key that leads to the table this is in; database and table in lower case."""

    database: str
    table: str
    foreign_key: str

    @property
    def key(self) -> TableName:
        return self.database, self.table


def key_of(info: TableInfo) -> TableName:
    """A table's database and name in lower case."""
    return info.schema.database.lower(), info.schema.name.lower()


def relinked(seen: CatalogSnapshot) -> list[TableInfo]:
    """The tables whose list of referrers is no longer true, with the true one."""
    found: dict[TableName, list[Referrer]] = {}
    for key, info in seen.tables.items():
        for foreign in info.foreign_keys:
            parent = foreign.parent[0].lower(), foreign.parent[1].lower()
            found.setdefault(parent, []).append(Referrer(*key, foreign.name))
    stale = []
    for key, info in seen.tables.items():
        referrers = tuple(sorted(found.get(key, ())))
        if referrers != info.referrers:
            stale.append(replace(info, referrers=referrers))
    return stale


def has_foreign_keys(tables: Iterable[TableInfo]) -> bool:
    """Whether there is anything to link."""
    return any(info.foreign_keys or info.referrers for info in tables)


def followed(tables: Mapping[TableName, TableInfo], before: TableInfo, after: TableInfo) -> list[TableInfo]:
    """`after`, and the tables whose foreign keys lead to it, as they are once `before` has become `after`.

    Another name of the table or of one of its columns is followed by the foreign keys that name it.
    """
    new_names = {column.id: column.name for column in after.schema.columns}
    names = {column.name.lower(): new_names.get(column.id, column.name) for column in before.schema.columns}
    place = after.schema.database, after.schema.name
    old_key = key_of(before)

    def follow(foreign: ForeignKey) -> ForeignKey:
        if not foreign.leads_to(*old_key):
            return foreign
        columns = tuple(names.get(column.lower(), column) for column in foreign.parent_columns)
        return replace(foreign, parent=place, parent_columns=columns)

    changed = [replace(after, foreign_keys=tuple(map(follow, after.foreign_keys)))]
    for key in dict.fromkeys(referrer.key for referrer in before.referrers):
        child = tables.get(key)
        if child is None or key == old_key:
            continue
        moved = replace(child, foreign_keys=tuple(map(follow, child.foreign_keys)))
        changed += [moved] if moved != child else []
    return changed
