"""From a parsed statement to what runs it: one arm a kind of statement.

Definitions and what else commits by itself ends the open transaction first, as in MySQL.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, assert_never

from rutile.ddl.context import DefinitionContext
from rutile.expressions.compile import Environment
from rutile.parse import statements as st
from rutile.privileges.run import run_user_statement
from rutile.session.assignments import run_set
from rutile.session.batch import run_batch
from rutile.session.definitions import run_definition
from rutile.session.file_statements import run_file_statement
from rutile.session.process_list import kill
from rutile.session.recovery import run_recovery
from rutile.session.result import Result
from rutile.session.sequences import may_call, run_sequence_definition
from rutile.session.temporary import run_on_temporary
from rutile.session.views import run_create_view, run_drop_view
from rutile.show.admin import run_admin
from rutile.show.regions import run_show_regions, run_split
from rutile.show.show import LOOKS_BACK, run_show
from rutile.statistics.statements import run_analyze, run_drop_stats

if TYPE_CHECKING:
    from rutile.session.session import Session


async def run_statement(session: Session, statement: st.Statement, sql: str, environment: Environment) -> Result:
    """Run a statement of the text `sql`. Raises SqlError and RutileError."""
    match statement:
        case st.Query() | st.Insert() | st.Update() | st.Delete() if may_call(sql):
            resolved = await session.sequences.resolved(statement, environment)
            return await session.queries.run(resolved, None, environment)
        case st.RecoverTable() | st.RecoverDatabase():
            await session.transaction.commit()
            return await run_recovery(session.shared.catalog, statement, session.database)
        case st.CreateSequence() | st.AlterSequence() | st.DropSequence():
            await session.transaction.commit()
            return await run_sequence_definition(session, statement)
        case st.Query() | st.Insert() | st.Update() | st.Delete() | st.Explain():
            return await session.queries.run(statement, sql, environment)
        case (
            st.CreateDatabase() | st.DropDatabase() | st.CreateTable() | st.DropTable() | st.TruncateTable()
            | st.AlterTable() | st.RenameTables()
        ):  # fmt: skip
            done = await run_on_temporary(session, statement)
            if done is not None:
                return done
            await session.transaction.commit()
            shared, checked = session.shared, bool(session.variables.get("foreign_key_checks"))
            context = DefinitionContext(environment.now, checked, session.zone, environment.modes.strict)
            result = await run_definition(statement, shared.catalog, shared.ddl, session.database, context)
            _forget_dropped_database(session, statement)
            return result
        case st.Batch():
            return await run_batch(session, statement, environment)
        case st.CreateView():
            await session.transaction.commit()
            return await run_create_view(session, statement)
        case st.DropView():
            await session.transaction.commit()
            return await run_drop_view(session, statement)
        case st.Admin():
            return await run_admin(session, statement)
        case st.AnalyzeTable():
            await session.transaction.commit()
            return await run_analyze(session, statement)
        case st.DropStats():
            await session.transaction.commit()
            return await run_drop_stats(session, statement)
        case st.SplitTable():
            return await run_split(session, statement, environment)
        case st.ShowRegions():
            return await run_show_regions(session, statement)
        case st.ImportInto() | st.ShowImportJobs() | st.CancelImportJob() | st.SelectIntoOutfile():
            return await run_file_statement(session, statement, sql, environment)
        case st.Show():
            result = await run_show(session, statement)
            return replace(result, info="SHOW") if statement.what in LOOKS_BACK else result
        case st.UserStatement(action):
            return await run_user_statement(session, action)
        case st.Kill(connection_id, query_only):
            await kill(session, connection_id, query_only=query_only)
        case st.Prepare():
            session.prepared.prepare(statement, session.user_variables)
        case st.ExecutePrepared(name, variables):
            values = [session.user_variables.get(variable) for variable in variables]
            return await session.execute_within(session.prepared.get(name, "EXECUTE"), values)
        case st.Deallocate(name):
            session.prepared.drop(name)
        case st.Use(name):
            await session.use(name)
        case st.SetVariables():
            await run_set(session, statement, environment)
        case st.Begin(as_of=moment) if moment is not None:
            await session.transaction.commit()
            session.stale.transaction_ts = await session.stale.timestamp(moment, environment)
        case st.Begin(read_only, pessimistic):
            session.stale.transaction_ts = None
            await session.transaction.begin(session.mode.begun(read_only=read_only, pessimistic=pessimistic))
        case st.Commit():
            session.stale.transaction_ts = None
            await session.transaction.commit()
        case st.Rollback(savepoint):
            session.stale.transaction_ts = None
            await session.transaction.rollback_to(savepoint)
        case st.Savepoint(name):
            await session.transaction.savepoint(name, session.mode)
        case st.ReleaseSavepoint(name):
            session.transaction.release(name)
        case st.Nothing():
            pass
        case _:
            assert_never(statement)
    return Result()


def _forget_dropped_database(session: Session, statement: st.Statement) -> None:
    if isinstance(statement, st.DropDatabase) and statement.name.lower() == (session.database or "").lower():
        session.database = None
