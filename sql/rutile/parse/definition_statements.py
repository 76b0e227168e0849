"""Statements that make, change and take away definitions: databases, tables, views, sequences."""

from __future__ import annotations

from dataclasses import dataclass

from sqlglot import exp

from rutile.parse.alterations import Alteration
from rutile.parse.partition_clause import PartitionClause
from rutile.parse.table_name import TableName


@dataclass(frozen=True, slots=True)
class CreateDatabase:
    name: str
    if_not_exists: bool = False


@dataclass(frozen=True, slots=True)
class DropDatabase:
    name: str
    if_exists: bool = False


@dataclass(frozen=True, slots=True)
class CreateTable:
    """CREATE TABLE with its definition still in sqlglot's form."""

    table: TableName
    definition: exp.Create
    if_not_exists: bool = False
    like: TableName | None = None
    """CREATE TABLE ... LIKE this one; the definition says nothing then."""
    temporary: bool = False
    partitioning: PartitionClause | None = None


@dataclass(frozen=True, slots=True)
class DropTable:
    tables: tuple[TableName, ...]
    if_exists: bool = False
    temporary: bool = False
    """TEMPORARY was said: others are left alone."""


@dataclass(frozen=True, slots=True)
class CreateView:
    """CREATE [OR REPLACE] VIEW name [(columns)] AS query."""

    name: TableName
    query: exp.Expr
    columns: tuple[str, ...] = ()
    or_replace: bool = False


@dataclass(frozen=True, slots=True)
class DropView:
    views: tuple[TableName, ...]
    if_exists: bool = False


@dataclass(frozen=True, slots=True)
class CreateSequence:
    """Options by the names of `rutile.catalog.sequence_info.SequenceInfo`; None: left to its default."""

    name: TableName
    options: dict[str, int | str | None]
    if_not_exists: bool = False


@dataclass(frozen=True, slots=True)
class AlterSequence:
    """The same; `restart` is a value, or None for the start."""

    name: TableName
    options: dict[str, int | str | None]
    if_exists: bool = False


@dataclass(frozen=True, slots=True)
class DropSequence:
    names: tuple[TableName, ...]
    if_exists: bool = False


@dataclass(frozen=True, slots=True)
class RecoverTable:
    """FLASHBACK TABLE and RECOVER TABLE: by name, or by the job that dropped it."""

    table: TableName | None
    job_id: int = 0
    new_name: str | None = None


@dataclass(frozen=True, slots=True)
class RecoverDatabase:
    """FLASHBACK DATABASE."""

    name: str
    new_name: str | None = None


@dataclass(frozen=True, slots=True)
class TruncateTable:
    table: TableName


@dataclass(frozen=True, slots=True)
class AlterTable:
    """ALTER TABLE; CREATE INDEX and DROP INDEX are one of its changes."""

    table: TableName
    changes: tuple[Alteration, ...]


@dataclass(frozen=True, slots=True)
class RenameTables:
    pairs: tuple[tuple[TableName, TableName], ...]
