"""DuckDB's dialect and Ibis' compiler for it, under the name of Rutile."""

from __future__ import annotations

import sys

from ibis.backends.sql import compilers
from ibis.backends.sql.compilers.duckdb import DuckDBCompiler
from sqlglot.dialects import DuckDB


class Rutile(DuckDB):  # type: ignore[misc]
    """What `rutile.session.duckdb_door` reads. sqlglot registers it by the class's name."""


class RutileCompiler(DuckDBCompiler):  # type: ignore[misc]
    """DuckDB's compiler."""

    __slots__ = ()
    dialect = Rutile


compiler = RutileCompiler()
compilers.rutile = sys.modules[__name__]  # where `ibis.to_sql(expr, dialect="rutile")` looks for it
