"""Literals, columns, operators and logic as closures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from sqlglot import exp

from rutile.expressions import semantics
from rutile.expressions.compile import (
    Compiled,
    Environment,
    Evaluate,
    NotCompilable,
    Scope,
    compile_evaluate,
    compile_expression,
)
from rutile.parse.lexer import literal_value
from rutile.rows.readings import EnumeratedText
from rutile_coprocessor.column_types import ColumnType

# --- leaves -----------------------------------------------------------------------------------------------------------


def _literal(node: exp.Expr, scope: Scope) -> Compiled:
    value: object = node.this if node.is_string else literal_value("number", node.this)
    return _constant(value)


def _constant(value: object) -> Compiled:
    return Compiled(lambda row, env: value)


def _hex(node: exp.Expr, scope: Scope) -> Compiled:
    return _constant(literal_value("hex", f"x'{node.this}'"))


def _bits(node: exp.Expr, scope: Scope) -> Compiled:
    return _constant(literal_value("hex", f"b'{node.this}'"))


def _boolean(node: exp.Expr, scope: Scope) -> Compiled:
    return _constant(1 if node.this else 0)


def _null(node: exp.Expr, scope: Scope) -> Compiled:
    return _constant(None)


def _parameter(node: exp.Expr, scope: Scope) -> Compiled:
    position = int(str(node.this)[1:])
    return Compiled(lambda row, env: env.params[position])


def _column(node: exp.Expr, scope: Scope) -> Compiled:
    assert isinstance(node, exp.Column)
    position, unsigned = scope.columns.find(node)
    kind = scope.columns.numbered(node)
    if kind is not None:
        return Compiled(_enumerated(position, kind))
    return Compiled(lambda row, env: row[position], unsigned)


def _enumerated(position: int, kind: ColumnType) -> Evaluate:
    def evaluate(row: Sequence[Any], env: Environment) -> Any:
        return None if row[position] is None else EnumeratedText.of(kind, row[position])

    return evaluate


def _paren(node: exp.Expr, scope: Scope) -> Compiled:
    return compile_expression(node.this, scope)


def variable_name(node: exp.SessionParameter) -> str:
    """@@name or @@session.name as "name", @@global.name as "global.name"."""
    is_global = str(node.args.get("kind") or "").lower() == "global"
    return f"global.{node.name.lower()}" if is_global else node.name.lower()


def _session_parameter(node: exp.Expr, scope: Scope) -> Compiled:
    assert isinstance(node, exp.SessionParameter)
    name = variable_name(node)

    def evaluate(row: Sequence[Any], env: Environment) -> Any:
        if env.session_value is None:
            raise NotCompilable(name)
        return env.session_value(name)

    return Compiled(evaluate)


def _user_variable(node: exp.Expr, scope: Scope) -> Compiled:
    name = node.name.lower()
    return Compiled(lambda row, env: (env.user_variables or {}).get(name))


# --- arithmetic -------------------------------------------------------------------------------------------------------


def _arithmetic(operate: Callable[[object, object], Any], symbol: str) -> Callable[[exp.Expr, Scope], Compiled]:
    def compile_node(node: exp.Expr, scope: Scope) -> Compiled:
        left, right = compile_expression(node.this, scope), compile_expression(node.expression, scope)
        unsigned = left.unsigned or right.unsigned
        left_of, right_of = left.evaluate, right.evaluate

        def evaluate(row: Sequence[Any], env: Environment) -> Any:
            a, b = left_of(row, env), right_of(row, env)
            if a is None or b is None:
                return None
            return semantics.checked(operate(a, b), unsigned, f"({a} {symbol} {b})")

        return Compiled(evaluate, unsigned)

    return compile_node


def _division(operate: Callable[[object, object], Any]) -> Callable[[exp.Expr, Scope], Compiled]:
    def compile_node(node: exp.Expr, scope: Scope) -> Compiled:
        left_of, right_of = compile_evaluate(node.this, scope), compile_evaluate(node.expression, scope)
        strict = scope.strict

        def evaluate(row: Sequence[Any], env: Environment) -> Any:
            a, b = left_of(row, env), right_of(row, env)
            if a is None or b is None:
                return None
            result = operate(a, b)
            if result is None and strict:
                env.divided_by_zero()
            return result

        return Compiled(evaluate)

    return compile_node


def _negation(node: exp.Expr, scope: Scope) -> Compiled:
    operand = compile_evaluate(node.this, scope)

    def evaluate(row: Sequence[Any], env: Environment) -> Any:
        value = operand(row, env)
        return None if value is None else semantics.checked(semantics.negate(value), False, f"-({value})")

    return Compiled(evaluate)


# --- comparison and logic ---------------------------------------------------------------------------------------------


def _comparison(holds: Callable[[int], bool]) -> Callable[[exp.Expr, Scope], Compiled]:
    def compile_node(node: exp.Expr, scope: Scope) -> Compiled:
        left_of, right_of = compile_evaluate(node.this, scope), compile_evaluate(node.expression, scope)

        def evaluate(row: Sequence[Any], env: Environment) -> Any:
            a, b = left_of(row, env), right_of(row, env)
            if a is None or b is None:
                return None
            return int(holds(semantics.compare(a, b)))

        return Compiled(evaluate)

    return compile_node


def _null_safe_equal(node: exp.Expr, scope: Scope) -> Compiled:
    left_of, right_of = compile_evaluate(node.this, scope), compile_evaluate(node.expression, scope)

    def evaluate(row: Sequence[Any], env: Environment) -> Any:
        a, b = left_of(row, env), right_of(row, env)
        if a is None or b is None:
            return int(a is b)
        return int(semantics.compare(a, b) == 0)

    return Compiled(evaluate)


def _and(node: exp.Expr, scope: Scope) -> Compiled:
    left_of, right_of = compile_evaluate(node.this, scope), compile_evaluate(node.expression, scope)

    def evaluate(row: Sequence[Any], env: Environment) -> Any:
        a = semantics.truth(left_of(row, env))
        if a is False:
            return 0
        b = semantics.truth(right_of(row, env))
        if b is False:
            return 0
        return None if a is None or b is None else 1

    return Compiled(evaluate)


def _or(node: exp.Expr, scope: Scope) -> Compiled:
    left_of, right_of = compile_evaluate(node.this, scope), compile_evaluate(node.expression, scope)

    def evaluate(row: Sequence[Any], env: Environment) -> Any:
        a = semantics.truth(left_of(row, env))
        if a:
            return 1
        b = semantics.truth(right_of(row, env))
        if b:
            return 1
        return None if a is None or b is None else 0

    return Compiled(evaluate)


def _not(node: exp.Expr, scope: Scope) -> Compiled:
    operand = compile_evaluate(node.this, scope)

    def evaluate(row: Sequence[Any], env: Environment) -> Any:
        value = semantics.truth(operand(row, env))
        return None if value is None else int(not value)

    return Compiled(evaluate)


def _is(node: exp.Expr, scope: Scope) -> Compiled:
    operand = compile_evaluate(node.this, scope)
    other = node.expression
    if isinstance(other, exp.Null):
        return Compiled(lambda row, env: int(operand(row, env) is None))
    if isinstance(other, exp.Boolean):
        wanted = bool(other.this)
        return Compiled(lambda row, env: int(semantics.truth(operand(row, env)) is wanted))
    raise NotCompilable("IS")


def _in(node: exp.Expr, scope: Scope) -> Compiled:
    if node.args.get("query") or not node.expressions:
        raise NotCompilable("IN (subquery)")
    operand = compile_evaluate(node.this, scope)
    choices = [compile_evaluate(choice, scope) for choice in node.expressions]

    def evaluate(row: Sequence[Any], env: Environment) -> Any:
        value = operand(row, env)
        if value is None:
            return None
        others = [choice(row, env) for choice in choices]
        if any(other is not None and semantics.compare(value, other) == 0 for other in others):
            return 1
        return None if None in others else 0

    return Compiled(evaluate)


def _between(node: exp.Expr, scope: Scope) -> Compiled:
    low = exp.GTE(this=node.this, expression=node.args["low"])
    high = exp.LTE(this=node.this.copy(), expression=node.args["high"])
    return _and(exp.And(this=low, expression=high), scope)


OPERATORS: dict[type[exp.Expr], Callable[[exp.Expr, Scope], Compiled]] = {
    exp.Literal: _literal, exp.HexString: _hex, exp.BitString: _bits, exp.Boolean: _boolean, exp.Null: _null,
    exp.Placeholder: _parameter, exp.Column: _column, exp.Paren: _paren, exp.SessionParameter: _session_parameter,
    exp.Parameter: _user_variable,
    exp.Add: _arithmetic(semantics.add, "+"), exp.Sub: _arithmetic(semantics.subtract, "-"),
    exp.Mul: _arithmetic(semantics.multiply, "*"), exp.Div: _division(semantics.divide),
    exp.IntDiv: _division(semantics.integer_divide), exp.Mod: _division(semantics.modulo), exp.Neg: _negation,
    exp.EQ: _comparison(lambda order: order == 0), exp.NEQ: _comparison(lambda order: order != 0),
    exp.LT: _comparison(lambda order: order < 0), exp.LTE: _comparison(lambda order: order <= 0),
    exp.GT: _comparison(lambda order: order > 0), exp.GTE: _comparison(lambda order: order >= 0),
    exp.NullSafeEQ: _null_safe_equal, exp.And: _and, exp.Or: _or, exp.Not: _not, exp.Is: _is, exp.In: _in,
    exp.Between: _between,
}  # fmt: skip
