"""The key map: what lies where in the one ordered key space.

User keys (what KV requests carry):

    key                                             holds
    ----------------------------------------------  -------------------------------------------------------------
    m | part | part ...                             meta: the catalog, counters, jobs. A part is 0x01 | bytes
                                                    (memcomparable) or 0x03 | int64, so parts order and nest
    t | int64 table | _r | handle                   a row. The handle is its primary key: int64, or encoded columns
    t | int64 table | _i | int64 index | columns    an index entry; a non-unique one ends with the handle

Storage keys (what region boundaries, PD and the engine's lock family use): the memcomparable form of a user key.
Versioned keys (the families default and write): storage key | big-endian NOT timestamp, so newer versions come first.

An empty boundary means minus or plus infinity; it is never encoded. Sources: wire.md 7.2 and 8; TiDB's key layout.
"""

from functools import lru_cache

import numpy as np
import numpy.typing as npt

from rutile_proto.codec import (
    ByteMatrix,
    decode_bytes,
    decode_int64,
    decode_uint64_desc,
    encode_bytes,
    encode_int64,
    encode_int64_array,
    encode_uint64_desc,
)
from rutile_proto.errors import MalformedEncoding

TABLE_PREFIX = b"t"
META_PREFIX = b"m"
RECORD_MARK = b"_r"
INDEX_MARK = b"_i"
TABLE_PREFIX_LENGTH = 9
RECORD_PREFIX_LENGTH = 11
"""`t`, the table id, `_r`; the handle follows."""
INT_RECORD_KEY_LENGTH = 19
TS_LENGTH = 8
_FLAG_BYTES = b"\x01"
_FLAG_INT = b"\x03"


# --- user keys --------------------------------------------------------------------------------------------------------


def table_prefix(table_id: int) -> bytes:
    """What every key of a table starts with."""
    return TABLE_PREFIX + encode_int64(table_id)


def record_prefix(table_id: int) -> bytes:
    """What every row key of a table starts with."""
    return table_prefix(table_id) + RECORD_MARK


def record_key(table_id: int, handle: bytes) -> bytes:
    """The key of a row."""
    return record_prefix(table_id) + handle


def int_handle(value: int) -> bytes:
    """The handle of a row whose primary key is one integer: 8 bytes."""
    return encode_int64(value)


def table_range(table_id: int) -> tuple[bytes, bytes]:
    """[start, end) of a table's rows."""
    prefix = record_prefix(table_id)
    return prefix, prefix_next(prefix)


def decode_record_key(key: bytes) -> tuple[int, bytes]:
    """(table id, handle) of a row key; MalformedEncoding if it is none."""
    if key[:1] != TABLE_PREFIX or key[TABLE_PREFIX_LENGTH:RECORD_PREFIX_LENGTH] != RECORD_MARK:
        raise MalformedEncoding(f"{key.hex()} is not a row key")
    return decode_int64(key, 1)[0], key[RECORD_PREFIX_LENGTH:]


def record_keys(table_id: int, handles: npt.NDArray[np.int64]) -> ByteMatrix:
    """`record_key` of n integer handles: uint8[n, 19]."""
    keys = np.empty((len(handles), INT_RECORD_KEY_LENGTH), dtype=np.uint8)
    keys[:, :RECORD_PREFIX_LENGTH] = np.frombuffer(record_prefix(table_id), dtype=np.uint8)
    keys[:, RECORD_PREFIX_LENGTH:] = encode_int64_array(handles)
    return keys


def index_prefix(table_id: int, index_id: int) -> bytes:
    """What every entry of an index starts with."""
    return table_prefix(table_id) + INDEX_MARK + encode_int64(index_id)


def index_key(table_id: int, index_id: int, encoded_columns: bytes, handle: bytes = b"") -> bytes:
    """The key of an index entry; a unique index without NULLs leaves the handle to the value."""
    return index_prefix(table_id, index_id) + encoded_columns + handle


def index_range(table_id: int, index_id: int) -> tuple[bytes, bytes]:
    """[start, end) of an index."""
    prefix = index_prefix(table_id, index_id)
    return prefix, prefix_next(prefix)


def meta_key(*parts: bytes | str | int) -> bytes:
    """The meta key of a path of parts; the key of a shorter path is a prefix of the keys below it."""
    return META_PREFIX + b"".join(_meta_part(part) for part in parts)


def _meta_part(part: bytes | str | int) -> bytes:
    if isinstance(part, int):
        return _FLAG_INT + encode_int64(part)
    return _FLAG_BYTES + encode_bytes(part.encode() if isinstance(part, str) else part)


def prefix_next(prefix: bytes) -> bytes:
    """The least key above every key that starts with `prefix`; empty (infinity) if there is none."""
    stem = prefix.rstrip(b"\xff")
    return stem[:-1] + bytes([stem[-1] + 1]) if stem else b""


# --- engine keys ------------------------------------------------------------------------------------------------------


_REMEMBERED_KEYS = 1024
_remembered = lru_cache(_REMEMBERED_KEYS)(encode_bytes)
"""A request asks for the storage form of one key again and again: for its region, its lock, its versions."""


def storage_key(user_key: bytes) -> bytes:
    """The form in which regions and the engine know a user key. Not for boundaries that mean infinity."""
    return _remembered(user_key)


def storage_bound(user_bound: bytes) -> bytes:
    """A range boundary in storage form: infinity (empty) stays empty."""
    return encode_bytes(user_bound) if user_bound else b""


def user_key(storage: bytes) -> bytes:
    """The user key of a storage key; MalformedEncoding if it is none."""
    key, end = decode_bytes(storage)
    if end != len(storage):
        raise MalformedEncoding(f"{len(storage) - end} bytes follow the storage key {storage[:end].hex()}")
    return key


def user_bound(storage: bytes) -> bytes:
    """A region boundary as a user key: infinity (empty) stays empty."""
    return user_key(storage) if storage else b""


def versioned_key(storage: bytes, ts: int) -> bytes:
    """The engine key of one version."""
    return storage + encode_uint64_desc(ts)


def split_versioned(key: bytes) -> tuple[bytes, int]:
    """(storage key, timestamp) of a versioned key; MalformedEncoding if it is too short to be one."""
    if len(key) < TS_LENGTH:
        raise MalformedEncoding(f"{key.hex()} is too short for a versioned key")
    return key[:-TS_LENGTH], decode_uint64_desc(key, len(key) - TS_LENGTH)[0]
