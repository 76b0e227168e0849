"""Functions of the moment: one value for the whole statement, put in as a literal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlglot import exp

from rutile.translate.build import Typed, cast, refuse
from rutile.translate.sql_types import DATE, Base, SqlType

if TYPE_CHECKING:
    from rutile.translate.translator import Translator


def current(translator: Translator, node: exp.Expr) -> Typed:
    """NOW, CURRENT_TIMESTAMP, CURDATE, CURTIME and their other names."""
    if isinstance(node, exp.CurrentDate):
        return current_date(translator)
    digits = _digits(node.args.get("this"))
    return current_time(translator, digits) if isinstance(node, exp.CurrentTime) else current_moment(translator, digits)


def _digits(argument: exp.Expr | None) -> int:
    return int(argument.name) if isinstance(argument, exp.Literal) and argument.is_int else 0


def current_moment(translator: Translator, digits: int = 0) -> Typed:
    if translator.now is None:
        raise refuse("NOW() here")
    unit = 10 ** (6 - digits)
    moment = translator.now.replace(microsecond=translator.now.microsecond // unit * unit)
    return Typed(cast(exp.Literal.string(moment.isoformat(sep=" ")), "timestamp"), SqlType(Base.DATETIME, digits))


def current_date(translator: Translator) -> Typed:
    if translator.now is None:
        raise refuse("CURDATE() here")
    return Typed(cast(exp.Literal.string(translator.now.date().isoformat()), "date"), DATE)


def current_time(translator: Translator, digits: int = 0) -> Typed:
    if translator.now is None:
        raise refuse("CURTIME() here")
    unit = 10 ** (6 - digits)
    moment = translator.now.replace(microsecond=translator.now.microsecond // unit * unit)
    return Typed(cast(exp.Literal.string(moment.time().isoformat()), "interval"), SqlType(Base.TIME, digits))
