"""What a statement takes and gives, told without running it: the answer to PREPARE."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rutile.errors import SqlError, from_floor
from rutile.parse import statements as st
from rutile.parse.parser import parse
from rutile.session.file_statements import JOB_COLUMNS
from rutile.session.result import LONGTEXT, ResultColumn
from rutile.session.sequences import without_calls
from rutile.show.regions import REGION_COLUMNS, SPLIT_COLUMNS
from rutile_proto.errors import RutileError

if TYPE_CHECKING:
    from rutile.session.session import Session

ER_UNSUPPORTED_PS = 1295


@dataclass(frozen=True, slots=True)
class Description:
    """A statement's parameters and result columns."""

    parameters: int
    columns: list[ResultColumn]
    """Empty for statements without a result set. A computed column is told as text: its type is known when it runs."""


async def describe(session: Session, sql: str) -> Description:
    """Describe one statement. Raises what parsing and naming its tables and columns raise, and 1295 for EXPLAIN."""
    parsed = parse(sql)
    await session.privileges.check_statement(parsed.statement, session.database, session.temporary)
    try:
        return Description(parsed.parameters, await _columns(session, parsed.statement, sql))
    except RutileError as error:
        raise from_floor(error) from error


async def _columns(session: Session, statement: st.Statement, sql: str) -> list[ResultColumn]:
    match statement:
        case st.Query(expression):
            found = await session.queries.output_columns(without_calls(expression))
            return [ResultColumn(column.name, column.type or LONGTEXT, column.origin) for column in found]
        case st.Show():
            return (await session.execute(sql)).columns  # it takes no parameters and changes nothing
        case st.SplitTable():
            return SPLIT_COLUMNS
        case st.ShowRegions():
            return REGION_COLUMNS
        case st.ImportInto() | st.ShowImportJobs():
            return JOB_COLUMNS
        case st.Prepare() | st.ExecutePrepared() | st.Deallocate():
            message = "This command is not supported in the prepared statement protocol yet"
            raise SqlError(ER_UNSUPPORTED_PS, message)
        case st.Explain():
            raise SqlError(ER_UNSUPPORTED_PS, "EXPLAIN is not supported in the prepared statement protocol yet")
    return []
