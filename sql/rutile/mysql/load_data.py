"""LOAD DATA LOCAL INFILE: the client is asked for its file, and what it sends is inserted, all of it or nothing.

Rows whose key is there already are left out with a warning, or replace the old ones (REPLACE), and without REPLACE a
value that does not fit its column is adjusted with a warning (INSERT IGNORE): with LOCAL that is MySQL's default too.
Any other error ends the load with it; the rest of the file is read and dropped.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from rutile.ddl.show_create import quote_name
from rutile.errors import SqlError
from rutile.mysql.link import Link
from rutile.mysql.load_statement import LoadData
from rutile.mysql.problems import packet_too_large
from rutile.mysql.records import Record, RecordReader
from rutile.session.result import Result, SqlWarning
from rutile.session.session import Session

BATCH_ROWS = 500
REQUEST = b"\xfb"
READ_TIMEOUT_S = 60.0
_SAVEPOINT = "load data"
_WARNINGS_KEPT = 64
_ROW = re.compile(r"at row (\d+)$")


class Load:
    """One load."""

    def __init__(self, link: Link, session: Session, statement: LoadData) -> None:
        self._link = link
        self._session = session
        self._statement = statement
        self._reader = RecordReader(statement.format)
        self._charset = session.variables.client_charset
        self._decoder = self._charset.incremental_decoder()
        self._to_skip = statement.skipped_lines
        self._columns: tuple[str, ...] = statement.columns
        self._batch: list[Record] = []
        self._records = 0
        self._inserted = 0
        self._warnings: list[SqlWarning] = []

    async def run(self) -> Result:
        """Ask for the file and load it. Raises what INSERT raises, 1300 for what is not of the client's character set,
        and LinkLost."""
        await self._find_columns()
        self._link.send(REQUEST + self._charset.encode(self._statement.file))
        await self._link.flush()
        alone = not self._session.holds_locks
        await self._session.execute("BEGIN" if alone else f"SAVEPOINT {quote_name(_SAVEPOINT)}")
        try:
            await self._load()
        except SqlError:
            await self._session.execute("ROLLBACK" if alone else f"ROLLBACK TO {quote_name(_SAVEPOINT)}")
            raise
        if alone:
            await self._session.execute("COMMIT")
        return self._result()

    async def _find_columns(self) -> None:
        """The columns by name: that the table is there is known before the client is asked for anything."""
        shown = await self._session.execute(f"SHOW COLUMNS FROM {self._table}")
        self._columns = self._columns or tuple(str(row[0]) for row in shown.rows())
        names = ", ".join(map(quote_name, self._columns))
        places = ", ".join("?" * len(self._columns))
        await self._session.describe(f"INSERT INTO {self._table} ({names}) VALUES ({places})")

    @property
    def _table(self) -> str:
        table = self._statement.table
        return f"{quote_name(table.database)}.{quote_name(table.name)}" if table.database else quote_name(table.name)

    async def _load(self) -> None:
        """Take the file to its end, which is an empty packet, whatever happens to its rows."""
        failure: SqlError | None = None
        while piece := await self._link.read(READ_TIMEOUT_S):
            if failure is None:
                try:
                    await self._take(self._records_of(piece))
                except SqlError as error:
                    failure = error
        if failure is not None:
            raise failure
        await self._take(self._reader.finish())
        await self._insert()

    def _records_of(self, piece: bytes) -> Iterator[Record]:
        try:
            text = self._decoder.decode(piece)
        except UnicodeDecodeError as error:
            raise self._charset.invalid(piece[error.start :]) from None
        limit = self._session.variables.number("max_allowed_packet")
        if self._reader.kept_characters > limit:
            raise packet_too_large(limit)
        return self._reader.feed(text)

    async def _take(self, records: Iterator[Record]) -> None:
        for record in records:
            if self._to_skip:
                self._to_skip -= 1
                continue
            self._batch.append(self._fitted(record))
            if len(self._batch) >= BATCH_ROWS:
                await self._insert()

    def _fitted(self, record: Record) -> Record:
        """As many fields as there are columns; too few or too many are a warning."""
        self._records += 1
        wanted = len(self._columns)
        if len(record) < wanted:
            self._warn(1261, f"Row {self._records} doesn't contain data for all columns")
        elif len(record) > wanted:
            self._warn(1262, f"Row {self._records} was truncated; it contained more data than there were input columns")
        return [*record[:wanted], *[None] * (wanted - len(record))]

    def _warn(self, code: int, message: str) -> None:
        if len(self._warnings) < _WARNINGS_KEPT:
            self._warnings.append(SqlWarning("Warning", code, message))

    async def _insert(self) -> None:
        if not self._batch:
            return
        names = ", ".join(map(quote_name, self._columns))
        row = f"({','.join('?' * len(self._columns))})"
        verb = "REPLACE" if self._statement.replaces else "INSERT IGNORE"
        sql = f"{verb} INTO {self._table} ({names}) VALUES {','.join([row] * len(self._batch))}"
        values = [value for record in self._batch for value in record]
        before = self._records - len(self._batch)
        self._batch = []
        result = await self._session.execute(sql, values)
        self._inserted += result.affected_rows
        for warning in result.warnings:
            self._warn(warning.code, _ROW.sub(lambda row: f"at row {before + int(row[1])}", warning.message))

    def _result(self) -> Result:
        skipped = 0 if self._statement.replaces else self._records - self._inserted
        info = f"Records: {self._records}  Deleted: 0  Skipped: {skipped}  Warnings: {len(self._warnings)}"
        result = Result(affected_rows=self._inserted, warnings=self._warnings, info=info)
        self._session.warnings = self._warnings
        return result
