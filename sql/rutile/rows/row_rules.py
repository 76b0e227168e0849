"""Generated columns and CHECK constraints at work: closures over the row that is about to be written."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sqlglot import exp

from rutile.catalog.model import TableInfo
from rutile.errors import SqlError, not_supported
from rutile.expressions import semantics
from rutile.expressions.compile import Environment, Evaluate, NotCompilable, Scope, compile_evaluate
from rutile.parse.mysql_text import mysql_text
from rutile.parse.tree import parse_expression
from rutile.planner.table_columns import TableColumns
from rutile.rows.conversion import Converter, converter_for
from rutile_coprocessor.schema import Column

ER_GENERATED_COLUMN_VALUE = 3105
ER_GENERATED_COLUMN_FUNCTION = 3763
ER_CHECK_VIOLATED = 3819
_MOMENTARY: tuple[type[exp.Expr], ...] = (
    exp.CurrentTimestamp, exp.CurrentDate, exp.CurrentTime, exp.Rand, exp.Parameter, exp.SessionParameter,
    exp.Subquery, exp.Select, exp.Placeholder,
)  # fmt: skip
_MOMENTARY_NAMES = frozenset({
    "now", "sysdate", "curdate", "curtime", "utc_timestamp", "utc_date", "utc_time", "uuid", "rand", "unix_timestamp",
    "last_insert_id", "connection_id", "user", "current_user", "database", "schema", "version", "row_count", "sleep",
    "localtime", "localtimestamp", "session_user", "system_user", "found_rows",
})  # fmt: skip


class RowRules:
    """What completes and checks the rows of one table."""

    def __init__(self, info: TableInfo) -> None:
        schema = info.schema
        positions = {column.id: at for at, column in enumerate(schema.columns)}
        self._generated: list[tuple[int, Evaluate, Converter]] = []
        for each in info.rules.generated:
            position = positions[each.column_id]
            convert = converter_for(schema.columns[position])
            self._generated.append((position, compile_rule(info, each.sql), convert))
        self._checks = [(each.name, compile_rule(info, each.sql)) for each in info.rules.checks]
        self.generated_positions = frozenset(position for position, _, _ in self._generated)

    def complete(self, row: list[Any], environment: Environment, number: int) -> None:
        """Compute the generated columns of `row` in place, then check it. Raises 3819 and what conversions raise."""
        for position, evaluate, convert in self._generated:
            row[position] = convert(evaluate(row, environment), number)
        for name, evaluate in self._checks:
            value = evaluate(row, environment)
            if value is not None and not semantics.truth(value):
                raise SqlError(ER_CHECK_VIOLATED, f"Check constraint '{name}' is violated.")


def compile_rule(info: TableInfo, sql: str) -> Evaluate:
    """The closure of a stored expression. Raises 1054, 1235, 3763."""
    node = parse_expression(sql)
    for each in node.walk():
        named = isinstance(each, exp.Anonymous | exp.Func) and each.name.lower() in _MOMENTARY_NAMES
        if isinstance(each, _MOMENTARY) or named:
            message = f"Expression of a generated column or CHECK contains a disallowed function: {mysql_text(each)}"
            raise SqlError(ER_GENERATED_COLUMN_FUNCTION, message)
    try:
        return compile_evaluate(node, Scope(TableColumns(info.schema), strict=True))
    except NotCompilable as error:
        raise not_supported(f"a generated column or CHECK with {error}") from error


def columns_of_rules(info: TableInfo) -> Iterator[str]:
    """The names, in lower case, that generated columns and CHECKs mention, or are."""
    by_id = {column.id: column.name for column in info.schema.columns}
    for generated in info.rules.generated:
        yield by_id[generated.column_id].lower()
    for sql in info.rules.expressions:
        for column in parse_expression(sql).find_all(exp.Column):
            yield column.name.lower()


def generated_value_given(column: Column, table: str) -> SqlError:
    """3105: a generated column takes no value."""
    message = f"The value specified for generated column '{column.name}' in table '{table}' is not allowed."
    return SqlError(ER_GENERATED_COLUMN_VALUE, message)
