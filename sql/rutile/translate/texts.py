"""Functions of text that need more than another name."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from sqlglot import exp

from rutile.translate.build import (
    Typed,
    as_integer,
    as_number,
    as_plain_text,
    as_value,
    call,
    cast,
    number,
    paren,
    refuse,
    when,
)
from rutile.translate.comparisons import comparison
from rutile.translate.sql_types import BINARY, INT, MAX_PRECISION, TEXT, Base, common

if TYPE_CHECKING:
    from rutile.translate.translator import Translator


def length(translator: Translator, node: exp.Expr) -> Typed:
    """LENGTH counts bytes, CHAR_LENGTH characters."""
    value = translator.visit(node.this)
    if value.type.base is Base.BINARY:
        return Typed(call("octet_length", value.node), INT)
    # sqlglot marks MySQL's LENGTH as the one that counts bytes where the argument is bytes
    name = "strlen" if node.args.get("binary") else "length"
    return Typed(call(name, as_plain_text(value)), INT)


def concat(translator: Translator, node: exp.Expr) -> Typed:
    """CONCAT: NULL if any argument is."""
    parts = node.expressions or [node.this, node.args["expression"]]
    texts = [paren(as_plain_text(translator.visit(part))) for part in parts]
    built = texts[0]
    for text in texts[1:]:
        built = exp.DPipe(this=built, expression=text)
    return Typed(exp.Paren(this=built) if len(texts) > 1 else built, TEXT)


def concat_with_separator(translator: Translator, node: exp.Expr) -> Typed:
    """CONCAT_WS leaves out NULLs; NULL if the separator is."""
    return Typed(call("concat_ws", *(as_plain_text(translator.visit(part)) for part in node.expressions)), TEXT)


def substring(translator: Translator, node: exp.Expr) -> Typed:
    start, size = node.args.get("start"), node.args.get("length")
    assert start is not None
    return substring_of(
        translator.visit(node.this), translator.visit(start), None if size is None else translator.visit(size)
    )


def substring_of(value: Typed, start: Typed, size: Typed | None) -> Typed:
    """SUBSTRING, and MID; plain where start and size are numbers for which the dialects agree."""
    text = as_plain_text(value)
    arguments = [as_integer(start)] + ([] if size is None else [as_integer(size)])
    if all(isinstance(argument, exp.Literal) and int(argument.name) > 0 for argument in arguments):
        return Typed(call("substring", text, *arguments), TEXT)
    return Typed(call("mysql_substring" if size is not None else "mysql_substring_from", text, *arguments), TEXT)


def position(translator: Translator, node: exp.Expr) -> Typed:
    """INSTR, LOCATE, POSITION."""
    if node.args.get("occurrence") is not None:
        raise refuse("the occurrence argument of INSTR")
    text, part = as_plain_text(translator.visit(node.this)), as_plain_text(translator.visit_part(node, "substr"))
    start = node.args.get("position")
    if start is None:
        return Typed(call("strpos", text, part), INT)
    return Typed(call("mysql_locate", part, text, as_integer(translator.visit(start))), INT)


def trim(translator: Translator, node: exp.Expr) -> Typed:
    """TRIM removes whole copies of a text; of nothing but spaces if none is named."""
    text = as_plain_text(translator.visit(node.this))
    side = str(node.args.get("position") or "BOTH").upper()
    removed = node.args.get("expression")
    if removed is None:
        names = {"LEADING": "ltrim", "TRAILING": "rtrim", "BOTH": "trim"}
        return Typed(call(names[side], text, " "), TEXT)
    return Typed(call(f"mysql_trim_{side.lower()}", text, as_plain_text(translator.visit(removed))), TEXT)


def pad(translator: Translator, node: exp.Expr) -> Typed:
    """LPAD and RPAD."""
    filling = node.args.get("fill_pattern")
    fill = exp.Literal.string(" ") if filling is None else as_plain_text(translator.visit(filling))
    name = "mysql_lpad" if node.args.get("is_left") else "mysql_rpad"
    text, size = translator.visit(node.this), as_integer(translator.visit_part(node, "expression"))
    return Typed(call(name, as_plain_text(text), cast(size, "integer"), fill), TEXT)


def characters(translator: Translator, node: exp.Expr) -> Typed:
    """CHAR(77, 121) is 'My'; bytes, unless all are ASCII or a character set is named."""
    charset = str(node.args.get("charset") or "").lower()
    if charset not in ("", "utf8mb4", "utf8", "utf8mb3", "ascii", "binary"):
        raise refuse(f"CHAR(... USING {charset})")
    made = call("mysql_characters", *(as_integer(translator.visit(code)) for code in node.expressions))
    is_plain = all(
        isinstance(code, exp.Literal) and len(code.name) < 4 and int(code.name) < 128 for code in node.expressions
    )
    if charset == "binary" or not (charset or is_plain):
        return Typed(made, BINARY)
    return Typed(call("decode", made), TEXT)


def hexadecimal(translator: Translator, node: exp.Expr) -> Typed:
    """HEX of a number is in base 16, of text and bytes byte by byte."""
    value = as_value(translator.visit(node.this))
    if value.type.is_number:
        return Typed(call("hex", call("mysql_bits", as_integer(value))), TEXT)
    return Typed(call("hex", value.node if value.type.base is Base.BINARY else as_plain_text(value)), TEXT)


def element(translator: Translator, node: exp.Expr) -> Typed:
    """ELT(n, a, b, ...): the n-th of them, or NULL."""
    place = as_integer(translator.visit(node.this))
    ifs = [
        when(exp.EQ(this=paren(place.copy()), expression=number(at + 1)), as_plain_text(translator.visit(text)))
        for at, text in enumerate(node.expressions)
    ]
    return Typed(exp.Case(ifs=ifs), TEXT)


def field(translator: Translator, arguments: list[exp.Expr]) -> Typed:
    """FIELD(x, a, b, ...): where x is among them, or 0."""
    value, *others = [translator.visit(argument) for argument in arguments]
    wanted = common(as_value(item).type for item in (value, *others))
    if not wanted.is_number:
        value, *others = [Typed(as_plain_text(item), TEXT) for item in (value, *others)]
    ifs = [when(comparison(exp.EQ, value, item), number(at + 1)) for at, item in enumerate(others)]
    return Typed(exp.Case(ifs=ifs, default=number(0)), INT)


def format_number(translator: Translator, node: exp.Expr) -> Typed:
    """FORMAT(x, digits): with commas, in the locale en_US."""
    digits = node.args.get("format")
    if not isinstance(digits, exp.Literal) or not digits.is_int or node.args.get("culture") is not None:
        raise refuse("FORMAT with digits that are no literal, or with a locale")
    places = min(int(digits.name), 30)
    value = as_number(translator.visit(node.this))
    name = "round_even" if value.type.base is Base.DOUBLE else "round"
    rounded = cast(call(name, value.node, number(places)), f"decimal({MAX_PRECISION}, {places})")
    return Typed(call("mysql_thousands", cast(rounded, "varchar")), TEXT)


def regexp_replace(translator: Translator, node: exp.Expr) -> Typed:
    """REGEXP_REPLACE of every match; $1 in the replacement is a group."""
    parts = ("replacement", "position", "occurrence", "modifiers")
    replacement = node.args["replacement"]
    if any(node.args.get(part) is not None for part in parts[1:]) or not isinstance(replacement, exp.Literal):
        return Typed(call("mysql_regexp_change", *_regexp_arguments(translator, node, parts)), TEXT)
    groups = re.sub(r"\$(\d)", r"\\\1", replacement.name.replace("\\", "\\\\"))
    text, pattern = as_plain_text(translator.visit(node.this)), as_plain_text(translator.visit_part(node, "expression"))
    return Typed(call("regexp_replace", text, pattern, groups, "g"), TEXT)


def regexp_find(translator: Translator, node: exp.Expr) -> Typed:
    """REGEXP_SUBSTR and REGEXP_INSTR."""
    text, pattern = as_plain_text(translator.visit(node.this)), as_plain_text(translator.visit_part(node, "expression"))
    is_text = isinstance(node, exp.RegexpSubstr)
    parts = ("position", "occurrence", "parameters") if is_text else ("position", "occurrence", "option", "parameters")
    if node.args.get("group") is not None:
        raise refuse(f"this argument of {node.key.upper()}")
    if any(node.args.get(part) is not None for part in parts):
        name = "mysql_regexp_find" if is_text else "mysql_regexp_place"
        return Typed(call(name, *_regexp_arguments(translator, node, parts)), TEXT if is_text else INT)
    return Typed(
        call("mysql_regexp_substr" if is_text else "mysql_regexp_instr", text, pattern), TEXT if is_text else INT
    )


_NUMBER_PARTS = ("position", "occurrence", "option")


def _regexp_arguments(translator: Translator, node: exp.Expr, parts: tuple[str, ...]) -> list[exp.Expr]:
    """The text, the pattern, and the further arguments as far as they are given."""
    read = [as_plain_text(translator.visit(node.this)), as_plain_text(translator.visit_part(node, "expression"))]
    for part in parts:
        if node.args.get(part) is None:
            break
        value = translator.visit_part(node, part)
        read.append(as_integer(value) if part in _NUMBER_PARTS else as_plain_text(value))
    return read
