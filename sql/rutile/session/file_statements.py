"""Statements on files and import jobs: what they answer. The work is in `rutile.ingest`, loaded when it is first needed
(most sessions never import anything)."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from rutile.expressions.compile import Environment
from rutile.parse import statements as st
from rutile.session.result import Result, ResultColumn
from rutile_coprocessor.schema import ColumnType, Kind

if TYPE_CHECKING:
    from rutile.session.session import Session

FileStatement: TypeAlias = st.ImportInto | st.ShowImportJobs | st.CancelImportJob | st.SelectIntoOutfile

_NUMBER = ColumnType(Kind.BIGINT)
_TEXT = ColumnType(Kind.VARCHAR, length=4096)
_TIME = ColumnType(Kind.DATETIME, scale=6)
_JOB_TYPES = {
    "Job_ID": _NUMBER, "Data_Source": _TEXT, "Target_Table": _TEXT, "Table_ID": _NUMBER, "Phase": _TEXT,
    "Status": _TEXT, "Source_File_Size": _TEXT, "Imported_Rows": _NUMBER, "Result_Message": _TEXT,
    "Create_Time": _TIME, "Start_Time": _TIME, "End_Time": _TIME, "Created_By": _TEXT,
}  # fmt: skip
JOB_COLUMNS = [ResultColumn(name, kind) for name, kind in _JOB_TYPES.items()]
"""TiDB's."""


async def run_file_statement(session: Session, statement: FileStatement, sql: str, environment: Environment) -> Result:
    """Run it. Raises 1045, 1146, 1179, 1227, 1235, 1290, 8170, 8171, 8173, and what the import raises."""
    from rutile.ingest import statements
    from rutile.ingest.outfile import run_into_outfile

    match statement:
        case st.ImportInto():
            return await statements.run_import(session, statement, environment)
        case st.ShowImportJobs(job_id):
            return await statements.run_show_jobs(session, job_id)
        case st.CancelImportJob(job_id):
            return await statements.run_cancel(session, job_id)
        case st.SelectIntoOutfile():
            return await run_into_outfile(session, statement, environment)
