"""DuckDB's errors as MySQL's."""

from __future__ import annotations

import re

from rutile import errors
from rutile.errors import SqlError
from rutile_proto.errors import FragmentFailed

DECIMAL_OVERFLOW = "Overflow in multiplication of DECIMAL(18)"
"""What DuckDB says when a product of decimals needs more digits than it was given."""
ER_SUBQUERY_NO_1_ROW = 1242
ER_OUT_OF_MEMORY = 1038
ER_WRONG_FIELD_WITH_GROUP = 1055
ER_OPERAND_COLUMNS = 1241
ER_WRONG_NUMBER_OF_COLUMNS_IN_SELECT = 1222

_FUNCTION = re.compile(r"Function with name \"?(\w+)\"? does not exist", re.IGNORECASE)
_GROUPING = re.compile(r'column "?(\w+)"? must appear in the GROUP BY clause')
_SCALAR = re.compile(r"ScalarError: \[(\d+)\] (.*)", re.DOTALL)
_PATTERNS: tuple[tuple[str, int, str | None, str | None], ...] = (
    ("More than one row returned by a subquery", ER_SUBQUERY_NO_1_ROW, "21000", "Subquery returns more than 1 row"),
    ("Subquery returns", ER_OPERAND_COLUMNS, "21000", "Operand should contain 1 column(s)"),
    (
        "Set operations can only apply to expressions with the same number",
        ER_WRONG_NUMBER_OF_COLUMNS_IN_SELECT,
        "21000",
        "The used SELECT statements have a different number of columns",
    ),
    ("Out of Memory Error", ER_OUT_OF_MEMORY, "HY001", None),
    (
        "range for the destination type UINT64",
        errors.ER_DATA_OUT_OF_RANGE,
        None,
        "BIGINT UNSIGNED value is out of range",
    ),
    ("range for the destination type INT64", errors.ER_DATA_OUT_OF_RANGE, None, "BIGINT value is out of range"),
    ("DOUBLE value is out of range", errors.ER_DATA_OUT_OF_RANGE, None, None),
    ("Out of Range Error", errors.ER_DATA_OUT_OF_RANGE, None, None),
    ("Conversion Error", errors.ER_TRUNCATED_VALUE, None, None),
)
"""(part of the text, code, sqlstate, message; None keeps the engine's text)."""


def from_duckdb(error: FragmentFailed) -> SqlError:
    """The SQL error for an error of the engine; the text stays, it names the place."""
    text = str(error)
    scalar = _SCALAR.search(text)
    if scalar:
        return SqlError(int(scalar[1]), scalar[2])
    function = _FUNCTION.search(text)
    if function:
        return errors.unknown_function(function[1])
    grouping = _GROUPING.search(text)
    if grouping:
        message = f"Column '{grouping[1]}' is not in GROUP BY clause and is not functionally dependent on it"
        return SqlError(ER_WRONG_FIELD_WITH_GROUP, message, sqlstate="42000")
    for pattern, code, sqlstate, instead in _PATTERNS:
        if pattern in text:
            return SqlError(code, instead or text, sqlstate=sqlstate)
    return SqlError(errors.ER_UNKNOWN, text)
