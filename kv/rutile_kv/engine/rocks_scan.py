"""Range scans over a rocksdict family or snapshot."""

from collections.abc import Iterable, Iterator
from typing import Any

import rocksdict

from rutile_kv.engine.rocks_errors import translated

# --- scans ---


def scan(family: Any, start: bytes, end: bytes | None, reverse: bool) -> Iterator[tuple[bytes, bytes]]:
    """Pairs of [start, end) of a family or of its snapshot, as of this call."""
    options = rocksdict.ReadOptions()
    if end is not None:
        options.set_iterate_upper_bound(end)
    if reverse:
        return _until(family.items(backwards=True, read_opt=options), start)
    return _guarded(family.items(from_key=start, read_opt=options))


def _guarded(items: Iterable[tuple[bytes, bytes]]) -> Iterator[tuple[bytes, bytes]]:
    try:
        yield from items
    except Exception as error:
        raise translated(error) from error


def _until(items: Iterable[tuple[bytes, bytes]], start: bytes) -> Iterator[tuple[bytes, bytes]]:
    for pair in _guarded(items):
        if pair[0] < start:
            return
        yield pair


def edge(family: Any, *, last: bool) -> bytes:
    """The first or last key of a family that is not empty."""
    return next(scan(family, b"", None, last))[0]
