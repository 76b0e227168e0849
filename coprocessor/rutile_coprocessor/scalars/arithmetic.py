"""Numbers in other bases, checksums, numbers as sets of bits."""

from __future__ import annotations

import zlib

from rutile_coprocessor.scalars.scalar import Scalar

_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_MASK = (1 << 64) - 1


def convert_base(text: str, source: int, target: int) -> str | None:
    """CONV: with a negative target base the number is signed, otherwise 64 bits without sign."""
    if not (2 <= abs(source) <= 36 and 2 <= abs(target) <= 36):
        return None
    value = _leading_integer(text.strip(), abs(source))
    value = max(-(1 << 63), min(value, (1 << 63) - 1 if source < 0 else _MASK))
    if target > 0:
        return _in_base(value & _MASK, target)
    signed = value - (1 << 64) if value > (1 << 63) - 1 else value
    return ("-" if signed < 0 else "") + _in_base(abs(signed), -target)


def _leading_integer(text: str, base: int) -> int:
    negative, digits = text.startswith("-"), text.lstrip("+-").upper()
    value = 0
    for letter in digits:
        place = _DIGITS.find(letter)
        if not 0 <= place < base:
            break
        value = value * base + place
    return -value if negative else value


def _in_base(value: int, base: int) -> str:
    if value == 0:
        return "0"
    digits = []
    while value:
        value, place = divmod(value, base)
        digits.append(_DIGITS[place])
    return "".join(reversed(digits))


def make_set(bits: int | None, *texts: str | None) -> str | None:
    """MAKE_SET: the texts whose bit is set, without NULLs."""
    if bits is None:
        return None
    return ",".join(text for place, text in enumerate(texts) if bits >> place & 1 and text is not None)


def export_set(bits: int, on: str, off: str, separator: str = ",", count: int = 64) -> str:
    """EXPORT_SET: a text for every bit, the lowest first."""
    count = count if 0 <= count <= 64 else 64
    return separator.join(on if bits >> place & 1 else off for place in range(count))


SCALARS = (
    Scalar("mysql_conv", "VARCHAR BIGINT BIGINT", "VARCHAR", convert_base),
    Scalar("mysql_crc32", "BLOB", "BIGINT", zlib.crc32),
    Scalar("mysql_make_set", "*", "VARCHAR", make_set, sees_nulls=True),
    Scalar("mysql_export_set", "*", "VARCHAR", export_set),
)
