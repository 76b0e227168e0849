"""A session of Rutile's as Ibis sees it: statements, names, schemas."""

from __future__ import annotations

import re
import weakref
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self
from urllib.parse import ParseResult, unquote

import ibis.common.exceptions as exc
import ibis.expr.operations as ops
import ibis.expr.schema as sch
import ibis.expr.types as ir
import pyarrow as pa
import sqlglot.expressions as sge
from ibis.backends import (
    CanCreateDatabase,
    CanListCatalog,
    DirectExampleLoader,
    HasCurrentCatalog,
    HasCurrentDatabase,
    SupportsTempTables,
)
from ibis.backends.sql import SQLBackend
from ibis.backends.sql.datatypes import DuckDBType

import rutile
from rutile.errors import ER_BAD_DB, ER_NO_SUCH_TABLE
from rutile.ibis import dialect

CATALOG = "def"
"""As information_schema and Flight SQL call the only one."""
Location = tuple[str, str] | str | None
_QUERY = re.compile(r"\s*(SELECT|WITH|FROM|VALUES|DESCRIBE|EXPLAIN|\()", re.IGNORECASE)


class Connected(
    SupportsTempTables,  # type: ignore[misc]
    SQLBackend,  # type: ignore[misc]
    CanListCatalog,  # type: ignore[misc]
    CanCreateDatabase,  # type: ignore[misc]
    HasCurrentCatalog,  # type: ignore[misc]
    HasCurrentDatabase,  # type: ignore[misc]
    DirectExampleLoader,  # type: ignore[misc]
):
    """One session. One thread uses it at a time; `disconnect()` ends it."""

    name = "rutile"
    compiler = dialect.compiler
    supports_temporary_tables = True

    # --- connections --------------------------------------------------------------------------------------------------

    def do_connect(self, target: str | Path | None = None, *, database: str = "test") -> None:
        """Connect to a database.

        Parameters
        ----------
        target
            What `rutile.connect` takes: nothing or ":memory:", a directory, "host:port" of a SQL server,
            "pd://host:port[,...]" of a cluster.
        database
            The database whose tables go without a prefix.
        """
        self._use(rutile.connect(target, database=database), database)

    def _use(self, con: rutile.Connection, database: str) -> None:
        self.con = con
        self._database = database
        self._stale: deque[str] = deque()

    def _from_url(self, url: ParseResult, **kwargs: Any) -> Self:
        """`rutile://` (memory), `rutile:///a/directory`, `rutile://host:port[/database]`; `?cluster=pd` for a PD."""
        cluster = kwargs.pop("cluster", None)
        if not url.netloc:
            return self.connect(unquote(url.path) or None, **kwargs)  # type: ignore[no-any-return]
        if url.path.strip("/"):
            kwargs.setdefault("database", unquote(url.path.strip("/")))
        target = f"{cluster}://{url.netloc}" if cluster else url.netloc
        return self.connect(target, **kwargs)  # type: ignore[no-any-return]

    @classmethod
    def from_connection(cls, con: rutile.Connection, /, *, database: str = "test") -> Self:
        """A backend over an open connection (`rutile.connect`), in its transaction if there is one."""
        made = cls()
        made._can_reconnect = False
        made._use(con, database)
        return made

    def disconnect(self) -> None:
        """End the session; an open transaction is rolled back."""
        self.con.close()

    @property
    def version(self) -> str:
        """Rutile's."""
        return rutile.__version__

    @property
    def current_catalog(self) -> str:
        return CATALOG

    @property
    def current_database(self) -> str:
        return self._database

    # --- statements ---------------------------------------------------------------------------------------------------

    def raw_sql(
        self, query: str | sge.Expression, params: Sequence[object] = (), *, dialect: str | None = None
    ) -> rutile.Cursor:
        """Run one statement; close the cursor when done.

        Queries are in DuckDB's dialect, as `.sql()` has them; everything else is Rutile's own, which is MySQL's.
        `dialect`, "duckdb" or "mysql", says otherwise. A sqlglot expression is DuckDB's.
        """
        if isinstance(query, sge.Expression):
            query, dialect = query.sql(self.dialect), dialect or "duckdb"
        if dialect is None:
            dialect = "duckdb" if _QUERY.match(query) else "mysql"
        return self.con.execute(query, params, dialect=dialect)

    def door(self, sql: str, *params: object) -> pa.Table:
        """Run a statement in DuckDB's dialect; its rows, if it has any."""
        with self.con.execute(sql, params, dialect="duckdb") as cursor:
            return cursor.arrow() if cursor.description else pa.table({})

    def plain(self, sql: str, *params: object) -> pa.Table:
        """Run a statement in MySQL's dialect; its rows, if it has any."""
        with self.con.execute(sql, params) as cursor:
            return cursor.arrow() if cursor.description else pa.table({})

    @contextmanager
    def _safe_raw_sql(self, *args: Any, **kwargs: Any) -> Iterator[rutile.Cursor]:
        with self.raw_sql(*args, **kwargs) as cursor:
            yield cursor

    # --- names and schemas --------------------------------------------------------------------------------------------

    def list_catalogs(self, *, like: str | None = None) -> list[str]:
        return self._filter_with_like([CATALOG], like)  # type: ignore[no-any-return]

    def list_databases(self, *, like: str | None = None, catalog: str | None = None) -> list[str]:
        if catalog not in (None, CATALOG):
            return []
        return self._filter_with_like(self.plain("SHOW DATABASES")[0].to_pylist(), like)  # type: ignore[no-any-return]

    def list_tables(self, *, like: str | None = None, database: tuple[str, str] | str | None = None) -> list[str]:
        owner = self._owner(database)
        quoted = self._quoted(owner or self._database)
        try:
            names = self.plain(f"SHOW TABLES FROM {quoted}")[0].to_pylist()
        except rutile.DatabaseError as error:
            raise _named(error, owner or self._database) from error
        if owner is None:
            names += [name for name in self.door("SHOW TABLES")["name"].to_pylist() if name not in self._stale]
        return self._filter_with_like(sorted(dict.fromkeys(names)), like)  # type: ignore[no-any-return]

    def get_schema(self, table_name: str, *, catalog: str | None = None, database: str | None = None) -> sch.Schema:
        """The columns of a table or view. Raises TableNotFound."""
        self._owner((catalog, database) if catalog and database else None)
        name = self._named_table(table_name, database).sql("duckdb")
        try:
            return self._described(f"DESCRIBE {name}")
        except rutile.DatabaseError as error:
            raise _named(error, table_name) from error

    def _get_schema_using_query(self, query: str) -> sch.Schema:
        return self._described(f"DESCRIBE {query}")

    def _described(self, statement: str) -> sch.Schema:
        rows = self.door(statement).to_pylist()
        kind = self.compiler.type_mapper.from_string
        return sch.Schema({row["column_name"]: kind(row["column_type"], nullable=row["null"] == "YES") for row in rows})

    def create_database(self, name: str, /, *, catalog: str | None = None, force: bool = False) -> None:
        self._owner((catalog, name) if catalog else None)
        self.plain(f"CREATE DATABASE {'IF NOT EXISTS ' if force else ''}{self._quoted(name)}")

    def drop_database(
        self, name: str, /, *, catalog: str | None = None, force: bool = False, cascade: bool = False
    ) -> None:
        """Drop a database; one with tables in it only with `cascade`."""
        self._owner((catalog, name) if catalog else None)
        exists = name in self.list_databases()
        if exists and not cascade and self.list_tables(database=name):
            raise exc.IbisError(f"database {name} is not empty: drop its tables, or pass cascade=True")
        self.plain(f"DROP DATABASE {'IF EXISTS ' if force else ''}{self._quoted(name)}")

    def _register_in_memory_table(self, op: ops.InMemoryTable) -> None:
        while self._stale:
            name = self._named_table(self._stale.popleft(), None)
            self.door(f"DROP TABLE IF EXISTS {name.sql('duckdb')}")
        self.hold(op.name, op.schema, _rows_of(op))
        weakref.finalize(op, self._stale.append, op.name)  # dropped at the next turn: this may be another thread

    def _register_udfs(self, expr: ir.Expr) -> None:
        """Nothing: functions in Python never reach the engine, and built-in ones are there."""

    def _owner(self, database: tuple[str, str] | str | None) -> str | None:
        """The database of a location. Raises UnsupportedOperationError for a catalog that is not there."""
        location = self._to_sqlglot_table(database)
        if location.catalog and location.catalog != CATALOG:
            raise exc.UnsupportedOperationError(f"no catalog {location.catalog}: the only one is {CATALOG}")
        return location.db or None

    @staticmethod
    def _quoted(*parts: str | None) -> str:
        """A name as MySQL writes it."""
        return ".".join(f"`{part.replace('`', '``')}`" for part in parts if part)

    @staticmethod
    def _named_table(name: str, database: str | None) -> sge.Table:
        owner = sge.to_identifier(database, quoted=True) if database else None
        return sge.Table(this=sge.to_identifier(name, quoted=True), db=owner)

    # --- relations of the session ---------------------------------------------------------------------------------

    def hold(self, name: str, schema: sch.Schema, rows: pa.Table) -> None:
        """Make a temporary table of Arrow rows, in the place of one of that name."""
        target = f"{self._named_table(name, None).sql('duckdb')} ({self._typed_columns(schema)})"
        self.door(f"CREATE OR REPLACE TEMPORARY TABLE {target} AS SELECT * FROM ARROW_IPC(?)", rows)

    def _typed_columns(self, schema: sch.Schema) -> str:
        quoted = (name.replace('"', '""') for name in schema)
        kinds = (DuckDBType.to_string(kind) for kind in schema.types)
        return ", ".join(f'"{name}" {kind}' for name, kind in zip(quoted, kinds, strict=True))


def _rows_of(op: ops.InMemoryTable) -> pa.Table:
    """The rows of a memtable, be it of a DataFrame or of a pyarrow dataset."""
    try:
        return op.data.to_pyarrow(op.schema)
    except exc.UnsupportedOperationError:  # a dataset, whose rows are not in memory yet
        return op.data.to_pyarrow_dataset(op.schema).to_table()


def _named(error: rutile.DatabaseError, name: str) -> Exception:
    """Ibis' error for a table or database that is not there; any other as it is."""
    return exc.TableNotFound(name) if error.code in (ER_NO_SUCH_TABLE, ER_BAD_DB) else error
