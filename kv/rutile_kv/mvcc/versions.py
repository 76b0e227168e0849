"""Choosing, from the records of the family write, the one of each key that a reader at a timestamp sees."""

from collections.abc import Iterable, Iterator

from rutile_kv.mvcc.records import WriteKind
from rutile_proto.keys import TS_LENGTH

NO_DATA = (WriteKind.LOCK, WriteKind.ROLLBACK)
"""Kinds of records that say nothing about a key's value."""


def newest_first(pairs: Iterable[tuple[bytes, bytes]], newest: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Of versions in key order, newest first: the first of each key that holds data and is not above `newest`."""
    done = b""
    for version, data in pairs:
        if version[:-TS_LENGTH] != done and version[-TS_LENGTH:] >= newest and data[0] not in NO_DATA:
            done = version[:-TS_LENGTH]
            yield version, data


def oldest_first(pairs: Iterable[tuple[bytes, bytes]], newest: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The same of versions in backward order, where the oldest version of a key comes first."""
    best: tuple[bytes, bytes] | None = None
    for version, data in pairs:
        if version[-TS_LENGTH:] < newest or data[0] in NO_DATA:
            continue
        if best is not None and best[0][:-TS_LENGTH] != version[:-TS_LENGTH]:
            yield best
        best = (version, data)
    if best is not None:
        yield best
