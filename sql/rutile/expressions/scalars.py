"""The functions both ways share (`rutile_coprocessor.scalars`), as closures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from sqlglot import exp

from rutile.errors import SqlError
from rutile.expressions import semantics
from rutile.expressions.compile import Compiled, Environment, Evaluate, NotCompilable, Scope, compile_evaluate
from rutile.rows import readings
from rutile.rows.readings import text_of
from rutile.translate.function_table import FUNCTIONS, Function
from rutile.translate.functions import argument_letters, name_and_arguments
from rutile_coprocessor.scalars import SCALARS, Scalar, ScalarError


def compile_scalar(node: exp.Expr, scope: Scope) -> Compiled:
    """The closure for a call of a shared function. Raises NotCompilable for any other."""
    try:
        name, arguments = name_and_arguments(node)
    except SqlError as error:
        raise NotCompilable(type(node).__name__) from error
    function = FUNCTIONS.get(name)
    scalar = SCALARS.get(function.duckdb) if function is not None else None
    if function is None or scalar is None:
        raise NotCompilable(name)
    return Compiled(_call(scalar, _readers(name, function, len(arguments)), [
        compile_evaluate(argument, scope) for argument in arguments
    ]))  # fmt: skip


def _readers(name: str, function: Function, count: int) -> list[Callable[[object], object]]:
    letters = argument_letters(function, count)
    if letters is None or not set(letters) <= _READERS.keys():
        raise NotCompilable(name)
    return [_READERS[letter] for letter in letters]


def _call(scalar: Scalar, readers: list[Callable[[object], object]], arguments: list[Evaluate]) -> Evaluate:
    pairs = list(zip(readers, arguments, strict=True))

    def evaluate(row: Sequence[Any], env: Environment) -> Any:
        values = [None if (value := argument(row, env)) is None else read(value) for read, argument in pairs]
        if None in values and not scalar.sees_nulls:
            return None
        try:
            found = scalar.function(*values)
        except ScalarError as error:
            raise SqlError(error.code, error.text) from error
        return int(found) if isinstance(found, bool) else found

    return evaluate


def _integer(value: object) -> int:
    number = semantics.number(value)
    if isinstance(number, int):
        return number
    return int(Decimal(number).to_integral_value(rounding=ROUND_HALF_UP))


def _bytes(value: object) -> bytes:
    return value if isinstance(value, bytes) else text_of(value).encode()


_READERS: dict[str, Callable[[object], object]] = {
    "t": text_of, "i": _integer, "b": _bytes, "d": lambda value: float(semantics.number(value)),
    "T": readings.time_of, "D": readings.datetime_of,
}  # fmt: skip
"""As `translate.functions` reads arguments. JSON of any value is not here: a closure cannot tell JSON from text."""
