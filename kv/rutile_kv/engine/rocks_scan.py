"""Range scans over a rocksdict family.

rocksdict's fast iterator (`items`) ends in silence where a block cannot be read. So whoever reads to the end of a scan
has that end checked: its slow iterator looks once for what follows the last key, and that one reports what it met.
"""

from collections.abc import Iterator
from typing import Any

import rocksdict

from rutile_kv.engine.rocks_errors import reraise


def scan(source: Any, start: bytes, end: bytes | None, *, reverse: bool) -> Iterator[tuple[bytes, bytes]]:
    """Pairs of [start, end) as of this call, in key order or backwards."""
    if reverse:
        return _pairs_to_start(source, source.items(backwards=True, from_key=end), start, end)
    options = None
    if end is not None:  # so that RocksDB need not step over deleted keys behind the end
        options = rocksdict.ReadOptions()
        options.set_iterate_upper_bound(end)
    return _pairs_to_end(source, options, source.items(from_key=start, read_opt=options), start)


def edge(family: Any, *, last: bool) -> bytes:
    """The first or last key of a family that is not empty."""
    return next(scan(family, b"", None, reverse=last))[0]


def _pairs_to_end(source: Any, options: Any, items: Any, start: bytes) -> Iterator[tuple[bytes, bytes]]:
    pair = None
    for pair in items:
        yield pair
    probe = source.iter(options)
    probe.seek(start if pair is None else pair[0] + b"\0")
    _check(probe)


def _pairs_to_start(source: Any, items: Any, start: bytes, end: bytes | None) -> Iterator[tuple[bytes, bytes]]:
    before = end
    for pair in items:
        before = pair[0]
        if before < start:
            return
        if end is None or before < end:
            yield pair
    probe = source.iter()
    if before is None:
        probe.seek_to_last()
    else:
        probe.seek_for_prev(before)
        if probe.valid() and probe.key() == before:
            probe.prev()
    _check(probe)


def _check(probe: Any) -> None:
    """Raise what keeps the slow iterator from going on where the fast one ended, if anything does."""
    try:
        probe.status()
    except Exception as error:
        reraise(error)
