"""The character sets of texts at the edge: what clients send, what they are sent, and what columns hold.

Within, a text is a str, and UTF-8 in rows and keys. A connection may speak another set (SET NAMES, or the number in its
handshake): its bytes are converted on the way in and on the way out. A character that the other side has no bytes for
is an error that names it; no byte is made up.
"""

from __future__ import annotations

import codecs
from codecs import IncrementalDecoder
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rutile.errors import SqlError

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

ER_UNKNOWN_CHARACTER_SET = 1115
ER_INVALID_CHARACTER_STRING = 1300
ER_CANNOT_CONVERT_STRING = 3854
_SHOWN_BYTES = 8
_UNDEFINED = {byte: chr(byte) for byte in (0x81, 0x8D, 0x8F, 0x90, 0x9D)}
"""Windows-1252 leaves these open; MySQL's latin1 has the control characters of ISO 8859-1 there."""
_LATIN1_TEXT = "".join(_UNDEFINED.get(byte) or bytes((byte,)).decode("cp1252") for byte in range(256))
_LATIN1_BYTES = {character: byte for byte, character in enumerate(_LATIN1_TEXT)}


@dataclass(frozen=True, slots=True, eq=False)
class Charset:
    """A character set; each there is is equal to itself only."""

    name: str
    codec: str
    """Python's; empty for latin1, which Python has not quite."""
    collation: str
    """The one that compares by bytes."""
    collation_id: int
    """What column definitions call it."""
    description: str
    max_bytes: int
    """Of one character."""

    @property
    def is_utf8(self) -> bool:
        return self.codec == "utf-8"

    def decode(self, data: bytes) -> str:
        """The text in `data`. Raises UnicodeDecodeError."""
        if self.codec or data.isascii():
            return data.decode(self.codec or "ascii")
        return "".join(map(_LATIN1_TEXT.__getitem__, data))

    def incremental_decoder(self) -> IncrementalDecoder:
        """One that takes the bytes in pieces."""
        return codecs.getincrementaldecoder(self.codec)() if self.codec else _Latin1Decoder()

    def encode(self, text: str) -> bytes:
        """The bytes of `text`. Raises 3854 for what the set has not."""
        try:
            return self._encode(text)
        except (UnicodeEncodeError, KeyError):
            raise self.cannot_hold(text) from None

    def _encode(self, text: str) -> bytes:
        return text.encode(self.codec) if self.codec else bytes(map(_LATIN1_BYTES.__getitem__, text))

    def nearest(self, text: str) -> bytes:
        """The bytes of a name or message, with ? for what the set has not: those are to be read, not kept."""
        return (
            b"".join(self.encode(each if self.holds(each) else "?") for each in text)
            if not text.isascii()
            else text.encode()
        )

    def holds(self, text: str) -> bool:
        """Whether each character of `text` is in the set."""
        if text.isascii() or self.is_utf8:
            return True
        try:
            self._encode(text)
        except (UnicodeEncodeError, KeyError):
            return False
        return True

    def cannot_hold(self, text: str) -> SqlError:
        """3854, with the first character that is not in the set."""
        lost = next(character for character in text if not self.holds(character))
        message = f"Cannot convert string '{lost}' (U+{ord(lost):04X}) from utf8mb4 to {self.name}. SET NAMES utf8mb4"
        return SqlError(ER_CANNOT_CONVERT_STRING, message)

    def invalid(self, data: bytes) -> SqlError:
        """1300."""
        shown = data[:_SHOWN_BYTES].hex(" ").upper()
        return SqlError(ER_INVALID_CHARACTER_STRING, f"Invalid {self.name} character string: '{shown}'")


class _Latin1Decoder(IncrementalDecoder):
    def decode(self, piece: ReadableBuffer, final: bool = False) -> str:
        return LATIN1.decode(bytes(piece))


UTF8MB4 = Charset("utf8mb4", "utf-8", "utf8mb4_bin", 46, "UTF-8 Unicode", 4)
LATIN1 = Charset("latin1", "", "latin1_bin", 47, "Latin1", 1)
ASCII = Charset("ascii", "ascii", "ascii_bin", 65, "US ASCII", 1)
GBK = Charset("gbk", "gbk", "gbk_bin", 87, "Chinese Internal Code Specification", 2)
CHARSETS = (ASCII, GBK, LATIN1, UTF8MB4)
_NAMES = {charset.name: charset for charset in CHARSETS} | dict.fromkeys(("utf8", "utf8mb3", "binary"), UTF8MB4)
_COLLATIONS = {
    "utf8mb4_bin": UTF8MB4, "utf8mb4_general_ci": UTF8MB4, "utf8mb4_unicode_ci": UTF8MB4, "utf8mb4_0900_ai_ci": UTF8MB4,
    "utf8mb4_0900_bin": UTF8MB4, "utf8_bin": UTF8MB4, "utf8_general_ci": UTF8MB4, "utf8_unicode_ci": UTF8MB4,
    "binary": UTF8MB4, "latin1_bin": LATIN1, "latin1_swedish_ci": LATIN1, "latin1_general_ci": LATIN1,
    "ascii_bin": ASCII, "ascii_general_ci": ASCII, "gbk_bin": GBK, "gbk_chinese_ci": GBK,
}  # fmt: skip
_LATIN1_IDS, _ASCII_IDS, _GBK_IDS = (5, 8, 15, 31, 47, 48, 49, 94), (11, 65), (28, 87)
_OF_IDS = dict.fromkeys(_LATIN1_IDS, LATIN1) | dict.fromkeys(_ASCII_IDS, ASCII) | dict.fromkeys(_GBK_IDS, GBK)


def charset_named(name: str) -> Charset:
    """The character set of that name; "binary" has texts as they are stored. Raises 1115."""
    found = _NAMES.get(name.lower())
    if found is None:
        message = f"Unknown character set: '{name}'. There are {', '.join(_NAMES)}"
        raise SqlError(ER_UNKNOWN_CHARACTER_SET, message, sqlstate="42000")
    return found


def charset_of_collation(name: str) -> Charset | None:
    """The set that a collation is of; None if there is no such collation."""
    return _COLLATIONS.get(name.lower())


def charset_of_id(collation_id: int) -> Charset:
    """What a client's handshake asks for by a collation's number; for numbers that are not known here UTF-8, as MySQL
    too falls back to its own."""
    return _OF_IDS.get(collation_id, UTF8MB4)
