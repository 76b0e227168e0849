"""SHOW ... WHERE: the condition is on the columns of what SHOW would give, by name."""

from __future__ import annotations

from collections.abc import Sequence

from sqlglot import exp

from rutile.errors import not_supported, unknown_column
from rutile.expressions import semantics
from rutile.expressions.compile import Environment, NotCompilable, Scope, compile_evaluate
from rutile.session.result import Result
from rutile_coprocessor.schema import ColumnType


class _Named:
    """The columns of a result, found without case."""

    def __init__(self, names: Sequence[str]) -> None:
        self._places = {name.lower(): place for place, name in enumerate(names)}

    def find(self, column: exp.Column) -> tuple[int, bool]:
        """Raises 1054."""
        place = self._places.get(column.name.lower())
        if place is None:
            raise unknown_column(column.name, "where clause")
        return place, False

    def numbered(self, column: exp.Column) -> ColumnType | None:
        """None of these columns is an ENUM."""
        return None


def filtered(result: Result, where: exp.Expr, environment: Environment) -> Result:
    """The rows that meet the condition; texts are compared without case, as those of SHOW are. Raises 1054, 1235."""
    folded = where.transform(_folded)
    try:
        condition = compile_evaluate(folded, Scope(_Named([column.name for column in result.columns])))
    except NotCompilable as error:
        raise not_supported(f"SHOW ... WHERE with {error}") from error
    rows = [row for row in result.rows() if semantics.truth(condition([_fold(value) for value in row], environment))]
    return Result.of_rows(result.columns, rows)


def _folded(node: exp.Expr) -> exp.Expr:
    return exp.Literal.string(node.name.lower()) if isinstance(node, exp.Literal) and node.is_string else node


def _fold(value: object) -> object:
    return value.lower() if isinstance(value, str) else value
