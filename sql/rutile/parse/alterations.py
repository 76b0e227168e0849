"""What ALTER TABLE can ask for, as data: the parser makes it, `rutile.ddl.alter` does it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from sqlglot import exp

from rutile.ddl.foreign_keys import ForeignKeyDefinition
from rutile.ddl.indexes import IndexDefinition
from rutile.parse.partition_clause import PartitionDefinition


@dataclass(frozen=True, slots=True)
class Place:
    """Where a column goes: FIRST, AFTER one, or (neither) at the end; a column that exists stays."""

    first: bool = False
    after: str | None = None


@dataclass(frozen=True, slots=True)
class AddIndex:
    definition: IndexDefinition
    if_not_exists: bool = False


@dataclass(frozen=True, slots=True)
class DropIndex:
    name: str
    if_exists: bool = False


@dataclass(frozen=True, slots=True)
class RenameIndex:
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class AddColumn:
    definition: exp.ColumnDef
    place: Place
    if_not_exists: bool = False


@dataclass(frozen=True, slots=True)
class DropColumn:
    name: str
    if_exists: bool = False


@dataclass(frozen=True, slots=True)
class RenameColumn:
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class ModifyColumn:
    """MODIFY and CHANGE: `name` becomes what the definition says."""

    name: str
    definition: exp.ColumnDef
    place: Place


@dataclass(frozen=True, slots=True)
class SetDefault:
    """ALTER COLUMN ... SET DEFAULT; None is DROP DEFAULT."""

    column: str
    default: exp.Expr | None


@dataclass(frozen=True, slots=True)
class AddCheck:
    name: str | None
    condition: exp.Expr


@dataclass(frozen=True, slots=True)
class DropCheck:
    name: str


@dataclass(frozen=True, slots=True)
class AddForeignKey:
    definition: ForeignKeyDefinition


@dataclass(frozen=True, slots=True)
class DropForeignKey:
    name: str
    if_exists: bool = False


@dataclass(frozen=True, slots=True)
class RenameTable:
    database: str | None
    name: str


@dataclass(frozen=True, slots=True)
class SetComment:
    comment: str


@dataclass(frozen=True, slots=True)
class SetAutoIncrement:
    value: int


@dataclass(frozen=True, slots=True)
class AddPartitions:
    definitions: tuple[PartitionDefinition, ...]


@dataclass(frozen=True, slots=True)
class DropPartitions:
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TruncatePartitions:
    """None is ALL."""

    names: tuple[str, ...] | None


Alteration: TypeAlias = (
    AddIndex | DropIndex | RenameIndex | AddColumn | DropColumn | RenameColumn | ModifyColumn | SetDefault | RenameTable
    | SetComment | SetAutoIncrement | AddCheck | DropCheck | AddForeignKey | DropForeignKey
    | AddPartitions | DropPartitions | TruncatePartitions
)  # fmt: skip
