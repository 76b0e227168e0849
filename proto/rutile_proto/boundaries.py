"""Where a region can begin.

Transactional clients decode the boundaries of regions, so every boundary must be a valid memcomparable encoding
(docs/decisions/raw-keys.md): 8 bytes, a marker, and so on. Between two raw keys that differ in their first 8 bytes
there is always such a boundary, between others as good as never.
"""

from collections.abc import Iterable

from rutile_proto.codec import decode_bytes, encode_bytes
from rutile_proto.errors import InvalidRequest, MalformedEncoding

_GROUP = 8


def is_boundary(key: bytes) -> bool:
    """Whether `key` is the memcomparable encoding of something, and nothing else behind it."""
    try:
        return decode_bytes(key)[1] == len(key)
    except MalformedEncoding:
        return False


def boundary_before(key: bytes) -> bytes:
    """The boundary nearest to the raw `key` that leaves `key`, and all keys with its first 8 bytes, to its right.

    A key that is a boundary already stays as it is. Raises InvalidRequest for a key with nothing below it.
    """
    if is_boundary(key):
        return key
    group = int.from_bytes(key[:_GROUP].ljust(_GROUP, b"\0"), "big")
    if group == 0:
        raise InvalidRequest(f"no region can begin at raw key {key.hex()}: its first {_GROUP} bytes are zeros")
    return encode_bytes((group - 1).to_bytes(_GROUP, "big"))


def boundaries_before(keys: Iterable[bytes]) -> list[bytes]:
    """The boundaries nearest to raw `keys`, rising, each once: keys that no boundary separates share one."""
    return sorted({boundary_before(key) for key in keys})
