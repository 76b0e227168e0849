"""SELECT ... INTO OUTFILE: the rows of a query into a file of the server, as of one timestamp.

`'x.parquet'` makes a Parquet file, any other name MySQL's text form (FIELDS and LINES). The file must not be there, and
has its name only once it is complete.
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from functools import partial
from typing import TYPE_CHECKING

from rutile.errors import SqlError
from rutile.expressions.compile import Environment
from rutile.ingest.progress import Progress
from rutile.ingest.result_stream import ResultStream, open_stream
from rutile.ingest.sinks import FileSink, Sink, TextWriter, parquet_writer
from rutile.parse import statements as st
from rutile.session.result import Result

if TYPE_CHECKING:
    from rutile.session.session import Session

ER_ERROR_ON_WRITE = 1026


async def run_into_outfile(session: Session, statement: st.SelectIntoOutfile, environment: Environment) -> Result:
    """Write the file; the number of rows as `affected_rows`. Raises 1086, 1290, 1026, and what the query raises."""
    form = statement.outfile
    path = session.shared.files.to_write(form.path)
    stream = await open_stream(session, statement.query, environment)
    make = parquet_writer if path.suffix.lower() == ".parquet" else partial(TextWriter, form=form)
    try:
        sink = FileSink(path, stream.schema, make)
        rows = await write_all(stream, sink)
    except OSError as error:
        raise SqlError(ER_ERROR_ON_WRITE, f"Error writing file '{form.path}': {error}") from error
    return Result(affected_rows=rows)


async def write_all(stream: ResultStream, sink: Sink, progress: Progress | None = None) -> int:
    """Write every row, and finish the sink; after an error nothing is left of it."""
    rows = 0
    try:
        async with aclosing(stream.batches) as batches:  # type: ignore[type-var]
            async for batch in batches:
                await asyncio.to_thread(sink.write, batch)
                rows += batch.num_rows
                if progress is not None:
                    progress.add(batch.num_rows)
        await asyncio.to_thread(sink.finish)
    except BaseException:
        sink.abandon()
        raise
    return rows
