"""Making, filling, changing and dropping tables and views."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import ibis
import ibis.common.exceptions as exc
import ibis.expr.schema as sch
import ibis.expr.types as ir
from ibis import util

from rutile.ibis.column_types import column_definition
from rutile.ibis.connected import Location
from rutile.ibis.functions import has_python_functions
from rutile.ibis.results import Results
from rutile.ibis.upsert import Upsert


class Tables(Results):
    """The part of the backend that changes what there is."""

    def create_table(
        self,
        name: str,
        /,
        obj: Any = None,
        *,
        schema: Any = None,
        database: Location = None,
        temp: bool = False,
        overwrite: bool = False,
        primary_key: Sequence[str] = (),
    ) -> ir.Table:
        """Make a table, of the rows of `obj` or empty with `schema`.

        A temporary one belongs to this connection. `primary_key` (not Ibis' own parameter) names the columns of the
        key: rows lie in its order, queries on it read only what they ask for. Without it, rows lie as inserted.
        `overwrite` puts the new table in the place of an old one once it is filled.
        """
        if obj is None and schema is None:
            raise ValueError("Either `obj` or `schema` must be specified")
        source = None if obj is None else _as_table(obj)
        wanted = ibis.schema(schema) if source is None or schema is not None else source.schema()
        owner = self._owner(database)
        if temp:
            if owner is not None or primary_key:
                raise exc.UnsupportedArgumentError("a temporary table belongs to the connection: no database, no key")
            self._create_temporary(name, wanted, source, overwrite)
            return self.table(name)
        made = util.gen_name("rutile_new") if overwrite else name
        self._create_stored(made, wanted, owner, primary_key)
        try:
            if source is not None:
                self.insert(made, source.cast(wanted) if source.schema() != wanted else source, database=owner)
            if overwrite:
                target = self._quoted(owner, name)
                self.plain(f"DROP TABLE IF EXISTS {target}")
                self.plain(f"RENAME TABLE {self._quoted(owner, made)} TO {target}")
        except BaseException:
            self.plain(f"DROP TABLE IF EXISTS {self._quoted(owner, made)}")
            raise
        return self.table(name, database=owner)

    def _create_stored(self, name: str, schema: sch.Schema, owner: str | None, primary_key: Sequence[str]) -> None:
        unknown = [column for column in primary_key if column not in schema]
        if unknown:
            raise exc.IbisInputError(f"primary_key: {name} has no column {unknown[0]}, only {', '.join(schema)}")
        parts = [column_definition(each, kind, in_key=each in primary_key) for each, kind in schema.items()]
        if primary_key:
            parts.append(f"PRIMARY KEY ({', '.join(self._quoted(column) for column in primary_key)})")
        self.plain(f"CREATE TABLE {self._quoted(owner, name)} ({', '.join(parts)})")

    def _create_temporary(self, name: str, schema: sch.Schema, source: ir.Table | None, overwrite: bool) -> None:
        query = "" if source is None else f" AS {self._compiled(source)}"
        replaces = "OR REPLACE " if overwrite else ""
        columns = self._typed_columns(schema)
        self.door(f"CREATE {replaces}TEMPORARY TABLE {self._named_table(name, None).sql('duckdb')} ({columns}){query}")

    def _compiled(self, source: ir.Table) -> str:
        self._run_pre_execute_hooks(source)
        return str(self.compile(source))

    def insert(self, name: str, /, obj: Any, *, database: Location = None, overwrite: bool = False) -> None:
        """Insert rows: an expression, a DataFrame, Arrow, a list of rows or a dict of columns.

        One transaction, unless many rows go into an empty table: those are loaded in bulk, seen once all are in.
        With `overwrite` the table is emptied first, by itself.
        """
        owner = self._owner(database)
        if overwrite:
            self.truncate_table(name, database=owner)
        source = _as_table(obj)
        if has_python_functions(source):
            source = self._materialized(source)
        target = self.get_schema(name, database=owner)
        columns = list(source.columns) if set(source.columns) <= set(target) else list(target)
        listed = ", ".join(f'"{column}"' for column in columns)
        table = self._named_table(name, owner).sql("duckdb")
        self.door(f"INSERT INTO {table} ({listed}) {self._compiled(source)}")

    def _materialized(self, source: ir.Table) -> ir.Table:
        """Expressions with Python functions are answered here, and their rows inserted."""
        return ibis.memtable(self.to_pyarrow(source), schema=source.schema())

    def upsert(self, name: str, /, obj: Any, on: str, *, database: Location = None) -> None:
        """Update the rows whose `on` is there already, insert the others; atomically."""
        Upsert(self, name, self._owner(database), _as_table(obj), on).run()

    def drop_table(self, name: str, /, *, database: Location = None, force: bool = False) -> None:
        owner = self._owner(database)
        if owner is None and name in self._held("TABLE"):
            self.door(f"DROP TABLE {self._named_table(name, None).sql('duckdb')}")
            return
        self.plain(f"DROP TABLE {'IF EXISTS ' if force else ''}{self._quoted(owner, name)}")

    def truncate_table(self, name: str, /, *, database: Location = None) -> None:
        owner = self._owner(database)
        if owner is None and name in self._held("TABLE"):
            self.door(f"TRUNCATE TABLE {self._named_table(name, None).sql('duckdb')}")
            return
        self.plain(f"TRUNCATE TABLE {self._quoted(owner, name)}")

    def rename_table(self, old_name: str, new_name: str) -> None:
        self.plain(f"RENAME TABLE {self._quoted(old_name)} TO {self._quoted(new_name)}")

    def create_view(
        self, name: str, /, obj: ir.Table, *, database: Location = None, overwrite: bool = False
    ) -> ir.Table:
        """Name an expression. The view is this connection's own: the catalogue's are MySQL's text (`raw_sql`)."""
        if self._owner(database) not in (None, self.current_database):
            raise exc.UnsupportedOperationError("a view belongs to the connection, so it has no database")
        target = self._named_table(name, None).sql("duckdb")
        self.door(f"CREATE {'OR REPLACE ' if overwrite else ''}VIEW {target} AS {self._compiled(obj)}")
        return self.table(name)

    def drop_view(self, name: str, /, *, database: Location = None, force: bool = False) -> None:
        """Drop a view: the connection's own of that name, else the catalogue's."""
        owner = self._owner(database)
        if owner is None and name in self._held("VIEW"):
            self.door(f"DROP VIEW {self._named_table(name, None).sql('duckdb')}")
            return
        self.plain(f"DROP VIEW {'IF EXISTS ' if force else ''}{self._quoted(owner, name)}")

    def _held(self, kind: str) -> list[str]:
        """The connection's own relations of a kind."""
        rows = self.door("SHOW TABLES").to_pylist()
        return [row["name"] for row in rows if row["kind"] == kind]


def _as_table(obj: Any) -> ir.Table:
    if isinstance(obj, ir.Table):
        return obj
    if isinstance(obj, ir.Expr):
        return obj.as_table()
    return ibis.memtable(obj)
