"""Encodings whose byte order is the order of the values, and the compact ones of TiKV's records (wire.md 7.2, 8).

    value                encoding                                                             length
    -------------------  -------------------------------------------------------------------  -----------------
    bytes                groups of 8, zero padded, each followed by 0xFF - padding;           9 * (len // 8 + 1)
                         the last group always has padding (a whole empty group if need be)
    int64                big-endian with the sign bit flipped                                 8
    uint64               big-endian                                                           8
    float64              IEEE bits: sign bit flipped if positive, all bits flipped if not     8
    decimal (unscaled)   128 bit big-endian with the sign bit flipped                         16
    descending form      bitwise NOT of the ascending one                                     the same
    uvarint, varint      seven bits a byte, low first; varint folds the sign in (zigzag)      1 to 10
    compact bytes        varint length, then the bytes                                        len + 1 to 10

The first group is self-delimiting or of fixed length, so encodings may be concatenated and still order by the first
difference. Decoders take a buffer and an offset and answer (value, next offset); they raise MalformedEncoding on
anything the encoder cannot have written.

The `_array` and `_fixed` forms do the same for n values at once with numpy: rows of a uint8 matrix.
"""

import math
import struct
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from rutile_proto.errors import MalformedEncoding

ByteMatrix: TypeAlias = npt.NDArray[np.uint8]
"""n rows of equally long byte strings."""

GROUP = 8
_FULL = 0xFF
_TAILS = tuple(bytes(GROUP - used) + bytes([_FULL - (GROUP - used)]) for used in range(GROUP))
_SIGN_64 = 1 << 63
_MASK_64 = (1 << 64) - 1
_SIGN_128 = 1 << 127
_MAX_UVARINT_BYTES = 10
_INVERT = bytes(255 - byte for byte in range(256))
_DOUBLE = struct.Struct(">d")


def invert(encoded: bytes) -> bytes:
    """The descending form of an ascending encoding, and back: every bit flipped."""
    return encoded.translate(_INVERT)


# --- byte strings -----------------------------------------------------------------------------------------------------


def encode_bytes(data: bytes) -> bytes:
    """The memcomparable form: self-delimiting, and ordered as `data` is."""
    whole = len(data) & ~(GROUP - 1)
    groups = [data[start : start + GROUP] for start in range(0, whole, GROUP)]
    groups.append(data[whole:] + _TAILS[len(data) - whole])
    return b"\xff".join(groups)


def decode_bytes(buffer: bytes, offset: int = 0) -> tuple[bytes, int]:
    """The string whose memcomparable form starts at `offset`, and the offset behind it."""
    markers = buffer[offset + GROUP :: GROUP + 1]
    last = offset + (len(markers) - len(markers.lstrip(b"\xff"))) * (GROUP + 1)
    end = last + GROUP + 1
    if end > len(buffer):
        raise MalformedEncoding(f"memcomparable bytes at {offset} end in the middle of a group")
    used = GROUP - (_FULL - buffer[end - 1])
    if used < 0 or buffer[last + used : end] != _TAILS[used]:
        raise MalformedEncoding(f"memcomparable bytes at {offset}: group at {last} has a wrong marker or padding")
    groups = [buffer[start : start + GROUP] for start in range(offset, last, GROUP + 1)]
    groups.append(buffer[last : last + used])
    return b"".join(groups), end


def encoded_bytes_length(length: int) -> int:
    """How long the memcomparable form of `length` bytes is."""
    return (length // GROUP + 1) * (GROUP + 1)


def encode_bytes_fixed(rows: ByteMatrix) -> ByteMatrix:
    """The memcomparable forms of n equally long strings: uint8[n, k] to uint8[n, encoded_bytes_length(k)]."""
    count, length = rows.shape
    groups = length // GROUP + 1
    out = np.zeros((count, groups, GROUP + 1), dtype=np.uint8)
    padded = np.zeros((count, groups * GROUP), dtype=np.uint8)
    padded[:, :length] = rows
    out[:, :, :GROUP] = padded.reshape(count, groups, GROUP)
    out[:, :-1, GROUP] = _FULL
    out[:, -1, GROUP] = _FULL - (groups * GROUP - length)
    return out.reshape(count, groups * (GROUP + 1))


def decode_bytes_fixed(encoded: ByteMatrix) -> ByteMatrix:
    """The reverse of `encode_bytes_fixed`. MalformedEncoding if the strings are not all of one length."""
    count, width = encoded.shape
    if width == 0 or width % (GROUP + 1) != 0:
        raise MalformedEncoding(f"{width} bytes are not a whole number of memcomparable groups")
    grouped = encoded.reshape(count, width // (GROUP + 1), GROUP + 1)
    if count == 0:
        return np.zeros((0, 0), dtype=np.uint8)
    used = GROUP - (_FULL - int(grouped[0, -1, GROUP]))
    tail = np.frombuffer(_TAILS[used] if 0 <= used < GROUP else b"", dtype=np.uint8)
    if not tail.size or (grouped[:, -1, used:] != tail).any() or (grouped[:, :-1, GROUP] != _FULL).any():
        raise MalformedEncoding("the rows are not memcomparable strings of one length")
    data = grouped[:, :, :GROUP].reshape(count, -1)
    return np.ascontiguousarray(data[:, : data.shape[1] - (GROUP - used)])


# --- numbers ----------------------------------------------------------------------------------------------------------


def _take(buffer: bytes, offset: int, length: int, what: str) -> bytes:
    piece = buffer[offset : offset + length]
    if len(piece) != length:
        raise MalformedEncoding(f"{what} at {offset} needs {length} bytes, {len(piece)} are left")
    return piece


def encode_uint64(value: int) -> bytes:
    """Eight bytes; OverflowError outside 0..2^64-1."""
    return value.to_bytes(8, "big")


def decode_uint64(buffer: bytes, offset: int = 0) -> tuple[int, int]:
    """(value, next offset)."""
    return int.from_bytes(_take(buffer, offset, 8, "uint64"), "big"), offset + 8


def encode_uint64_desc(value: int) -> bytes:
    """Eight bytes ordered from the largest value to the smallest: how versions of a key are kept, newest first."""
    return (value ^ _MASK_64).to_bytes(8, "big")


def decode_uint64_desc(buffer: bytes, offset: int = 0) -> tuple[int, int]:
    """(value, next offset)."""
    return int.from_bytes(_take(buffer, offset, 8, "uint64"), "big") ^ _MASK_64, offset + 8


def encode_int64(value: int) -> bytes:
    """Eight bytes; OverflowError outside -2^63..2^63-1."""
    return (value + _SIGN_64).to_bytes(8, "big")


def decode_int64(buffer: bytes, offset: int = 0) -> tuple[int, int]:
    """(value, next offset)."""
    return int.from_bytes(_take(buffer, offset, 8, "int64"), "big") - _SIGN_64, offset + 8


def encode_float64(value: float) -> bytes:
    """Eight bytes; -0.0 is written as 0.0, since they are equal. ValueError for NaN, which has no place in an order."""
    if math.isnan(value):
        raise ValueError("NaN has no place in an order")
    bits = int.from_bytes(_DOUBLE.pack(value), "big")
    return (bits | _SIGN_64 if value >= 0 else bits ^ _MASK_64).to_bytes(8, "big")


def decode_float64(buffer: bytes, offset: int = 0) -> tuple[float, int]:
    """(value, next offset)."""
    bits = int.from_bytes(_take(buffer, offset, 8, "float64"), "big")
    bits ^= _SIGN_64 if bits & _SIGN_64 else _MASK_64
    value: float = _DOUBLE.unpack(bits.to_bytes(8, "big"))[0]
    return value, offset + 8


def encode_decimal(unscaled: int) -> bytes:
    """Sixteen bytes for a decimal's digits as an integer; the scale is the column's. OverflowError over 128 bits."""
    return (unscaled + _SIGN_128).to_bytes(16, "big")


def decode_decimal(buffer: bytes, offset: int = 0) -> tuple[int, int]:
    """(unscaled value, next offset)."""
    return int.from_bytes(_take(buffer, offset, 16, "decimal"), "big") - _SIGN_128, offset + 16


def encode_int64_array(values: npt.NDArray[np.int64]) -> ByteMatrix:
    """`encode_int64` of n values: uint8[n, 8]."""
    flipped = values.astype(np.int64, copy=False).view(np.uint64) ^ np.uint64(_SIGN_64)
    return flipped.astype(">u8").view(np.uint8).reshape(-1, 8)


def decode_int64_array(encoded: ByteMatrix) -> npt.NDArray[np.int64]:
    """The reverse of `encode_int64_array`."""
    big = np.ascontiguousarray(encoded).view(">u8").reshape(-1)
    return (big.astype(np.uint64) ^ np.uint64(_SIGN_64)).view(np.int64)


# --- compact, unordered -----------------------------------------------------------------------------------------------


def encode_uvarint(value: int) -> bytes:
    """Seven bits a byte, low first; ValueError outside 0..2^64-1."""
    if not 0 <= value <= _MASK_64:
        raise ValueError(f"{value} does not fit an unsigned 64-bit varint")
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def decode_uvarint(buffer: bytes, offset: int = 0) -> tuple[int, int]:
    """(value, next offset)."""
    value = 0
    for position, byte in enumerate(buffer[offset : offset + _MAX_UVARINT_BYTES]):
        value |= (byte & 0x7F) << (7 * position)
        if byte < 0x80:
            if value > _MASK_64:
                break
            return value, offset + position + 1
    raise MalformedEncoding(f"varint at {offset} does not end, or is over 64 bits")


def encode_varint(value: int) -> bytes:
    """A signed 64-bit integer, its sign folded into the lowest bit."""
    return encode_uvarint(((value << 1) ^ (value >> 63)) if -_SIGN_64 <= value < _SIGN_64 else -1)


def decode_varint(buffer: bytes, offset: int = 0) -> tuple[int, int]:
    """(value, next offset)."""
    folded, end = decode_uvarint(buffer, offset)
    return (folded >> 1) ^ -(folded & 1), end


def encode_compact_bytes(data: bytes) -> bytes:
    """A varint length, then the bytes."""
    return encode_varint(len(data)) + data


def decode_compact_bytes(buffer: bytes, offset: int = 0) -> tuple[bytes, int]:
    """(bytes, next offset)."""
    length, start = decode_varint(buffer, offset)
    if length < 0:
        raise MalformedEncoding(f"compact bytes at {offset} have length {length}")
    return _take(buffer, start, length, "compact bytes"), start + length
