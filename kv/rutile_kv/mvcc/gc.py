"""Garbage: versions that no reader at or above the safe point can see.

    of one key, newest first      at safe point 10
    14 PUT                        newer than the safe point: kept, whatever it is
    9  LOCK                       says nothing of the value: goes
    7  PUT                        what a reader at 10 sees: kept
    5  PUT, 3 DELETE, 2 ROLLBACK  behind it: go

Had the record at 7 been a DELETE, it would go too: a reader sees nothing either way. But only once everything behind
it is gone, or an older PUT would come to light again. Rollbacks go because no transaction that old may still write.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from rutile_kv.engine.api import CF_WRITE, Reader
from rutile_kv.mvcc.records import Write, WriteKind
from rutile_proto.codec import decode_uint64_desc, encode_uint64_desc
from rutile_proto.keys import TS_LENGTH, user_key


@dataclass(frozen=True, slots=True)
class Garbage:
    """Records of one key that can go, together or not at all."""

    records: tuple[tuple[int, Write], ...]
    """(commit_ts, record), in any order."""
    is_all: bool
    """False: the limit cut it off; there is more once these are gone."""


def garbage(records: Iterable[tuple[int, Write]], safe_point: int, limit: int) -> Garbage:
    """What can go of a key's `records` (commit_ts, record), given newest first; at most `limit` of them, at least 1."""
    found: list[tuple[int, Write]] = []
    newest: WriteKind | None = None
    marker: tuple[tuple[int, Write], ...] = ()
    for commit_ts, write in records:
        if commit_ts > safe_point:
            continue
        if newest is None and write.kind in (WriteKind.PUT, WriteKind.DELETE):
            newest = write.kind
            marker = ((commit_ts, write),) if newest is WriteKind.DELETE else ()
        elif len(found) == limit:
            return Garbage(tuple(found), False)
        else:
            found.append((commit_ts, write))
    return Garbage((*found, *marker), True)


@dataclass(frozen=True, slots=True)
class GarbagePage:
    """A stretch of the family write, looked through."""

    keys: list[bytes]
    """User keys that have garbage."""
    next_start: bytes | None
    """The storage key to go on from; None at the end."""
    newest_ts: int
    """The largest commit_ts seen, 0 if there was none."""


def find_garbage(reader: Reader, start: bytes, end: bytes | None, safe_point: int, max_records: int) -> GarbagePage:
    """Look through about `max_records` records from `start` on (storage keys; at least one whole key).

    A key has garbage when, at or below the safe point, it has anything but a single PUT.
    """
    newest = encode_uint64_desc(safe_point)
    keys: list[bytes] = []
    current, has_put, found, youngest = b"", False, False, b"\xff" * TS_LENGTH
    for seen, (version, data) in enumerate(reader.scan(CF_WRITE, start, end)):
        storage = version[:-TS_LENGTH]
        if storage != current:
            if seen >= max_records:
                return GarbagePage(keys, storage, decode_uint64_desc(youngest)[0])
            current, has_put, found = storage, False, False
            youngest = min(youngest, version[-TS_LENGTH:])  # the first version of a key is its newest
        if not found and version[-TS_LENGTH:] >= newest:
            found = has_put or data[0] != WriteKind.PUT
            has_put = True
            if found:
                keys.append(user_key(storage))
    return GarbagePage(keys, None, decode_uint64_desc(youngest)[0])
