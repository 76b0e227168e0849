"""The statements a session knows, as data: what the parser makes and the session dispatches on.

Queries and data changes keep their sqlglot expression; everything else is a few names. Here are what reads and what
changes rows, and all of them together as `Statement`; the others have files of their own and are had from here as well:

    definition_statements.py    databases, tables, views, sequences
    session_statements.py       transactions, variables, prepared statements
    upkeep_statements.py        jobs, statistics, regions, imports
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from sqlglot import exp

from rutile.parse.definition_statements import (
    AlterSequence,
    AlterTable,
    CreateDatabase,
    CreateSequence,
    CreateTable,
    CreateView,
    DropDatabase,
    DropSequence,
    DropTable,
    DropView,
    RecoverDatabase,
    RecoverTable,
    RenameTables,
    TruncateTable,
)
from rutile.parse.session_statements import (
    Assignment,
    Begin,
    Commit,
    Deallocate,
    ExecutePrepared,
    Kill,
    Prepare,
    ReleaseSavepoint,
    Rollback,
    Savepoint,
    SetVariables,
    Use,
    VariableScope,
)
from rutile.parse.table_name import TableName
from rutile.parse.upkeep_statements import (
    Admin,
    AnalyzeTable,
    CancelImportJob,
    DropStats,
    ImportInto,
    ShowImportJobs,
    ShowRegions,
    SplitTable,
    SplitValues,
)
from rutile.privileges.statements import UserAction

__all__ = [
    "Admin", "AlterSequence", "AlterTable", "AnalyzeTable", "Assignment", "Batch", "Begin", "CancelImportJob",
    "Commit", "CreateDatabase", "CreateSequence", "CreateTable", "CreateView", "Deallocate", "Delete", "DropDatabase",
    "DropSequence", "DropStats", "DropTable", "DropView", "DryRun", "ExecutePrepared", "Explain", "ImportInto",
    "Insert", "Kill", "Nothing", "Outfile", "Parsed", "Prepare", "Query", "RecoverDatabase", "RecoverTable",
    "ReleaseSavepoint", "RenameTables", "Rollback", "Savepoint", "SelectIntoOutfile", "SetVariables", "Show",
    "ShowImportJobs", "ShowRegions", "SplitTable", "SplitValues", "Statement", "TableName", "TruncateTable", "Update",
    "Use", "UserStatement", "VariableScope",
]  # fmt: skip


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
