"""Arithmetic: integers within BIGINT, exact DECIMALs, DOUBLEs, and 64-bit patterns."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlglot import exp

from rutile.parse.mysql_text import mysql_text
from rutile.translate.build import Typed, as_double, as_integer, as_number, call, cast, number, paren, refuse
from rutile.translate.intervals import shift_operator
from rutile.translate.sql_types import (
    DIVISION_EXTRA_SCALE,
    DOUBLE,
    INT,
    MAX_PRECISION,
    UNKNOWN,
    UNSIGNED,
    Base,
    SqlType,
    decimal,
)

if TYPE_CHECKING:
    from rutile.translate.translator import Translator


def operands(translator: Translator, node: exp.Expr) -> tuple[Typed, Typed]:
    left, right = (as_number(translator.visit_part(node, part)) for part in ("this", "expression"))
    return left, right


def _result(left: SqlType, right: SqlType, scale: int) -> SqlType:
    bases = {left.base, right.base}
    if Base.DOUBLE in bases:
        return DOUBLE
    if Base.UNKNOWN in bases:
        return UNKNOWN
    if Base.DECIMAL in bases:
        return decimal(scale)
    return SqlType(Base.INT, unsigned=left.unsigned or right.unsigned)


def _widened(left: Typed, right: Typed) -> exp.Expr:
    """The left operand, as a BIGINT if both are narrower: MySQL computes with 64 bits, DuckDB with what it is given."""
    narrow = left.type.base is Base.INT and right.type.base is Base.INT and max(left.type.bits, right.type.bits) < 64
    return cast(left.node, "bigint") if narrow else paren(left.node)


def add_or_subtract(translator: Translator, node: exp.Expr) -> Typed:
    """+ and -, of numbers, or of a date and an INTERVAL."""
    if isinstance(node.this, exp.Interval) or isinstance(node.args["expression"], exp.Interval):
        return shift_operator(translator, node)
    left, right = operands(translator, node)
    kind = _result(left.type, right.type, max(left.type.scale, right.type.scale))
    if _is_unsigned(kind):
        return Typed(_unsigned(type(node), left, right), kind)
    return Typed(type(node)(this=_widened(left, right), expression=paren(right.node)), kind)


def _is_unsigned(kind: SqlType) -> bool:
    return kind.base is Base.INT and kind.unsigned


def _unsigned(operator: type[exp.Expr], left: Typed, right: Typed) -> exp.Expr:
    """Integers of which one is BIGINT UNSIGNED, and so the result: below zero it is out of range."""
    return cast(paren(operator(this=cast(left.node, "hugeint"), expression=paren(right.node))), "ubigint")


def multiply(translator: Translator, node: exp.Expr) -> Typed:
    left, right = operands(translator, node)
    kind = _result(left.type, right.type, left.type.scale + right.type.scale)
    if _is_unsigned(kind):
        return Typed(_unsigned(exp.Mul, left, right), kind)
    factor = _widened(left, right)
    if translator.wide_decimals and kind.base is Base.DECIMAL:
        factor = cast(left.node, f"decimal({MAX_PRECISION}, {left.type.scale})")
    return Typed(exp.Mul(this=factor, expression=paren(right.node)), kind)


def divide(translator: Translator, node: exp.Expr) -> Typed:
    """`/`: exact numbers give a DECIMAL with four decimals more than the dividend; division by zero gives NULL."""
    return quotient(*operands(translator, node))


def quotient(left: Typed, right: Typed) -> Typed:
    if not (left.type.is_exact and right.type.is_exact):
        return Typed(call("mysql_divide", as_double(left), as_double(right)), DOUBLE)
    scale = decimal(left.type.scale + DIVISION_EXTRA_SCALE).scale
    dividend = _unscaled(left, scale + right.type.scale)
    return Typed(
        _scaled_down(call("mysql_quotient", dividend, _unscaled(right, right.type.scale)), scale), decimal(scale)
    )


def _unscaled(value: Typed, scale: int) -> exp.Expr:
    """The number times 10^scale, as a HUGEINT; exact if it has no more decimals."""
    whole = cast(_times_power(value.node, value.type.scale), "hugeint")
    return _times_power(whole, scale - value.type.scale)


def _times_power(node: exp.Expr, exponent: int) -> exp.Expr:
    if exponent == 0:
        return node
    return exp.Mul(this=paren(node), expression=cast(number(10**exponent), "hugeint" if exponent > 18 else "bigint"))


def _scaled_down(node: exp.Expr, scale: int) -> exp.Expr:
    unit = cast(exp.Literal.string(f"{10**-scale:.{scale}f}"), f"decimal({scale + 1}, {scale})")
    return exp.Paren(this=exp.Mul(this=cast(node, f"decimal({MAX_PRECISION}, 0)"), expression=unit))


def divide_to_integer(translator: Translator, node: exp.Expr) -> Typed:
    """DIV: the quotient without its fraction."""
    left, right = operands(translator, node)
    kind = SqlType(Base.INT, unsigned=left.type.unsigned or right.type.unsigned)
    if left.type.base is Base.INT and right.type.base is Base.INT:
        return Typed(exp.IntDiv(this=_widened(left, right), expression=paren(right.node)), kind)
    if left.type.is_exact and right.type.is_exact:
        scale = max(left.type.scale, right.type.scale)
        whole = exp.IntDiv(this=paren(_unscaled(left, scale)), expression=paren(_unscaled(right, scale)))
        return Typed(cast(whole, "bigint"), INT)
    ratio = call("mysql_divide", as_double(left), as_double(right))
    return Typed(cast(call("trunc", ratio), "bigint"), INT)


def remainder(translator: Translator, node: exp.Expr) -> Typed:
    """% and MOD: the sign is the dividend's; NULL for 0."""
    left, right = operands(translator, node)
    divisor = exp.Nullif(this=right.node, expression=number(0))
    built = exp.Mod(this=paren(left.node), expression=divisor)
    return Typed(built, _result(left.type, right.type, max(left.type.scale, right.type.scale)))


def minus(translator: Translator, node: exp.Expr) -> Typed:
    value = as_number(translator.visit(node.this))
    if value.type.unsigned and not isinstance(value.node, exp.Literal):
        return Typed(cast(exp.Neg(this=cast(value.node, "hugeint")), "bigint"), INT)
    kind = SqlType(value.type.base, value.type.scale, value.type.bits)
    return Typed(exp.Neg(this=paren(value.node)), kind)


# --- 64-bit patterns --------------------------------------------------------------------------------------------------


def _bits(translator: Translator, node: exp.Expr, part: str) -> exp.Expr:
    value = translator.visit_part(node, part)
    if value.type.base is Base.BINARY:
        raise refuse(f"bit operations on bytes: {mysql_text(node)[:60]}")
    return call("mysql_bits", as_integer(value))


def bitwise(translator: Translator, node: exp.Expr) -> Typed:
    """& | ^ give BIGINT UNSIGNED."""
    built = type(node)(this=_bits(translator, node, "this"), expression=_bits(translator, node, "expression"))
    return Typed(built, UNSIGNED)


def bitwise_not(translator: Translator, node: exp.Expr) -> Typed:
    ones = cast(exp.Literal.number((1 << 64) - 1), "ubigint")
    return Typed(exp.BitwiseXor(this=_bits(translator, node, "this"), expression=ones), UNSIGNED)


def shift(translator: Translator, node: exp.Expr) -> Typed:
    """<< and >>: bits that leave the 64 are lost."""
    name = "mysql_shift_left" if isinstance(node, exp.BitwiseLeftShift) else "mysql_shift_right"
    places = as_integer(translator.visit_part(node, "expression"))
    return Typed(call(name, _bits(translator, node, "this"), places), UNSIGNED)


# --- rounding ---------------------------------------------------------------------------------------------------------


def _places(translator: Translator, node: exp.Expr) -> int:
    """The digits argument of ROUND and TRUNCATE, which must be a plain number: it decides the result's type."""
    given = node.args.get("decimals")
    if given is None:
        return 0
    digits = translator.visit(given).node
    sign = -1 if isinstance(digits, exp.Neg) else 1
    inner = digits.this if isinstance(digits, exp.Neg) else digits
    if not isinstance(inner, exp.Literal) or inner.is_string or not inner.is_int:
        raise refuse(f"{node.key.upper()} to a number of digits that is no literal")
    return sign * int(inner.name)


def round_to(translator: Translator, node: exp.Expr) -> Typed:
    """ROUND: exact numbers half away from zero, doubles half to even."""
    value, places = as_number(translator.visit(node.this)), _places(translator, node)
    if value.type.base is Base.DOUBLE:
        return Typed(call("round_even", value.node, number(places)), DOUBLE)
    if value.type.base is Base.INT and places >= 0:
        return value
    scale = max(0, min(places, value.type.scale))
    kind = INT if value.type.base is Base.INT else decimal(scale)
    if places >= 0:
        return Typed(call("round", value.node, number(min(places, value.type.scale))), kind)
    return Typed(_cut(value, places, "round"), kind)


def truncate(translator: Translator, node: exp.Expr) -> Typed:
    value, places = as_number(translator.visit(node.this)), _places(translator, node)
    if value.type.base is Base.INT and places >= 0:
        return value
    kind = value.type if value.type.base in (Base.DOUBLE, Base.INT) else decimal(max(0, min(places, value.type.scale)))
    if places >= 0:
        return Typed(call("trunc", value.node, number(places)), kind)
    return Typed(_cut(value, places, "trunc"), kind)


def _cut(value: Typed, places: int, name: str) -> exp.Expr:
    """ROUND and TRUNCATE left of the decimal point."""
    if value.type.base is not Base.INT:
        return call(name, value.node, number(places))
    power = number(10**-places)
    if name == "trunc":
        return exp.Paren(
            this=exp.Mul(this=exp.IntDiv(this=paren(value.node), expression=power), expression=power.copy())
        )
    wide = cast(value.node, "hugeint")
    whole = exp.Mul(this=call("mysql_quotient", wide, power), expression=power.copy())
    return cast(exp.Paren(this=whole), "bigint")


def whole(translator: Translator, node: exp.Expr) -> Typed:
    """CEIL and FLOOR: of exact numbers an integer."""
    value = as_number(translator.visit(node.this))
    if value.type.base is Base.INT:
        return value
    built = call("ceil" if isinstance(node, exp.Ceil) else "floor", value.node)
    return Typed(built, DOUBLE if value.type.base is Base.DOUBLE else decimal(0))


def absolute(translator: Translator, node: exp.Expr) -> Typed:
    value = as_number(translator.visit(node.this))
    return Typed(call("abs", value.node), value.type)


def logarithm(translator: Translator, node: exp.Expr) -> Typed:
    """LOG(base, x), LOG2 and LOG10."""
    if node.args.get("expression") is None:
        return Typed(call("mysql_ln", as_double(translator.visit(node.this))), DOUBLE)
    base, value = node.this, as_double(translator.visit_part(node, "expression"))
    if isinstance(base, exp.Literal) and base.name in ("2", "10"):
        return Typed(call(f"mysql_log{base.name}", value), DOUBLE)
    return Typed(call("mysql_log", as_double(translator.visit(base)), value), DOUBLE)
