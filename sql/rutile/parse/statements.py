"""The statements a session knows, as data: what the parser makes and the session dispatches on.

Queries and data changes keep their sqlglot expression; everything else is a few names.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from sqlglot import exp

from rutile.parse.alterations import Alteration
from rutile.parse.partition_clause import PartitionClause
from rutile.privileges.statements import UserAction


@dataclass(frozen=True, slots=True)
class TableName:
    """A table as written; `database` None means the session's."""

    name: str
    database: str | None = None


@dataclass(frozen=True, slots=True)
class Query:
    """SELECT, UNION, WITH ... SELECT, VALUES, TABLE."""

    expression: exp.Expr
    as_of: exp.Expr | None = None
    """AS OF TIMESTAMP this."""


@dataclass(frozen=True, slots=True)
class Insert:
    """INSERT; `replace` for REPLACE INTO."""

    expression: exp.Insert
    replace: bool = False


@dataclass(frozen=True, slots=True)
class Update:
    """UPDATE; `ignores` for UPDATE IGNORE."""

    expression: exp.Update
    ignores: bool = False


@dataclass(frozen=True, slots=True)
class Delete:
    """DELETE; `ignores` for DELETE IGNORE."""

    expression: exp.Delete
    ignores: bool = False


DryRun: TypeAlias = Literal["no", "statements", "query"]
"""What BATCH shows instead of running."""


@dataclass(frozen=True, slots=True)
class Batch:
    """BATCH ON `column` LIMIT `rows` and a data change."""

    statement: Insert | Update | Delete
    rows: int
    column: str | None = None
    dry_run: DryRun = "no"


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


@dataclass(frozen=True, slots=True)
class Admin:
    """ADMIN `what`: show ddl jobs, cancel ddl jobs, check table."""

    what: str
    numbers: tuple[int, ...] = ()
    tables: tuple[TableName, ...] = ()


@dataclass(frozen=True, slots=True)
class AnalyzeTable:
    """ANALYZE TABLE `tables` [COLUMNS `columns`] [WITH n TOPN, n BUCKETS, r SAMPLERATE]; None is the default."""

    tables: tuple[TableName, ...]
    columns: tuple[str, ...] | None = None
    topn: int | None = None
    buckets: int | None = None
    sample_rate: float | None = None


@dataclass(frozen=True, slots=True)
class DropStats:
    """DROP STATS `tables`."""

    tables: tuple[TableName, ...]


SplitValues: TypeAlias = tuple[exp.Expr, ...]
"""What a border is before or at, column by column."""


@dataclass(frozen=True, slots=True)
class SplitTable:
    """SPLIT TABLE [INDEX `index`] BY the values, or BETWEEN the first and the second of them into `regions`."""

    table: TableName
    values: tuple[SplitValues, ...]
    regions: int | None = None
    index: str | None = None


@dataclass(frozen=True, slots=True)
class ShowRegions:
    """SHOW TABLE [INDEX `index`] REGIONS."""

    table: TableName
    index: str | None = None


@dataclass(frozen=True, slots=True)
class Begin:
    read_only: bool = False
    pessimistic: bool | None = None
    """BEGIN PESSIMISTIC or OPTIMISTIC; None leaves it to tidb_txn_mode."""
    as_of: exp.Expr | None = None
    """START TRANSACTION READ ONLY AS OF TIMESTAMP this."""


@dataclass(frozen=True, slots=True)
class Commit:
    pass


@dataclass(frozen=True, slots=True)
class Rollback:
    savepoint: str | None = None
    """ROLLBACK TO this savepoint; None ends the transaction."""


@dataclass(frozen=True, slots=True)
class Savepoint:
    name: str


@dataclass(frozen=True, slots=True)
class ReleaseSavepoint:
    name: str


@dataclass(frozen=True, slots=True)
class Use:
    database: str


VariableScope: TypeAlias = Literal["session", "global", "user"]


@dataclass(frozen=True, slots=True)
class Assignment:
    """One `name = value` of SET. `scope` "user" is for @name."""

    scope: VariableScope
    name: str
    value: exp.Expr


@dataclass(frozen=True, slots=True)
class SetVariables:
    """SET; SET NAMES is that of three variables."""

    assignments: tuple[Assignment, ...] = ()


@dataclass(frozen=True, slots=True)
class Show:
    """SHOW `what`: databases, tables, columns, create table, variables, warnings, ..."""

    what: str
    table: TableName | None = None
    database: str | None = None
    pattern: str | None = None
    full: bool = False
    window: tuple[int, int | None] = (0, None)
    """LIMIT: how many rows to leave out, and how many to show at most."""
    where: exp.Expr | None = None
    """A condition on the columns of the result."""
    is_global: bool = False
    """SHOW GLOBAL VARIABLES, SHOW GLOBAL STATUS."""


@dataclass(frozen=True, slots=True)
class Explain:
    """EXPLAIN [ANALYZE] of a query or data change."""

    statement: Statement
    sql: str
    analyze: bool = False


@dataclass(frozen=True, slots=True)
class UserStatement:
    """A statement about users, roles and privileges."""

    action: UserAction


@dataclass(frozen=True, slots=True)
class Kill:
    """KILL [QUERY | CONNECTION] of a session."""

    connection_id: int
    query_only: bool = False


@dataclass(frozen=True, slots=True)
class Prepare:
    """PREPARE `name` FROM a text, or FROM a user variable that holds it."""

    name: str
    sql: str = ""
    variable: str | None = None


@dataclass(frozen=True, slots=True)
class ExecutePrepared:
    """EXECUTE `name` USING user variables."""

    name: str
    variables: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Deallocate:
    """DEALLOCATE PREPARE."""

    name: str


@dataclass(frozen=True, slots=True)
class ImportInto:
    """IMPORT INTO: a file of the server, or a query."""

    table: TableName
    columns: tuple[str, ...]
    """Where the source's columns go, in their order; one that begins with `@` is left out. Empty: as they are."""
    path: str | None
    format: str | None
    """csv or parquet; None: by the file's ending."""
    query: exp.Query | None
    options: dict[str, str | int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ShowImportJobs:
    """SHOW IMPORT JOBS, or JOB n."""

    job_id: int | None = None


@dataclass(frozen=True, slots=True)
class CancelImportJob:
    job_id: int


@dataclass(frozen=True, slots=True)
class Outfile:
    """Where INTO OUTFILE writes, and how; Parquet if the file's name ends so."""

    path: str
    field_end: str = "\t"
    enclosed: str = ""
    optional: str = ""
    """Not empty: only texts are enclosed."""
    escape: str = "\\"
    line_end: str = "\n"
    line_start: str = ""


@dataclass(frozen=True, slots=True)
class SelectIntoOutfile:
    """SELECT ... INTO OUTFILE."""

    query: Query
    outfile: Outfile


@dataclass(frozen=True, slots=True)
class Nothing:
    """A statement accepted and without effect here, as in TiDB (LOCK TABLES, FLUSH ..., ANALYZE TABLE)."""

    what: str


Statement: TypeAlias = (
    Query | Insert | Update | Delete | Batch | CreateDatabase | DropDatabase | CreateTable | DropTable | TruncateTable
    | RecoverTable | RecoverDatabase | CreateSequence | AlterSequence | DropSequence | CreateView | DropView
    | AlterTable | RenameTables | Admin | SplitTable | ShowRegions | AnalyzeTable | DropStats
    | Begin | Commit | Rollback | Savepoint | ReleaseSavepoint | Use | SetVariables | Show | Explain
    | UserStatement | Kill | Prepare | ExecutePrepared | Deallocate | ImportInto | ShowImportJobs | CancelImportJob
    | SelectIntoOutfile | Nothing
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Parsed:
    """A statement with how many `?` it has; in expressions they are exp.Placeholder named p0, p1, ..."""

    statement: Statement
    parameters: int = 0
    sql: str = field(default="", compare=False)
