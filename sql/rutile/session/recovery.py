"""FLASHBACK TABLE, RECOVER TABLE and FLASHBACK DATABASE: which drop is meant."""

from __future__ import annotations

from rutile.catalog.catalog import Catalog
from rutile.catalog.recovery import Recovery
from rutile.ddl.create_table import check_name
from rutile.parse import statements as st
from rutile.session.definitions import database_of
from rutile.session.result import Result


async def run_recovery(
    catalog: Catalog, statement: st.RecoverTable | st.RecoverDatabase, database: str | None
) -> Result:
    """Bring it back; of several drops under one name, the last. `database` is the session's.

    Raises 1007, 1049, 1050, 1059, 8055.
    """
    if statement.new_name is not None:
        check_name(statement.new_name)
    if isinstance(statement, st.RecoverDatabase):
        wanted = statement.name.lower()
        recovery = Recovery(
            lambda job: job.database.lower() == wanted, f"database '{statement.name}'", statement.new_name
        )
        await catalog.change(recovery.database)
        return Result()
    if statement.table is None:
        job_id = statement.job_id
        await catalog.change(Recovery(lambda job: job.id == job_id, f"table of job {job_id}").table)
        return Result()
    key = database_of(statement.table, database).lower(), statement.table.name.lower()
    recovery = Recovery(
        lambda job: (job.database.lower(), job.table.lower()) == key and bool(job.extra["alone"]),
        f"table '{statement.table.name}'",
        statement.new_name,
    )
    await catalog.change(recovery.table)
    return Result()
