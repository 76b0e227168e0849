"""The door for statements in DuckDB's dialect, which is also the one fragments are written in.

DataFrame libraries (`rutile.ibis` is one) write DuckDB's SQL. MySQL's text is translated to it before it is planned;
here that step is left out, and everything after it is the same: names resolved against the catalogue, key ranges,
push-down, the whitelist. Answers have DuckDB's semantics and types. What comes in:

    SELECT ...                                          any query; also over the session's temporary relations
    DESCRIBE table | query                              (column_name, column_type, null), in DuckDB's types
    EXPLAIN [ANALYZE] query                             the plan, as for MySQL's text
    INSERT INTO t [(columns)] query                     into a stored or a temporary table; REPLACE INTO for upserts
    CREATE [OR REPLACE] TEMPORARY TABLE t [(columns)] [AS query | AS SELECT * FROM ARROW_IPC(?)]
    SHOW TABLES                                         the session's own: (name, kind), TABLE or VIEW
    CREATE [OR REPLACE] VIEW v AS query                 the session's own; the catalogue's are made in MySQL's dialect
    DROP TABLE | VIEW, TRUNCATE TABLE                   of such relations

Privileges are asked as in MySQL: SELECT on each table and view named, INSERT (and DELETE, to replace) on the one
written to. Views of the catalogue are read like tables (`rutile.planner.duckdb_views`).

ARROW_IPC(?) is the one parameter there is: the bytes of an Arrow IPC stream, so that a DataFrame travels to the front
end, wherever that runs. Definitions and changes of stored tables otherwise go through the front door, as MySQL.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import pyarrow as pa
from sqlglot import exp

from rutile import errors
from rutile.errors import SqlError, not_supported, syntax_error
from rutile.explain.explain import explain_plan
from rutile.parse import statements as st
from rutile.parse.table_finder import TableFinder
from rutile.parse.tree import parse_tree
from rutile.planner.duckdb_columns import writing
from rutile.planner.duckdb_query import DUCKDB, plan_duckdb_query
from rutile.planner.duckdb_views import with_catalog_views
from rutile.planner.insert import InsertPlan, plan_insert, wrong_value_count
from rutile.planner.names import TableKey, base_tables
from rutile.planner.query import QueryPlan
from rutile.privileges.names import Privilege
from rutile.privileges.needs import Need
from rutile.session.relations import HeldTable, SessionRelations, View
from rutile.session.result import Result
from rutile.show.virtual import virtual_schema
from rutile_coprocessor.schema import TableSchema
from rutile_proto.errors import FragmentRefused

if TYPE_CHECKING:
    from rutile.session.session import Session

ARROW_IPC = "ARROW_IPC"
_EXPLAIN = re.compile(r"\s*EXPLAIN\s+(ANALYZE\s+)?", re.IGNORECASE)
_DESCRIBE = re.compile(r"\s*DESCRIBE\s+", re.IGNORECASE)
_SHOW = re.compile(r"\s*SHOW\s+TABLES\s*$", re.IGNORECASE)
_QUERY = re.compile(r"\s*(SELECT|WITH|VALUES|FROM|\()", re.IGNORECASE)
_REPLACE = re.compile(r"\s*REPLACE\s+INTO\b", re.IGNORECASE)


class DuckDbDoor:
    """Runs one session's statements in DuckDB's dialect."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self.relations = SessionRelations()

    async def run(self, sql: str, params: Sequence[object]) -> Result:
        """Run one statement. Raises SqlError."""
        for pattern, handler in ((_EXPLAIN, self._explain), (_DESCRIBE, self._describe), (_SHOW, self._show)):
            match = pattern.match(sql)
            if match:
                return await handler(sql[match.end() :], match)
        replaces = _REPLACE.match(sql)
        tree = parse_tree("INSERT INTO" + sql[replaces.end() :] if replaces else sql, DUCKDB)
        match tree:
            case exp.Query():
                return await self._query(tree)
            case exp.Insert():
                return await self._insert(tree, params, replaces is not None)
            case exp.Create():
                return await self._create(tree, params)
            case exp.Drop():
                name = next(tree.find_all(exp.Table)).name  # sqlglot's versions differ in where they put it
                self.relations.drop(tree.args["kind"], name, if_exists=bool(tree.args.get("exists")))
            case exp.TruncateTable():
                self._truncate(tree)
            case _:
                raise not_supported(f"{type(tree).__name__.upper()} in DuckDB's dialect")
        return Result()

    # --- queries ------------------------------------------------------------------------------------------------------

    async def _query(self, query: exp.Query) -> Result:
        result, _ = await self._session.queries.run_plan(await self.plan(query))
        return result

    async def plan(self, query: exp.Query) -> QueryPlan:
        """The plan of a query, the session's relations known. Raises SqlError."""
        expanded = self._with_views(query)
        plan = await self._session.planned(lambda find: self._plan(expanded.copy(), find))
        for owner, name in self._named(expanded):  # what a view of the catalogue reads is not asked about
            await self._session.privileges.demand(Need((Privilege.SELECT,), owner, name))
        if plan.virtual:  # their rows are not cut to what the account may know of
            await self._session.privileges.demand(Need((Privilege.SUPER,)))
        return plan

    def _named(self, query: exp.Expr) -> list[TableKey]:
        """The stored tables and views of the catalogue that a query names."""
        named = base_tables(query, self._session.database).items()
        mine = self.relations.tables
        stored = [key for key, node in named if node.db or node.name.lower() not in mine]
        return [key for key in stored if key[0] != "information_schema"]

    def _plan(self, query: exp.Expr, find_table: TableFinder) -> QueryPlan:
        session = self._session
        expanded = with_catalog_views(query, session.database, find_table, self.relations.tables)
        stored, virtual, held = {}, {}, {}
        for key, node in base_tables(expanded, session.database).items():
            schema = virtual_schema(key)
            temporary = None if node.db else self.relations.tables.get(node.name.lower())
            if temporary is not None:
                held[node.name.lower()] = temporary
            elif schema is not None:
                virtual[key] = schema
            else:
                stored[key] = find_table(st.TableName(node.name, node.db or None))
                if stored[key].is_local:
                    raise not_supported(f"TIMESTAMPs in time_zone {session.zone} in DuckDB's dialect")
        try:
            return plan_duckdb_query(expanded, stored, virtual, held, session.database)
        except FragmentRefused as error:
            raise not_supported(str(error)) from error

    def _with_views(self, query: exp.Query) -> exp.Query:
        """The query with its views' queries in their places."""
        tree = query.copy()
        ctes = {cte.alias.lower() for cte in tree.find_all(exp.CTE)}
        for table in list(tree.find_all(exp.Table)):
            view = None if table.db or table.name.lower() in ctes else self.relations.views.get(table.name.lower())
            if view is not None:
                alias = exp.TableAlias(this=exp.to_identifier(table.alias_or_name, quoted=True))
                table.replace(exp.Subquery(this=view.query.copy(), alias=alias, joins=table.args.get("joins")))
        return tree

    async def _explain(self, text: str, match: re.Match[str]) -> Result:
        plan = await self.plan(_query_of(parse_tree(text, DUCKDB)))
        return await explain_plan(self._session, plan, analyze=match[1] is not None)

    async def _describe(self, text: str, _: re.Match[str]) -> Result:
        name = _table_name(text)
        tree = exp.select("*").from_(name) if name is not None else _query_of(parse_tree(text, DUCKDB))
        plan = await self.plan(tree)
        names, types = await self._session.shared.runner.types_of(plan)
        scanned = plan.scans[0].schema if name is not None and plan.scans else None
        required: set[str] = set()
        if scanned is not None and name is not None and scanned.name.lower() == name.name.lower():  # no view
            required = {column.name for column in scanned.columns if not column.nullable}
        nulls = ["NO" if each in required else "YES" for each in names]
        return Result.of_table(pa.table({"column_name": names, "column_type": types, "null": nulls}))

    async def _show(self, _: str, __: re.Match[str]) -> Result:
        tables = [(each.name, "TABLE") for each in self.relations.tables.values()]
        rows = sorted([*tables, *((view.name, "VIEW") for view in self.relations.views.values())])
        names, kinds = [row[0] for row in rows], [row[1] for row in rows]
        return Result.of_table(pa.table({"name": pa.array(names, pa.string()), "kind": pa.array(kinds, pa.string())}))

    # --- changes ------------------------------------------------------------------------------------------------------

    async def _insert(self, tree: exp.Insert, params: Sequence[object], replaces: bool) -> Result:
        target = tree.this.this if isinstance(tree.this, exp.Schema) else tree.this
        names = [column.name for column in tree.this.expressions] if isinstance(tree.this, exp.Schema) else []
        held = None if target.db else self.relations.tables.get(target.name.lower())
        source = tree.expression
        if held is not None:
            rows = await self._rows(source, params)
            self.relations.put_table(replace(held, table=_appended(held.table, rows, names)), replace=True)
            return Result(affected_rows=rows.num_rows)
        return await self._insert_stored(target, names, _query_of(source), replaces)

    async def _insert_stored(self, target: exp.Table, names: list[str], source: exp.Query, replaces: bool) -> Result:
        """INSERT ... SELECT, the values as the table stores them; read by the transaction that writes them."""
        statement = exp.Insert(
            this=exp.Schema(this=target.copy(), expressions=[exp.to_identifier(name, quoted=True) for name in names])
            if names
            else target.copy(),
            expression=exp.select("1"),
        )
        plan = await self._session.planned(lambda find: plan_insert(st.Insert(statement, replaces), find))
        for privilege in (Privilege.INSERT, Privilege.DELETE) if replaces else (Privilege.INSERT,):
            await self._session.privileges.demand(_need(plan.table.schema, privilege))
        columns = [plan.table.schema.columns[place] for place in plan.positions]
        width = len((await self._session.shared.runner.types_of(await self.plan(source)))[0])
        if width != len(columns):
            raise wrong_value_count(1)
        places = [exp.to_identifier(f"c{place}") for place in range(width)]
        values = [
            exp.alias_(writing(column, exp.column(place.copy())), place.name)
            for column, place in zip(columns, places, strict=True)
        ]
        inner = exp.Subquery(this=source.copy(), alias=exp.TableAlias(this=exp.to_identifier("source"), columns=places))
        query = await self.plan(exp.select(*values).from_(inner))
        loaded = None if replaces or query.scans or query.virtual else await self._load(plan, query)
        return loaded or await self._session.queries.changes.insert_query(plan, query)

    async def _load(self, plan: InsertPlan, query: QueryPlan) -> Result | None:
        """Many rows of the session's own, for an empty table: in bulk, as an import. None if it is to be an INSERT."""
        from rutile.ingest.arrow_ingest import (  # it needs sessions, as this module does
            BULK_ROWS,
            ArrowIngest,
            IngestTarget,
        )

        session, schema = self._session, plan.table.schema
        if session.holds_locks:
            return None
        result, _ = await session.queries.run_plan(query)
        if result.arrow().num_rows < BULK_ROWS:
            return None
        rows = result.arrow().rename_columns([schema.columns[place].name for place in plan.positions])
        target = IngestTarget(schema.database, schema.name, create=False, if_exists="append")
        ingest = ArrowIngest(session.shared, target, rows.schema, iter(rows.to_batches()))
        await ingest.check()
        await ingest.peek()
        return Result(affected_rows=await ingest.load()) if await ingest.can_be_bulk() else None

    async def _create(self, tree: exp.Create, params: Sequence[object]) -> Result:
        kind, replaces = tree.args["kind"], bool(tree.args.get("replace"))
        target = tree.this.this if isinstance(tree.this, exp.Schema) else tree.this
        if kind == "VIEW":
            query = self._with_views(_query_of(tree.expression))
            await self.plan(query)  # its names are looked up now, so that a wrong one is told now
            self.relations.put_view(View(target.name, query), replace=replaces)
            return Result()
        properties = tree.args.get("properties")
        if kind != "TABLE" or properties is None or properties.find(exp.TemporaryProperty) is None:
            raise not_supported(f"CREATE {kind} in DuckDB's dialect, but for a TEMPORARY TABLE or a VIEW")
        types = _declared(tree.this)
        rows = await self._rows(tree.expression or _nothing_of(types), params)
        if types and len(types) == rows.num_columns:
            rows = rows.rename_columns(list(types))
        self.relations.put_table(HeldTable(target.name, rows, types), replace=replaces)
        return Result(affected_rows=rows.num_rows)

    async def _rows(self, source: exp.Expr, params: Sequence[object]) -> pa.Table:
        """What a query gives; or the table that came as a parameter."""
        if not _is_parameter(source):
            return (await self._query(_query_of(source))).arrow()
        given = params[0] if len(params) == 1 else None
        if isinstance(given, pa.Table):  # of a client in this process
            return given
        if not isinstance(given, bytes):
            raise SqlError(errors.ER_WRONG_VALUE_COUNT, f"{ARROW_IPC}(?) takes one parameter: the bytes of a stream")
        try:
            return pa.ipc.open_stream(given).read_all()
        except pa.ArrowInvalid as error:
            raise SqlError(errors.ER_TRUNCATED_VALUE, f"{ARROW_IPC}(?): not an Arrow IPC stream: {error}") from error

    def _truncate(self, tree: exp.TruncateTable) -> None:
        name = tree.expressions[0].name
        held = self.relations.tables.get(name.lower())
        if held is None:
            raise SqlError(errors.ER_NO_SUCH_TABLE, f"Temporary table '{name}' doesn't exist")
        self.relations.put_table(replace(held, table=held.table.slice(0, 0)), replace=True)


def is_query(sql: str) -> bool:
    """Whether a text is a query, by how it begins."""
    return _QUERY.match(sql) is not None


def _need(schema: TableSchema, privilege: Privilege) -> Need:
    return Need((privilege,), schema.database.lower(), schema.name.lower())


def _query_of(tree: exp.Expr) -> exp.Query:
    if not isinstance(tree, exp.Query):
        raise syntax_error(tree.sql(DUCKDB), "a query was expected")
    return tree


def _table_name(text: str) -> exp.Table | None:
    """The table, if the text is no more than its name."""
    if _QUERY.match(text):
        return None
    source = parse_tree(f"SELECT * FROM {text}", DUCKDB).args["from_"].this
    return source if isinstance(source, exp.Table) else None


def _is_parameter(source: exp.Expr) -> bool:
    call = source.find(exp.Anonymous) if isinstance(source, exp.Select) else None
    return call is not None and call.name.upper() == ARROW_IPC


def _declared(target: exp.Expr) -> dict[str, str]:
    """The columns of CREATE TABLE t (a INT, ...), with their types in DuckDB's words."""
    if not isinstance(target, exp.Schema):
        return {}
    return {each.name: each.args["kind"].sql(DUCKDB) for each in target.expressions if isinstance(each, exp.ColumnDef)}


def _nothing_of(types: Mapping[str, str]) -> exp.Select:
    """A query that gives no rows of these types."""
    if not types:
        raise syntax_error("CREATE TABLE", "columns or a query are needed")
    columns = [
        exp.alias_(exp.Cast(this=exp.Null(), to=exp.DataType.build(kind, dialect=DUCKDB)), name, quoted=True)
        for name, kind in types.items()
    ]
    return exp.select(*columns).where(exp.false())


def _appended(table: pa.Table, rows: pa.Table, names: list[str]) -> pa.Table:
    """`rows` behind `table`, their columns being `names` (all if empty). Raises 1136, 1054, 1366."""
    names = names or list(table.column_names)
    if rows.num_columns != len(names):
        raise wrong_value_count(1)
    places = {name.lower(): place for place, name in enumerate(names)}
    unknown = [name for name in names if name.lower() not in {each.lower() for each in table.column_names}]
    if unknown:
        raise errors.unknown_column(unknown[0])
    arrays = [
        rows.column(places[field.name.lower()]).cast(field.type)
        if field.name.lower() in places
        else pa.nulls(rows.num_rows, field.type)
        for field in table.schema
    ]
    return pa.concat_tables([table, pa.Table.from_arrays(arrays, schema=table.schema)])
