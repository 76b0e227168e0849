"""Texts and bytes: sounds, encodings, digests, regular expressions, sizes for people."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import zlib
from functools import lru_cache

from rutile_coprocessor.scalars.scalar import Scalar, ScalarError

_SOUNDS = {letter: code for code, letters in {
    "1": "BFPV", "2": "CGJKQSXZ", "3": "DT", "4": "L", "5": "MN", "6": "R",
}.items() for letter in letters}  # fmt: skip
_MAX_UNCOMPRESSED = 64 << 20
ER_REGEXP_ERROR = 3685


def soundex(text: str) -> str:
    """SOUNDEX as MySQL has it: as long as the sounds go, at least four characters; vowels do not part equal sounds."""
    letters = [letter for letter in text.upper() if letter.isalpha()]
    if not letters:
        return ""
    found, last = letters[0], _SOUNDS.get(letters[0])
    for letter in letters[1:]:
        code = _SOUNDS.get(letter)
        if code is not None and code != last:
            found += code
        last = code or last
    return found.ljust(4, "0")


def from_base64(text: str) -> bytes | None:
    """FROM_BASE64: NULL for what is none; white space is skipped."""
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        return None


def sha2(data: bytes, bits: int) -> str | None:
    """SHA2: NULL for sizes there are not."""
    size = bits or 256
    return hashlib.new(f"sha{size}", data).hexdigest() if size in (224, 256, 384, 512) else None


def compress(data: bytes) -> bytes:
    """COMPRESS: four bytes of length (low first), then zlib's format."""
    if not data:
        return b""
    packed = len(data).to_bytes(4, "little") + zlib.compress(data)
    return packed + b"." if packed.endswith(b" ") else packed


def uncompress(data: bytes) -> bytes | None:
    """UNCOMPRESS: NULL for what COMPRESS did not make."""
    if len(data) <= 4:
        return b"" if not data else None
    size = uncompressed_length(data)
    try:
        unpacked = zlib.decompressobj().decompress(data[4:], max(1, min(size, _MAX_UNCOMPRESSED)))
    except zlib.error:
        return None
    return unpacked if len(unpacked) == size else None


def uncompressed_length(data: bytes) -> int:
    """UNCOMPRESSED_LENGTH."""
    return int.from_bytes(data[:4], "little") & 0x3FFFFFFF if len(data) > 4 else 0


_UNITS = ("bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")


def format_bytes(count: float) -> str:
    """FORMAT_BYTES: 512 bytes, 1.50 KiB."""
    size, place = count, 0
    while abs(size) >= 1024 and place < len(_UNITS) - 1:
        size, place = size / 1024, place + 1
    return f"{int(size):4d} bytes" if place == 0 else f"{size:.2f} {_UNITS[place]}"


def characters(*codes: int | None) -> bytes:
    """CHAR: every number is its bytes in base 256; NULLs are left out."""
    numbers = [code & 0xFFFFFFFF for code in codes if code is not None]
    return b"".join(number.to_bytes(max(1, (number.bit_length() + 7) // 8), "big") for number in numbers)


# --- regular expressions ----------------------------------------------------------------------------------------------


@lru_cache(maxsize=256)
def _pattern(text: str, options: str) -> re.Pattern[str]:
    flags = 0
    for option in options:
        if option not in "cimnu":
            raise ScalarError(1210, "Incorrect arguments to regexp match type")
        flags = flags & ~re.IGNORECASE if option == "c" else flags | _FLAGS[option]
    try:
        return re.compile(text, flags)
    except re.error as error:
        raise ScalarError(ER_REGEXP_ERROR, f"Invalid regular expression: {error}") from error


_FLAGS = {"i": re.IGNORECASE, "m": re.MULTILINE, "n": re.DOTALL, "u": 0}


def _matches(text: str, pattern: str, position: int, options: str) -> list[re.Match[str]]:
    if not 1 <= position <= len(text) + 1:
        raise ScalarError(ER_REGEXP_ERROR, "Index out of bounds in regular expression search.")
    return list(_pattern(pattern, options).finditer(text, position - 1))


def regexp_like(text: str, pattern: str, options: str = "") -> bool:
    """REGEXP_LIKE with a match type."""
    return _pattern(pattern, options).search(text) is not None


def regexp_substr(text: str, pattern: str, position: int = 1, occurrence: int = 1, options: str = "") -> str | None:
    """REGEXP_SUBSTR: the n-th match from a position on, or NULL."""
    found = _matches(text, pattern, position, options)
    return found[max(occurrence, 1) - 1].group() if len(found) >= max(occurrence, 1) else None


def regexp_instr(
    text: str, pattern: str, position: int = 1, occurrence: int = 1, after: int = 0, options: str = ""
) -> int:
    """REGEXP_INSTR: where the n-th match begins, or what follows it; 0 for none."""
    found = _matches(text, pattern, position, options)
    if len(found) < max(occurrence, 1):
        return 0
    match = found[max(occurrence, 1) - 1]
    return (match.end() if after else match.start()) + 1


def regexp_replace(
    text: str, pattern: str, replacement: str, position: int = 1, occurrence: int = 0, options: str = ""
) -> str:
    """REGEXP_REPLACE: every match, or the n-th; $1 in the replacement is a group."""
    found = _matches(text, pattern, position, options)
    chosen = found if occurrence <= 0 else found[occurrence - 1 : occurrence]
    pieces, end = [], 0
    for match in chosen:
        pieces += [text[end : match.start()], _expanded(match, replacement)]
        end = match.end()
    return "".join([*pieces, text[end:]])


def _expanded(match: re.Match[str], replacement: str) -> str:
    def group(found: re.Match[str]) -> str:
        if found[1] is None:
            return found[2]
        if int(found[1]) > match.re.groups:
            raise ScalarError(ER_REGEXP_ERROR, "Index out of bounds in regular expression search.")
        return match.group(int(found[1])) or ""

    return re.sub(r"\$(\d)|\\(.)", group, replacement)


SCALARS = (
    Scalar("mysql_soundex", "VARCHAR", "VARCHAR", soundex),
    Scalar("mysql_from_base64", "VARCHAR", "BLOB", from_base64),
    Scalar("mysql_sha2", "BLOB BIGINT", "VARCHAR", sha2),
    Scalar("mysql_compress", "BLOB", "BLOB", compress),
    Scalar("mysql_uncompress", "BLOB", "BLOB", uncompress),
    Scalar("mysql_uncompressed_length", "BLOB", "BIGINT", uncompressed_length),
    Scalar("mysql_format_bytes", "DOUBLE", "VARCHAR", format_bytes),
    Scalar("mysql_characters", "*", "BLOB", characters, sees_nulls=True),
    Scalar("mysql_regexp_like", "*", "BOOLEAN", regexp_like),
    Scalar("mysql_regexp_find", "*", "VARCHAR", regexp_substr),
    Scalar("mysql_regexp_place", "*", "BIGINT", regexp_instr),
    Scalar("mysql_regexp_change", "*", "VARCHAR", regexp_replace),
)
