"""CommandStatementIngest: an Arrow stream into a table, all of it or nothing (see rutile.ingest.arrow_ingest)."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa

from rutile import errors
from rutile.errors import SqlError, not_supported
from rutile.flight.metadata import CATALOG
from rutile.flight.statements import Running
from rutile.flight.transactions import Caller, Transactions
from rutile.flight.wire import text_or_none
from rutile.ingest.arrow_ingest import ArrowIngest, IngestTarget
from rutile.privileges.names import Privilege
from rutile.privileges.needs import Need
from rutile.session.engine import Database
from rutile.session.session import Session
from rutile_proto import flightsqlpb_pb2 as flightsqlpb

MAX_BATCH_BYTES = 256 << 20
ER_TOO_LARGE = 1153
PRIMARY_KEY_OPTION = "primary_key"
"""An option of CommandStatementIngest: the key of the table to make, as COL[,COL]."""
_Options = flightsqlpb.CommandStatementIngest.TableDefinitionOptions


class Ingest:
    """Runs CommandStatementIngest."""

    def __init__(self, database: Database, transactions: Transactions) -> None:
        self._database = database
        self._transactions = transactions

    async def run(
        self,
        caller: Caller,
        command: flightsqlpb.CommandStatementIngest,
        schema: pa.Schema,
        incoming: Iterator[pa.RecordBatch],
        running: Running,
    ) -> int:
        """Ingest what comes; the number of rows. Raises 1050, 1146, 1153, 1235, and what INSERT and import raise."""
        target = _target(caller, command)
        job = ArrowIngest(self._database, target, schema, _bounded(incoming), lambda: running.is_cancelled)
        async with self._transactions.session(caller, command.transaction_id) as session:
            await _demand(session, target)
            await job.check()
        await job.peek()
        async with self._transactions.session(caller, command.transaction_id) as session:
            if session.holds_locks or not await job.can_be_bulk():
                return await job.insert(session)
        return await job.load()


async def _demand(session: Session, target: IngestTarget) -> None:
    """Whether this user may. Raises 1142."""
    wanted = [Privilege.INSERT]
    wanted += [Privilege.CREATE] if target.create else []
    wanted += [Privilege.DROP] if target.if_exists == "replace" else []
    for privilege in wanted if target.database else ():
        await session.privileges.demand(Need((privilege,), target.database.lower(), target.table.lower()))


def _target(caller: Caller, command: flightsqlpb.CommandStatementIngest) -> IngestTarget:
    """What the command asks for. Raises 1049 and 1235."""
    if command.temporary:
        raise not_supported("a temporary table")
    if text_or_none(command, "catalog") not in (None, "", CATALOG):
        raise errors.unknown_database(f"{command.catalog} (the only catalog is {CATALOG})")
    options = command.table_definition_options
    key = command.options.get(PRIMARY_KEY_OPTION, "")
    return IngestTarget(
        text_or_none(command, "schema") or caller.database or "",
        command.table,
        create=options.if_not_exist == _Options.TABLE_NOT_EXIST_OPTION_CREATE,
        if_exists=_IF_EXISTS.get(options.if_exists, "fail"),
        primary_key=tuple(name.strip() for name in key.split(",")) if key else (),
    )


_IF_EXISTS = {
    _Options.TABLE_EXISTS_OPTION_APPEND: "append",
    _Options.TABLE_EXISTS_OPTION_REPLACE: "replace",
}


def _bounded(incoming: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """The batches; 1153 for one that is too large."""
    for batch in incoming:
        if batch.nbytes > MAX_BATCH_BYTES:
            raise SqlError(
                ER_TOO_LARGE,
                f"a batch of {batch.nbytes} bytes is over the limit of {MAX_BATCH_BYTES}: send smaller batches",
                sqlstate="08S01",
            )
        yield batch
