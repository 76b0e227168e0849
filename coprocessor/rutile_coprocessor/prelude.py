"""SQL functions of MySQL that DuckDB lacks or reads differently, as DuckDB macros.

`install` runs them on a new database before it is locked down. Stores and front end share them, so that a query means
the same wherever it runs. The translator (rutile.translate) decides when one is called; the whitelist has all of them.
"""

from __future__ import annotations

import duckdb

MACROS: tuple[str, ...] = ()

SETTINGS: tuple[str, ...] = ("SET error_on_division_by_zero = false",)
"""MySQL's x / 0, x DIV 0 and x % 0 are NULL."""

PRELUDE_FUNCTIONS: frozenset[str] = frozenset(macro.partition("(")[0] for macro in MACROS)


def install(connection: duckdb.DuckDBPyConnection) -> None:
    """Creates the macros in a database, and sets what they rely on."""
    for macro in MACROS:
        connection.execute(f"CREATE MACRO {macro}")
    for setting in SETTINGS:
        connection.execute(setting)
