"""Functions of MySQL computed in Python, a value at a time: what DuckDB has no words for.

    SCALARS                       every function by its name in fragments (`mysql_...`)
    install_scalars(connection)   makes them callable in a DuckDB database
    normalized(text)              a JSON document as MySQL keeps and shows it

A definition serves both ways of evaluating an expression: DuckDB calls it inside fragments, the front end's closures
call `Scalar.function` directly. So the two cannot differ. A call costs DuckDB about a microsecond and the interpreter's
lock, which is why whatever a macro can say is a macro (`rutile_coprocessor.prelude`).

    arithmetic.py   CONV, CRC32, bit sets
    strings.py      SOUNDEX, base64, regular expressions, digests, compression
    addresses.py    IPv4, IPv6, UUIDs
    moments.py      weeks, formats of dates and times, time zones
    json_text.py    how MySQL reads and writes JSON
    json_path.py    `$.a[0]`: paths, what they find and where they lead
    json_changes.py JSON_SET and its family
    json_functions.py  what is in a document

Invariants: a function is pure (no clock, no chance, no file), gives NULL for a NULL argument unless its line in the
table says that it looks at NULLs itself, and raises ScalarError, whose code and text reach the client, or nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from inspect import Parameter, Signature

import duckdb
from duckdb import sqltype

from rutile_coprocessor.scalars import addresses, arithmetic, json_functions, moments, strings
from rutile_coprocessor.scalars.json_functions import normalized
from rutile_coprocessor.scalars.scalar import Scalar, ScalarError

SCALARS: dict[str, Scalar] = {
    scalar.name: scalar
    for module in (arithmetic, strings, addresses, moments, json_functions)
    for scalar in module.SCALARS
}


def install_scalars(connection: duckdb.DuckDBPyConnection) -> None:
    """Registers every function with a new database."""
    for scalar in SCALARS.values():
        types = None if scalar.parameters == "*" else [sqltype(name) for name in scalar.parameters.split()]
        connection.create_function(
            scalar.name, _callable(scalar), types, sqltype(scalar.result), null_handling="special", side_effects=False
        )


def _callable(scalar: Scalar) -> Callable[..., object]:
    """The function as DuckDB calls it: NULL in gives NULL out where the function leaves that to its caller."""
    function = scalar.function

    def call(*values: object) -> object:
        return None if None in values and not scalar.sees_nulls else function(*values)

    if scalar.parameters != "*":  # DuckDB asks the function how many parameters it has
        names = (f"value{place}" for place in range(len(scalar.parameters.split())))
        listed = [Parameter(name, Parameter.POSITIONAL_ONLY) for name in names]
        setattr(call, "__signature__", Signature(listed))  # noqa: B010
    return call


__all__ = ["SCALARS", "Scalar", "ScalarError", "install_scalars", "normalized"]
