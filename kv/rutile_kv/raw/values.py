"""What stands in the engine for a raw value.

    value | flags                    flags = 0: lives until it is deleted or overwritten
    value | expires_at_s | flags     flags = 1: 8 bytes, big-endian, Unix seconds; gone from that second on

TiKV writes the same in API version 2 (wire.md 7.3). The bookkeeping stands behind the value so that reading the value
is a slice, and so that any value, the empty one too, is told from none at all.
"""

from typing import TypeAlias

from rutile_proto.errors import EngineCorrupt, InvalidRequest

_PLAIN = b"\x00"
_EXPIRES = b"\x01"
_EXPIRY_LENGTH = 8
MAX_EXPIRY_S = (1 << 64) - 1

Live: TypeAlias = tuple[bytes, int]
"""A value and when it expires (0: never)."""


def expiry(ttl_s: int, now_s: int) -> int:
    """The second in which something written now with `ttl_s` expires; 0 for never. Raises InvalidRequest."""
    if ttl_s == 0:
        return 0
    if now_s + ttl_s > MAX_EXPIRY_S:
        raise InvalidRequest(f"a ttl of {ttl_s} seconds from now ends after second {MAX_EXPIRY_S}; use 0 for no end")
    return now_s + ttl_s


def encode_value(value: bytes, expires_at_s: int = 0) -> bytes:
    """`value` as the engine holds it; `expires_at_s` 0 means never."""
    if expires_at_s == 0:
        return value + _PLAIN
    return value + expires_at_s.to_bytes(_EXPIRY_LENGTH, "big") + _EXPIRES


def decode_value(stored: bytes) -> Live:
    """The value and its expiry, whether or not that has passed. Raises EngineCorrupt."""
    if stored.endswith(_PLAIN):
        return stored[:-1], 0
    if stored.endswith(_EXPIRES) and len(stored) > _EXPIRY_LENGTH:
        cut = len(stored) - _EXPIRY_LENGTH - 1
        return stored[:cut], int.from_bytes(stored[cut:-1], "big")
    raise EngineCorrupt(f"a raw value of {len(stored)} bytes ends in {stored[-1:].hex() or 'nothing'}, not in flags")


def has_expired(expires_at_s: int, now_s: int) -> bool:
    return 0 < expires_at_s <= now_s


def live_value(stored: bytes | None, now_s: int) -> bytes | None:
    """The user's value, or None if there is none (any more)."""
    if stored is None:
        return None
    value, expires_at_s = decode_value(stored)
    return None if has_expired(expires_at_s, now_s) else value
