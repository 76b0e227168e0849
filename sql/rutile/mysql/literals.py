"""Statement text from bytes: of the client's character set, but for string literals that hold bytes.

Clients without binary parameters write a BLOB's bytes between quotes, escaped, some with `_binary` before them. Such a
literal is no text. It becomes the hexadecimal literal of the same bytes, so that the statement is text again and the
bytes arrive as they were sent.
"""

from __future__ import annotations

import re

from rutile.errors import not_supported
from rutile.session.charsets import UTF8MB4, Charset

_PIECE = re.compile(
    rb"""
    (?P<binary> _binary\s*(?P<marked>'(?:[^'\\]|\\.|'')*'|"(?:[^"\\]|\\.|"")*") )
  | (?P<string> '(?:[^'\\]|\\.|'')*' | "(?:[^"\\]|\\.|"")*" )
  | `(?:[^`]|``)*`
  | --(?=\s|$)[^\n]* | \#[^\n]* | /\*.*?\*/
  | [\w$@]+
  """,
    re.VERBOSE | re.DOTALL | re.IGNORECASE,
)
"""A word is a piece too, so that `a_binary'x'` is not taken for a marked literal."""
_ESCAPE = re.compile(rb"\\(.)", re.DOTALL)
_ESCAPES = {b"0": b"\0", b"b": b"\b", b"n": b"\n", b"r": b"\r", b"t": b"\t", b"Z": b"\x1a"}


def statement_text(data: bytes, charset: Charset = UTF8MB4) -> str:
    """The statement in `data`. Raises 1300 for bytes outside of literals that are not of `charset`."""
    if not charset.is_utf8:
        return _in_other_charset(data, charset)
    if b"_binary" in data.lower() or not _is_utf8(data):
        data = _PIECE.sub(_as_hex_if_bytes, data)
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise charset.invalid(data[error.start :]) from None


def _in_other_charset(data: bytes, charset: Charset) -> str:
    """There every byte of a literal is text, unless it says _binary."""
    if b"_binary" in data.lower():
        if charset.max_bytes > 1:  # the second byte of a character may be a backslash
            raise not_supported(f"_binary literals in a statement in {charset.name}")
        data = _PIECE.sub(_as_hex_if_marked, data)
    try:
        return charset.decode(data)
    except UnicodeDecodeError as error:
        raise charset.invalid(data[error.start :]) from None


def _as_hex_if_marked(piece: re.Match[bytes]) -> bytes:
    literal = piece["marked"]
    return piece[0] if literal is None else b"x'" + _unquoted(literal).hex().encode() + b"'"


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def _as_hex_if_bytes(piece: re.Match[bytes]) -> bytes:
    literal = piece["marked"] or piece["string"]
    if literal is None or (piece["binary"] is None and _is_utf8(literal)):
        return piece[0]
    return b"x'" + _unquoted(literal).hex().encode() + b"'"


def _unquoted(literal: bytes) -> bytes:
    quote = literal[:1]
    body = literal[1:-1].replace(quote * 2, quote)
    return _ESCAPE.sub(lambda escape: _ESCAPES.get(escape[1], escape[1]), body)
