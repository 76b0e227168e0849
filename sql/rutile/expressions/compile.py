"""sqlglot expressions to Python closures of (row, environment)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from sqlglot import exp

from rutile.errors import SqlError, unknown_column
from rutile.rows.sql_modes import STRICT, SqlModes
from rutile_coprocessor.column_types import ColumnType
from rutile_coprocessor.scalars.moments import from_utc
from rutile_proto.values import valueclass

if TYPE_CHECKING:
    from rutile.rows.adjusting import Adjusting

ER_DIVISION_BY_ZERO = 1365

Evaluate: TypeAlias = Callable[[Sequence[Any], "Environment"], Any]
"""A value from a row (in schema order) and the environment of the statement."""


UTC = "UTC"


class NotCompilable(Exception):
    """Beyond this compiler: take the general path."""


@valueclass
class Environment:
    """What a statement's expressions may ask besides the row."""

    params: tuple[object, ...] = ()
    now: datetime = datetime.min
    """The statement's start, UTC without zone: NOW() is one moment for the whole statement."""
    session_value: Callable[[str], object] | None = None
    """@@name and the session's functions (DATABASE(), LAST_INSERT_ID(), ...)."""
    user_variables: Mapping[str, object] | None = None
    zone: str = UTC
    """The session's time_zone."""
    modes: SqlModes = STRICT
    adjusting: Adjusting | None = None
    """Set in a data change that adjusts values rather than refusing them: see `adjusted_environment`."""

    @property
    def local(self) -> datetime:
        """The statement's start as the session's clocks show it."""
        return self.now if self.zone == UTC else from_utc(self.now, self.zone) or self.now

    def divided_by_zero(self) -> None:
        """A data change divided by zero: 1365, or a warning, or nothing, as the modes have it; the value is NULL."""
        if not self.modes.division_by_zero:
            return
        if self.adjusting is None:
            raise SqlError(ER_DIVISION_BY_ZERO, "Division by 0", sqlstate="22012")
        self.adjusting.warn(ER_DIVISION_BY_ZERO, "Division by 0")


@valueclass
class Compiled:
    """A closure, and what is known of its value without running it."""

    evaluate: Evaluate
    unsigned: bool = False
    """An integer that can only be unsigned: decides the range of arithmetic with it."""


class Columns(Protocol):
    """Finds columns for the compiler."""

    def find(self, column: exp.Column) -> tuple[int, bool]:
        """(position in the row, unsigned). Raises 1054."""

    def numbered(self, column: exp.Column) -> ColumnType | None:
        """The type of a column that was found, if it is an ENUM or SET: its texts also count as numbers."""


class NoColumns:
    """For expressions that stand outside any table."""

    def find(self, column: exp.Column) -> tuple[int, bool]:
        raise unknown_column(column.name)

    def numbered(self, column: exp.Column) -> ColumnType | None:
        return None


@valueclass
class Scope:
    """Where an expression stands."""

    columns: Columns
    strict: bool = False
    """In a data change: division by zero is an error rather than NULL."""


def compile_expression(node: exp.Expr, scope: Scope) -> Compiled:
    """The closure for `node`. Raises NotCompilable, or the error of an unknown column."""
    # The tables of operators and functions compile their operands by this function.
    from rutile.expressions.functions import compile_function
    from rutile.expressions.operators import OPERATORS

    compiler = OPERATORS.get(type(node), compile_function)
    return compiler(node, scope)


def compile_evaluate(node: exp.Expr, scope: Scope) -> Evaluate:
    """The closure alone."""
    return compile_expression(node, scope).evaluate


def constant_value(node: exp.Expr, environment: Environment) -> object:
    """The value of an expression without columns. Raises NotCompilable."""
    return compile_evaluate(node, Scope(NoColumns()))((), environment)
