"""Cuts MySQL text into tokens, into statements, and into a shape with its literals taken out.

One regular expression, because this runs on every statement, also on those whose plan is cached: a point statement
costs about ten microseconds here and none in sqlglot. It knows just enough: where strings, quoted names and comments
begin and end. Everything else is sqlglot's business.

The *shape* of a statement is its text with every literal replaced by `?` (one space for any white space, comments
gone). Two statements of the same shape have the same plan as long as the plan does not depend on the literals'
values, which is why only point plans are looked up by it. In the shape of a multi-row INSERT the rows after the first
are left out, so that one plan serves any number of rows.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from decimal import Decimal
from functools import lru_cache

from rutile.errors import SqlError, syntax_error
from rutile_proto.values import valueclass

_TOKEN = re.compile(
    r"""
    (?P<space> \s+ | --(?=\s|$)[^\n]* | \#[^\n]* | /\*.*?\*/ )
  | (?P<string> '(?:[^'\\]|\\.|'')*' | "(?:[^"\\]|\\.|"")*" )
  | (?P<hex> 0x[0-9a-fA-F]+\b | [xX]'[0-9a-fA-F]*' | [bB]'[01]*' )
  | (?P<name> `(?:[^`]|``)*` )
  | (?P<number> (?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?(?![\w$]) )
  | (?P<variable> @@?(?:[\w.$]+|`(?:[^`]|``)*`) )
  | (?P<word> [\w$]+ )
  | (?P<parameter> \? )
  | (?P<operator> <=>|:=|->>|->|<=|>=|<>|!=|&&|\|\||<<|>>|. )
    """,
    re.VERBOSE | re.DOTALL,
)
_UNFINISHED = frozenset(("'", '"', "`"))

_ESCAPES = {"0": "\0", "b": "\b", "n": "\n", "r": "\r", "t": "\t", "Z": "\x1a"}
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)

_KEEPS_LITERAL = frozenset({
    "date", "time", "timestamp", "interval", "as", "collate", "comment", "charset", "character", "set", "n",
    "like", "regexp", "rlike", "escape", "separator",
})  # fmt: skip
"""After these words a literal belongs to the grammar or shapes the plan; it stays in the shape."""

_MULTI_ROW = re.compile(
    r"(?P<head>(?:insert|replace)\b.*?\bvalues? ?)(?P<row>\((?:\?,?)+\))(?:,(?P=row))*;?$",
    re.IGNORECASE | re.DOTALL,
)
_MAX_SHAPE_CHARACTERS = 1 << 20
"""Longer statements are parsed each time rather than kept as shapes."""
_MAX_KNOWN_CHARACTERS = 16_384
_MAX_KNOWN = 256
"""Texts with parameters whose shape is remembered."""
_GIVEN = object()
"""Stands for a parameter among the values of a shape."""


@valueclass
class Token:
    """A piece of the text other than white space and comments. `kind` names the group of the expression above."""

    kind: str
    text: str
    start: int
    end: int

    @property
    def word(self) -> str:
        """In lower case, to compare keywords with."""
        return self.text.lower()


def tokens(sql: str) -> list[Token]:
    """The tokens of `sql`. Raises 1064 for a string or name that does not end."""
    return list(_scan(sql))


def _scan(sql: str) -> Iterator[Token]:
    for match in _TOKEN.finditer(sql):
        kind = match.lastgroup or ""
        if kind == "space":
            continue
        text = match.group()
        if kind == "operator" and text in _UNFINISHED:
            raise syntax_error(sql[match.start() :], "a quote is not closed")
        if text == "\0":  # sqlglot would take it for part of a name
            raise syntax_error(sql[match.start() :], "a NUL byte outside of strings")
        yield Token(kind, text, match.start(), match.end())


def split_statements(sql: str) -> list[str]:
    """The statements of a script, cut at semicolons that are not inside strings or comments; empty ones left out."""
    statements, start = [], 0
    for token in _scan(sql):
        if token.text == ";":
            statements.append(sql[start : token.start])
            start = token.end
    statements.append(sql[start:])
    return [text.strip() for text in statements if next(_scan(text), None) is not None]


def unquote_string(text: str) -> str:
    """The value of a string literal with its quotes: MySQL's backslash escapes and doubled quotes undone."""
    quote = text[0]
    body = text[1:-1].replace(quote * 2, quote)
    if "\\" not in body:
        return body
    # LIKE's \% and \_ keep their backslash, as in MySQL.
    return _ESCAPE.sub(lambda m: m.group(0) if m.group(1) in "%_" else _ESCAPES.get(m.group(1), m.group(1)), body)


def unquote_name(text: str) -> str:
    """An identifier without its backticks."""
    return text[1:-1].replace("``", "`") if text.startswith("`") else text


def literal_value(kind: str, text: str) -> object:
    """The Python value of a literal token: int, Decimal, float (with an exponent), str, or bytes (hex and bit)."""
    if kind == "string":
        return unquote_string(text)
    if kind == "hex":
        return _hex_value(text)
    if "e" in text or "E" in text:
        return float(text)
    return Decimal(text) if "." in text else int(text)


def _hex_value(text: str) -> bytes:
    if text[0] in "bB":
        bits = text[2:-1]
        return int(bits or "0", 2).to_bytes((len(bits) + 7) // 8, "big")
    digits = text[2:] if text.startswith("0x") else text[2:-1]
    return bytes.fromhex(digits if len(digits) % 2 == 0 else "0" + digits)


@valueclass
class Shape:
    """A statement with its literals taken out."""

    text: str
    values: tuple[object, ...]
    """The literals and bound parameters, in the order of the `?` in the statement."""
    rows: int = 1
    """How many rows a multi-row INSERT has; `values` holds them one after the other."""


_POINT_VERBS = ("select", "insert", "update", "delete", "replace")


def is_point_verb(text: str) -> bool:
    """Whether a statement of this shape can have a plan by shape."""
    return text[:7].lower().startswith(_POINT_VERBS)


def shape_of(sql: str, params: Sequence[object]) -> Shape | None:
    """The shape of `sql`, or None when it is too long to be worth keeping. Raises 1210 if parameters do not match."""
    if len(sql) > _MAX_SHAPE_CHARACTERS:
        return None
    shape = _known_pattern(sql) if params and len(sql) <= _MAX_KNOWN_CHARACTERS else _pattern(sql)
    wanted = shape.values.count(_GIVEN)
    if wanted != len(params):
        message = f"the statement has {wanted} parameters, {len(params)} were given"
        raise SqlError(1210, f"Incorrect arguments to EXECUTE: {message}")
    if not wanted:
        return shape
    given = iter(params)
    values = tuple(next(given) if value is _GIVEN else value for value in shape.values)
    return Shape(shape.text, values, shape.rows)


def _pattern(sql: str) -> Shape:
    """The shape of `sql` with _GIVEN where it has a parameter."""
    text, values = _take_literals(sql)
    collapsed = _MULTI_ROW.match(text)
    if collapsed is None:
        return Shape(text, values)
    width = collapsed["row"].count("?")
    if (collapsed["head"].count("?")) or len(values) % width:
        return Shape(text, values)
    return Shape(collapsed["head"] + collapsed["row"], values, len(values) // width)


_known_pattern = lru_cache(_MAX_KNOWN)(_pattern)
"""A text with parameters comes again and again."""


def _take_literals(sql: str) -> tuple[str, tuple[object, ...]]:
    """(shape, values). The sign of a number after `(` or `,` goes with the number: rows of an INSERT stay alike."""
    parts: list[str] = []
    values: list[object] = []
    previous, sign = "", ""
    for match in _TOKEN.finditer(sql):
        kind, text = match.lastgroup, match.group()
        if kind == "space":
            if previous not in ("(", ",", "") and parts[-1] != " ":
                parts.append(" ")
            continue
        if kind == "operator":
            if text in _UNFINISHED:
                raise syntax_error(sql[match.start() :], "a quote is not closed")
            if text in (",", ")") and parts and parts[-1] == " ":
                parts.pop()
            if text == "-" and previous in ("(", ","):
                sign = previous = "-"
                continue
        if kind == "parameter":
            values.append(_GIVEN)
            parts.append(sign + "?")
        elif kind == "number" and previous not in _KEEPS_LITERAL:
            value = literal_value(kind, text)
            values.append(-value if sign else value)  # type: ignore[operator]
            parts.append("?")
        elif kind in ("string", "hex") and previous not in _KEEPS_LITERAL and not previous.startswith("_"):
            values.append(literal_value(kind, text))
            parts.append(sign + "?")
        else:
            parts.append(sign + text)
        sign = ""
        previous = text.lower()
    return "".join(parts).strip(), tuple(values)


def number_parameters(sql: str) -> tuple[str, int]:
    """`sql` with its `?` as `:p0`, `:p1`, ... (sqlglot loses their order otherwise), and how many there are. Raises
    1064 for a parameter that is written so already."""
    parts, position, count = [], 0, 0
    for token in _scan(sql):
        if token.text == ":":
            raise syntax_error(sql[token.start :])
        if token.kind == "parameter":
            after = sql[token.end : token.end + 1]
            end = " " if after.isalnum() or after in ("_", "$") or after > "\x7f" else ""  # no part of the number
            parts.append(sql[position : token.start] + f":p{count}{end}")
            position = token.end
            count += 1
    parts.append(sql[position:])
    return "".join(parts), count
