"""Bounds every request is held to before anything is done for it. All raise `InvalidRequest` naming field and bound."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rutile_proto import kvrpcpb_pb2 as kvrpcpb
from rutile_proto.codec import encoded_bytes_length
from rutile_proto.errors import InvalidRequest
from rutile_proto.keys import TS_LENGTH

MAX_KEY_BYTES = 8 * 1024
"""TiKV's default storage.max-key-size."""
MAX_VERSIONED_KEY_BYTES = encoded_bytes_length(MAX_KEY_BYTES) + TS_LENGTH
MAX_LOCK_SCAN = 10_240
"""Locks in one KvScanLock answer when the request sets no limit."""


def check_key(field: str, key: bytes) -> None:
    """A key that names a row: neither empty nor longer than MAX_KEY_BYTES."""
    if not key:
        raise InvalidRequest(f"{field} is empty: a key has at least one byte")
    check_bound(field, key)


def check_keys(field: str, keys: Sequence[bytes]) -> None:
    for key in keys:
        check_key(field, key)


def check_bound(field: str, key: bytes) -> None:
    """A range bound: may be empty (no bound)."""
    if len(key) > MAX_KEY_BYTES:
        raise InvalidRequest(f"{field} has {len(key)} bytes; the limit is {MAX_KEY_BYTES}")


def check_range(low: bytes, high: bytes) -> None:
    """[low, high) with empty for no bound; may be empty, may not be reversed."""
    check_bound("the range's start", low)
    check_bound("the range's end", high)
    if high and low > high:
        raise InvalidRequest(f"the range is reversed: its start {low.hex()} is above its end {high.hex()}")


def check_timestamp(field: str, timestamp: int) -> None:
    if timestamp == 0:
        raise InvalidRequest(f"{field} is 0: take a timestamp from PD")


def check_mutations(mutations: Iterable[kvrpcpb.Mutation], limit_bytes: int) -> None:
    """Keys are well formed, and all keys and values together fit one Raft entry of `limit_bytes`."""
    total_bytes = 0
    for mutation in mutations:
        check_key("mutation.key", mutation.key)
        total_bytes += len(mutation.key) + len(mutation.value)
    if total_bytes > limit_bytes:
        raise InvalidRequest(f"the mutations hold {total_bytes} bytes; the limit of one request is {limit_bytes}")


def check_encoded_key(field: str, key: bytes) -> None:
    """An engine key of a version: a storage key and a timestamp."""
    if not TS_LENGTH < len(key) <= MAX_VERSIONED_KEY_BYTES:
        raise InvalidRequest(
            f"{field}: a versioned key has {TS_LENGTH + 1} to {MAX_VERSIONED_KEY_BYTES} bytes, not {len(key)}"
        )
