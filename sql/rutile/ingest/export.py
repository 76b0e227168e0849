"""`rutile export`: a table or a query to files, as of one timestamp."""

from __future__ import annotations

import sys
from pathlib import Path

from sqlglot import exp

from rutile.ddl.show_create import quote_name
from rutile.errors import SqlError
from rutile.ingest.outfile import write_all
from rutile.ingest.progress import Progress
from rutile.ingest.result_stream import open_stream
from rutile.ingest.sinks import open_sink
from rutile.nodes.local import shared_database
from rutile.parse import statements as st
from rutile.parse.parser import parse
from rutile.pep249 import DataError, NotSupportedError, ProgrammingError, exception_of
from rutile.session.engine import Database

FORMATS = {".parquet": "parquet", ".csv": "csv"}


def export(
    target: str,
    database: str,
    to: Path,
    *,
    table: str | None = None,
    query: str | None = None,
    form: str | None = None,
    as_of: str | None = None,
) -> int:
    """Write the rows of `table`, or of `query`, to the file `to`, or into it if its name has no ending; their number.

    `form` is parquet or csv, by default what the ending says. `as_of` is a moment, as AS OF TIMESTAMP takes it. Raises
    ProgrammingError, NotSupportedError, and DataError when the file is there already or cannot be written; then nothing
    is left of it.
    """
    if (table is None) == (query is None):
        raise ProgrammingError("want a table or a query")
    known = form or (FORMATS.get(to.suffix.lower()) if to.suffix else "parquet")
    if known is None:
        raise NotSupportedError(f"{to.name}: can export .parquet and .csv", 1235)
    if to.suffix and to.exists():
        raise DataError(f"{to} is there already", 1086)
    name = (table or "query").rpartition(".")[2]

    async def work(engine: Database) -> int:
        return await _export(engine, database, query or _select_all(table or ""), as_of, to, name, known)

    shared = shared_database(target)
    try:
        return shared.loop.run(work(shared.database))
    except SqlError as error:
        raise exception_of(error) from error
    except OSError as error:
        raise DataError(f"{to}: {error}") from error
    finally:
        shared.release()


async def _export(engine: Database, database: str, sql: str, as_of: str | None, to: Path, name: str, form: str) -> int:
    session = await engine.session(database)
    try:
        statement = parse(sql).statement
        if not isinstance(statement, st.Query):
            raise ProgrammingError("can export queries only")
        if as_of is not None:
            statement = st.Query(statement.expression, exp.Literal.string(as_of))
        stream = await open_stream(session, statement, session.environment(()))
        progress = Progress(name, None, sys.stderr)
        try:
            return await write_all(stream, open_sink(to, name, form, stream.schema), progress)
        finally:
            progress.close()
    finally:
        await session.close()


def _select_all(table: str) -> str:
    owner, _, name = table.rpartition(".")
    return f"SELECT * FROM {quote_name(owner) + '.' if owner else ''}{quote_name(name)}"
