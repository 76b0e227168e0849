"""The values in the families lock and write, in TiKV's encoding (wire.md 8).

    lock    kind | primary (compact bytes) | start_ts | ttl | then, where not empty:
            v len short_value   f for_update_ts   t txn_size   c min_commit_ts   a n secondaries...   r n rollback_ts...
    write   kind | start_ts | then, where not empty:
            v len short_value   R (overlapped rollback)

Tags are single letters; start_ts, ttl and counts are varints, other numbers eight bytes. Tags of TiKV's that stand for
nothing here (gc fence, last change, transaction source, generation) are skipped when read.
"""

from collections.abc import Mapping
from enum import IntEnum
from functools import lru_cache
from typing import Any, TypeAlias

from rutile_proto.codec import (
    decode_compact_bytes,
    decode_uint64,
    decode_uvarint,
    encode_compact_bytes,
    encode_uint64,
    encode_uvarint,
)
from rutile_proto.errors import LockFacts, MalformedEncoding
from rutile_proto.values import valueclass

SHORT_VALUE_LIMIT_BYTES = 255
"""Values up to this long stand in the lock and write records themselves."""
PROTECTED_ROLLBACK = b"p"
"""The short value that marks a rollback record as one to keep."""


class LockKind(IntEnum):
    """What the owner is about to do; the number is the byte in the record."""

    PUT = ord("P")
    DELETE = ord("D")
    LOCK = ord("L")
    PESSIMISTIC = ord("S")


class WriteKind(IntEnum):
    """What was done; the number is the byte in the record."""

    PUT = ord("P")
    DELETE = ord("D")
    LOCK = ord("L")
    ROLLBACK = ord("R")


_OP_OF_LOCK = {LockKind.PUT: 0, LockKind.DELETE: 1, LockKind.LOCK: 2, LockKind.PESSIMISTIC: 5}
_WRITE_OF_LOCK = {LockKind.PUT: WriteKind.PUT, LockKind.DELETE: WriteKind.DELETE, LockKind.LOCK: WriteKind.LOCK}
_Fields: TypeAlias = dict[str, Any]


@valueclass
class Lock:
    """A transaction's claim on a key."""

    kind: LockKind
    primary: bytes
    """The user key whose record decides about the whole transaction."""
    start_ts: int
    ttl_ms: int
    short_value: bytes | None = None
    for_update_ts: int = 0
    """Above 0 for pessimistic transactions: the newest commit they have seen of this key is older than this."""
    txn_size: int = 0
    """How many keys the transaction has in this region, about."""
    min_commit_ts: int = 0
    """Commits below it are refused. Readers above start_ts push it instead of waiting."""
    use_async_commit: bool = False
    secondaries: tuple[bytes, ...] = ()
    """On the primary of an async commit: all other keys of the transaction."""
    rollback_ts: tuple[int, ...] = ()
    """Other transactions that were rolled back on this key at a timestamp this one may yet be committed at."""

    def to_bytes(self) -> bytes:
        parts = [_lock_head(self.kind, self.primary, self.start_ts, self.ttl_ms)]
        if self.short_value is not None:
            parts.append(_tagged_value(self.short_value))
        parts.append(_lock_numbers(self.for_update_ts, self.txn_size, self.min_commit_ts))
        if self.use_async_commit:
            parts += [b"a", encode_uvarint(len(self.secondaries)), *map(encode_compact_bytes, self.secondaries)]
        if self.rollback_ts:
            parts += [b"r", encode_uvarint(len(self.rollback_ts)), *map(encode_uint64, self.rollback_ts)]
        return b"".join(parts)

    @classmethod
    def from_bytes(cls, data: bytes) -> "Lock":
        """The lock in a record; MalformedEncoding if it is none."""
        primary, at = decode_compact_bytes(data, 1)
        start_ts, at = decode_uvarint(data, at)
        ttl_ms, at = decode_uvarint(data, at)
        fields: _Fields = {}
        _read_tags(data, at, _LOCK_TAGS, fields)
        return cls(_kind(LockKind, data), primary, start_ts, ttl_ms, **fields)

    def facts(self, user_key: bytes) -> LockFacts:
        """What others are told of this lock."""
        return LockFacts(
            key=user_key,
            primary=self.primary,
            start_ts=self.start_ts,
            ttl_ms=self.ttl_ms,
            lock_type=_OP_OF_LOCK[self.kind],
            txn_size=self.txn_size,
            for_update_ts=self.for_update_ts,
            min_commit_ts=self.min_commit_ts,
            use_async_commit=self.use_async_commit,
            secondaries=self.secondaries,
        )

    def write_kind(self) -> WriteKind:
        """What committing this lock writes; KeyError for a pessimistic lock, which cannot be committed."""
        return _WRITE_OF_LOCK[self.kind]


@valueclass
class Write:
    """What became of a transaction on a key. Its commit_ts (or, for a rollback, start_ts) is in the record's key."""

    kind: WriteKind
    start_ts: int
    short_value: bytes | None = None
    overlapped_rollback: bool = False
    """A transaction whose start_ts is this record's commit_ts was rolled back here."""

    @classmethod
    def rollback(cls, start_ts: int, *, protected: bool) -> "Write":
        return cls(WriteKind.ROLLBACK, start_ts, PROTECTED_ROLLBACK if protected else None)

    @property
    def is_protected(self) -> bool:
        """Whether this is a rollback that must be kept."""
        return self.kind is WriteKind.ROLLBACK and self.short_value == PROTECTED_ROLLBACK

    def to_bytes(self) -> bytes:
        value = b"" if self.short_value is None else _tagged_value(self.short_value)
        flag = b"R" if self.overlapped_rollback else b""
        return _write_head(self.kind, self.start_ts) + value + flag

    @classmethod
    def from_bytes(cls, data: bytes) -> "Write":
        """The write in a record; MalformedEncoding if it is none."""
        start_ts, at = decode_uvarint(data, 1)
        rest = len(data) - at
        if rest > 1 and data[at] == _VALUE_TAG and data[at + 1] == rest - 2 and data[0] == WriteKind.PUT:
            return cls(WriteKind.PUT, start_ts, data[at + 2 :])  # a row's record, which most of all are
        fields: _Fields = {}
        if at < len(data):
            _read_tags(data, at, _WRITE_TAGS, fields)
        return cls(_kind(WriteKind, data), start_ts, **fields)


# What the records of one transaction have in common is put into bytes once, not for each of its keys.


@lru_cache(maxsize=256)
def _lock_head(kind: int, primary: bytes, start_ts: int, ttl_ms: int) -> bytes:
    return bytes([kind]) + encode_compact_bytes(primary) + encode_uvarint(start_ts) + encode_uvarint(ttl_ms)


@lru_cache(maxsize=256)
def _lock_numbers(for_update_ts: int, txn_size: int, min_commit_ts: int) -> bytes:
    numbers = ((b"f", for_update_ts), (b"t", txn_size), (b"c", min_commit_ts))
    return b"".join([tag + encode_uint64(number) for tag, number in numbers if number])


@lru_cache(maxsize=256)
def _write_head(kind: int, start_ts: int) -> bytes:
    return bytes([kind]) + encode_uvarint(start_ts)


_VALUE_TAG = ord("v")


# --- tags -------------------------------------------------------------------------------------------------------------


def _tagged_value(value: bytes) -> bytes:
    return b"v" + bytes([len(value)]) + value


def _kind(kinds: Any, data: bytes) -> Any:
    try:
        return kinds(data[0])
    except (ValueError, IndexError) as error:
        raise MalformedEncoding(f"{data.hex()} is no {kinds.__name__} record") from error


def _read_tags(data: bytes, at: int, tags: Mapping[int, Any], fields: _Fields) -> None:
    while at < len(data):
        read = tags.get(data[at])
        if read is None:
            raise MalformedEncoding(f"unknown tag {data[at]:#x} at {at} of record {data.hex()}")
        at = read(data, at + 1, fields)


def _read_short_value(data: bytes, at: int, fields: _Fields) -> int:
    length = data[at] if at < len(data) else 0
    end = at + 1 + length
    if end > len(data):
        raise MalformedEncoding(f"short value at {at} of record {data.hex()} is cut off")
    fields["short_value"] = data[at + 1 : end]
    return end


def _number(name: str) -> Any:
    def read(data: bytes, at: int, fields: _Fields) -> int:
        fields[name], at = decode_uint64(data, at)
        return at

    return read


def _read_secondaries(data: bytes, at: int, fields: _Fields) -> int:
    count, at = decode_uvarint(data, at)
    keys = []
    for _ in range(count):
        key, at = decode_compact_bytes(data, at)
        keys.append(key)
    fields.update(use_async_commit=True, secondaries=tuple(keys))
    return at


def _read_rollbacks(data: bytes, at: int, fields: _Fields) -> int:
    count, at = decode_uvarint(data, at)
    timestamps = []
    for _ in range(count):
        ts, at = decode_uint64(data, at)
        timestamps.append(ts)
    fields["rollback_ts"] = tuple(timestamps)
    return at


def _read_overlapped(data: bytes, at: int, fields: _Fields) -> int:
    fields["overlapped_rollback"] = True
    return at


def _skip_number(data: bytes, at: int, fields: _Fields) -> int:
    return decode_uint64(data, at)[1]


def _skip_varint(data: bytes, at: int, fields: _Fields) -> int:
    return decode_uvarint(data, at)[1]


def _skip_last_change(data: bytes, at: int, fields: _Fields) -> int:
    return decode_uvarint(data, decode_uint64(data, at)[1])[1]


def _skip_flag(data: bytes, at: int, fields: _Fields) -> int:
    return at


_LOCK_TAGS = {
    ord("v"): _read_short_value,
    ord("f"): _number("for_update_ts"),
    ord("t"): _number("txn_size"),
    ord("c"): _number("min_commit_ts"),
    ord("a"): _read_secondaries,
    ord("r"): _read_rollbacks,
    ord("l"): _skip_last_change,
    ord("s"): _skip_varint,
    ord("F"): _skip_flag,
    ord("g"): _skip_number,
}
_WRITE_TAGS = {
    ord("v"): _read_short_value,
    ord("R"): _read_overlapped,
    ord("F"): _skip_number,
    ord("l"): _skip_last_change,
    ord("S"): _skip_varint,
}
