"""What a statement needs, told by its text alone: which privileges on which tables.

SELECT                        SELECT on every table named; FOR UPDATE one of UPDATE, DELETE, LOCK TABLES too
INSERT, REPLACE               INSERT on the target (REPLACE: DELETE, ON DUPLICATE KEY: UPDATE), SELECT on the rest
UPDATE, DELETE                UPDATE or DELETE on what changes, SELECT on all that is looked at
definitions                   CREATE, DROP, ALTER, INDEX on the table or database
SHOW of a table               any privilege on it; of its regions, SELECT
SPLIT TABLE                   INSERT on it
ANALYZE TABLE, DROP STATS     INSERT and SELECT on it
IMPORT INTO                   SELECT, UPDATE, INSERT, DELETE and ALTER on it; FILE for a file, SELECT on what is queried
INTO OUTFILE                  FILE, and what the query needs
import jobs                   one's own are shown and cancelled; those of others with SUPER
users, roles                  asked where they run: it depends on what is granted
EXECUTE                       what the prepared statement needs, asked when that runs
anything else                 SUPER
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sqlglot import exp

from rutile.parse import statements as st
from rutile.parse.alterations import AddForeignKey, AddIndex, DropIndex, DropPartitions, RenameTable, TruncatePartitions
from rutile.parse.sequences import sequence_call
from rutile.planner.names import TableKey, base_tables
from rutile.privileges.names import Privilege

_LOCKING = (Privilege.UPDATE, Privilege.DELETE, Privilege.LOCK_TABLES)


@dataclass(frozen=True, slots=True)
class Need:
    """One of `any_of` on a table; on a database if `table` is empty; global if `database` is too.

    No `any_of`: any privilege on the table will do.
    """

    any_of: tuple[Privilege, ...]
    database: str = ""
    table: str = ""
    command: str = ""
    """What error 1142 calls it, where that is not the first privilege."""


Needs = tuple[Need, ...]


def needs_of(statement: st.Statement, database: str | None) -> Needs:
    """What it needs; `database` is the session's. Names without a database need nothing: they fail with 1046."""
    return tuple(dict.fromkeys(_needs(statement, database)))


def _needs(statement: st.Statement, database: str | None) -> Iterator[Need]:
    if isinstance(statement, st.Query | st.Insert | st.Update | st.Delete):
        for call in statement.expression.find_all(exp.Anonymous):
            called = sequence_call(call)
            if called is not None:
                reads = called[0] == "lastval"
                yield from _table(called[1], database, Privilege.SELECT if reads else Privilege.INSERT)
    match statement:
        case st.Query(expression):
            yield from _query(expression, database)
        case st.Insert():
            yield from _insert(statement, database)
        case st.Update() | st.Delete():
            yield from _change(statement, database)
        case st.Explain() | st.Batch():
            yield from _needs(statement.statement, database)
        case st.SelectIntoOutfile(query):
            yield Need((Privilege.FILE,))
            yield from _needs(query, database)
        case st.ImportInto(table):
            yield from _import(statement, table, database)
        case (
            st.Use() | st.Begin() | st.Commit() | st.Rollback() | st.Savepoint() | st.ReleaseSavepoint()
            | st.UserStatement() | st.Kill() | st.Prepare() | st.ExecutePrepared() | st.Deallocate()
            | st.ShowImportJobs() | st.CancelImportJob()
        ):  # fmt: skip
            return
        case st.SetVariables(assignments):
            if any(each.scope == "global" for each in assignments):
                yield Need((Privilege.SUPER, Privilege.SYSTEM_VARIABLES_ADMIN))
        case st.Nothing(what):
            if what.lower().startswith("flush"):
                yield Need((Privilege.RELOAD,))
        case st.Show():
            yield from _show(statement, database)
        case _:
            yield from _definition(statement, database)


# --- data -------------------------------------------------------------------------------------------------------------


def _on(key: TableKey, *any_of: Privilege) -> Need:
    return Need(any_of, *key)


def _stored(expression: exp.Expr, database: str | None) -> dict[TableKey, exp.Table]:
    return {key: node for key, node in base_tables(expression, database).items() if key[0]}


def _query(expression: exp.Expr, database: str | None) -> Iterator[Need]:
    locks = expression.find(exp.Lock) is not None
    for key in _stored(expression, database):
        yield _on(key, Privilege.SELECT)
        if locks:
            yield _on(key, *_LOCKING)


def _insert(statement: st.Insert, database: str | None) -> Iterator[Need]:
    expression = statement.expression
    node = expression.this.this if isinstance(expression.this, exp.Schema) else expression.this
    target = ((node.db or database or "").lower(), node.name.lower())
    if target[0]:
        yield _on(target, Privilege.INSERT)
        if statement.replace:
            yield _on(target, Privilege.DELETE)
        if expression.args.get("conflict"):
            yield _on(target, Privilege.UPDATE)
    source = expression.expression
    for key in _stored(source, database) if source is not None else ():
        yield _on(key, Privilege.SELECT)


def _import(statement: st.ImportInto, table: st.TableName, database: str | None) -> Iterator[Need]:
    """What TiDB asks: to change the table in every way, and FILE for a file of the server."""
    for privilege in (Privilege.SELECT, Privilege.UPDATE, Privilege.INSERT, Privilege.DELETE, Privilege.ALTER):
        yield from _table(table, database, privilege)
    if statement.path is not None:
        yield Need((Privilege.FILE,))
    if statement.query is not None:
        yield from _query(statement.query, database)


def _change(statement: st.Update | st.Delete, database: str | None) -> Iterator[Need]:
    change = statement.expression
    is_update = isinstance(statement, st.Update)
    verb = Privilege.UPDATE if is_update else Privilege.DELETE
    tables = _stored(change, database)
    aliases = {node.alias_or_name.lower(): key for key, node in tables.items()}
    named = _assigned(change) if is_update else _deleted_from(change)
    # A column without its table's name may be any table's: then each that is joined is one that changes.
    targets = [aliases[name] for name in named if name in aliases] or [
        aliases[name] for name in _joined(change) if name in aliases
    ]
    for key in targets:
        yield _on(key, verb)
    looks = any(change.args.get(part) for part in ("where", "order", "using")) or _reads_columns(change)
    for key in tables:
        if key not in targets or looks:
            yield _on(key, Privilege.SELECT)


def _assigned(change: exp.Expr) -> list[str]:
    """The qualifiers left of `=`; none if one of them is missing."""
    names = [node.this.table.lower() for node in change.expressions]
    return names if all(names) else []


def _deleted_from(change: exp.Expr) -> list[str]:
    if change.args.get("using"):
        return [change.this.alias_or_name.lower()]
    return [node.name.lower() for node in change.args.get("tables") or []]


def _joined(change: exp.Expr) -> list[str]:
    origin = change.this
    joins = origin.args.get("joins") or []
    return [node.alias_or_name.lower() for node in (origin, *(join.this for join in joins))]


def _reads_columns(change: exp.Expr) -> bool:
    return any(node.expression.find(exp.Column) for node in change.expressions)


# --- everything else --------------------------------------------------------------------------------------------------


def _definition(statement: st.Statement, database: str | None) -> Iterator[Need]:
    match statement:
        case st.CreateDatabase(name):
            yield Need((Privilege.CREATE,), name.lower())
        case st.DropDatabase(name):
            yield Need((Privilege.DROP,), name.lower())
        case st.CreateTable(table, temporary=True):
            owner = table.database or database
            if owner is not None:
                yield Need((Privilege.CREATE_TEMPORARY_TABLES,), owner.lower())
            yield from _copied(statement, database)
        case st.DropTable(temporary=True):
            return
        case st.CreateTable(table):
            yield from _table(table, database, Privilege.CREATE)
            yield from _copied(statement, database)
        case st.CreateView(name, expression):
            yield from _table(name, database, Privilege.CREATE_VIEW)
            if statement.or_replace:
                yield from _table(name, database, Privilege.DROP)
            yield from _query(expression, database)
        case st.RecoverDatabase(name):
            yield Need((Privilege.CREATE,), name.lower())
        case st.RecoverTable(table) if table is not None:
            yield from _table(table, database, Privilege.CREATE)
        case st.CreateSequence(name):
            yield from _table(name, database, Privilege.CREATE)
        case st.AlterSequence(name):
            yield from _table(name, database, Privilege.ALTER)
        case st.DropTable(tables) | st.DropView(tables) | st.DropSequence(tables):
            for table in tables:
                yield from _table(table, database, Privilege.DROP)
        case st.TruncateTable(table):
            yield from _table(table, database, Privilege.DROP)
        case st.AlterTable():
            yield from _alter(statement, database)
        case st.AnalyzeTable(tables) | st.DropStats(tables):
            for table in tables:
                yield from _table(table, database, Privilege.INSERT)
                yield from _table(table, database, Privilege.SELECT)
        case st.SplitTable(table):
            yield from _table(table, database, Privilege.INSERT)
        case st.ShowRegions(table):
            yield from _table(table, database, Privilege.SELECT)
        case st.RenameTables(pairs):
            for old, new in pairs:
                yield from _rename(old, new, database)
        case _:
            yield Need((Privilege.SUPER,))


def _table(name: st.TableName, database: str | None, *any_of: Privilege, command: str = "") -> Iterator[Need]:
    owner = name.database or database
    if owner is not None:
        yield Need(any_of, owner.lower(), name.name.lower(), command)


def _copied(statement: st.CreateTable, database: str | None) -> Iterator[Need]:
    """What CREATE TABLE ... LIKE and ... AS SELECT read, and foreign keys lead to."""
    if statement.like is not None:
        yield from _table(statement.like, database, Privilege.SELECT)
    for reference in statement.definition.find_all(exp.Reference):
        parent = reference.find(exp.Table)
        if parent is not None:
            yield from _table(st.TableName(parent.name, parent.db or None), database, Privilege.REFERENCES)
    query = statement.definition.expression
    if isinstance(query, exp.Query):
        yield from _query(query, database)


def _alter(statement: st.AlterTable, database: str | None) -> Iterator[Need]:
    only_indexes = all(isinstance(change, AddIndex | DropIndex) for change in statement.changes)
    wanted = (Privilege.INDEX, Privilege.ALTER) if only_indexes else (Privilege.ALTER,)
    yield from _table(statement.table, database, *wanted)
    for change in statement.changes:
        if isinstance(change, DropPartitions | TruncatePartitions):
            yield from _table(statement.table, database, Privilege.DROP)
        if isinstance(change, AddForeignKey):
            owner, parent = change.definition.parent
            yield from _table(st.TableName(parent, owner), database, Privilege.REFERENCES)
        if isinstance(change, RenameTable):
            yield from _rename(statement.table, st.TableName(change.name, change.database), database)


def _rename(old: st.TableName, new: st.TableName, database: str | None) -> Iterator[Need]:
    yield from _table(old, database, Privilege.ALTER)
    yield from _table(old, database, Privilege.DROP)
    yield from _table(new, database, Privilege.CREATE)
    yield from _table(new, database, Privilege.INSERT)


def _show(statement: st.Show, database: str | None) -> Iterator[Need]:
    """SHOW of a table wants any privilege on it; lists are filtered where they are made."""
    if statement.table is not None:
        yield from _table(statement.table, database, command="SELECT" if statement.what != "create table" else "SHOW")
