"""Snapshots of the RocksDB engine: rocksdict's, mended.

rocksdict's snapshot answers `snapshot[key]` as of its moment, but its iterators forget the snapshot and show the
present (up to 0.3.29: it is set on a copy of the options). So a scan here reads the present, and puts right every key
that was written since: the engine tells each open snapshot the keys of a batch BEFORE it writes the batch, and a scan
looks at that list AFTER it made its iterator. Hence whatever new the iterator may show is in the list, and for the keys
of the list the old value is asked for. A scan costs what it costs without snapshots, plus one `get` for each key in
range that was written meanwhile. Of a table file that is taken over whole, its first and last key are told instead, and
every key found between them is asked for as it was.
"""

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from threading import Lock
from typing import Any, NoReturn, Self, TypeAlias

from rutile_kv.engine.api import Cf
from rutile_kv.engine.rocks_errors import reraise
from rutile_kv.engine.rocks_scan import scan
from rutile_proto.errors import EngineClosed

TouchedKeys: TypeAlias = Mapping[Cf, Sequence[bytes]]
"""The keys a batch writes, by family."""


class WhileOpen(dict[Cf, Any]):
    """Something per family; closing clears it, so that what is open pays nothing to find out that it is."""

    def __missing__(self, cf: Cf) -> NoReturn:
        raise EngineClosed("the engine or snapshot is closed")


class RocksSnapshot:
    """All families at one moment: taken in one go by the only writer's thread."""

    def __init__(self, families: Mapping[Cf, Any]) -> None:
        self._then = WhileOpen((cf, family.snapshot()) for cf, family in families.items())
        self._now = WhileOpen(families)
        self._later: list[TouchedKeys] = []
        self._files: dict[Cf, list[tuple[bytes, bytes]]] = {cf: [] for cf in families}
        """First and last key of the table files taken over since."""
        self._indexed: dict[Cf, _KeyIndex] = {cf: _KeyIndex() for cf in families}

    def note(self, touched: TouchedKeys) -> None:
        """Hear of the keys of a batch, before it is written."""
        if self._then:
            self._later.append(touched)

    def note_file(self, cf: Cf, first: bytes, last: bytes) -> None:
        """Hear of a table file, before it is taken over."""
        if self._then:
            self._files[cf].append((first, last))

    def get(self, cf: Cf, key: bytes) -> bytes | None:
        try:
            value: bytes = self._then[cf][key]
        except Exception as error:
            if str(error) == "key not found":
                return None
            reraise(error)
        return value

    def scan(self, cf: Cf, start: bytes, end: bytes | None, *, reverse: bool = False) -> Iterator[tuple[bytes, bytes]]:
        pairs = scan(self._now[cf], start, end, reverse=reverse)
        ranges = [(first, last) for first, last in self._files[cf] if last >= start and (end is None or first < end)]
        touched = self._indexed[cf].between(cf, self._later, start, end)
        if ranges:
            pairs = self._without_files(cf, pairs, ranges)
        return self._as_of_then(cf, pairs, touched, reverse) if touched else pairs

    def _without_files(
        self, cf: Cf, pairs: Iterator[tuple[bytes, bytes]], ranges: list[tuple[bytes, bytes]]
    ) -> Iterator[tuple[bytes, bytes]]:
        """`pairs`, each that a file may have brought as it was before. A file takes nothing away."""
        for key, value in pairs:
            if not any(first <= key <= last for first, last in ranges):
                yield key, value
            elif (before := self.get(cf, key)) is not None:
                yield key, before

    def _as_of_then(
        self, cf: Cf, pairs: Iterator[tuple[bytes, bytes]], touched: list[bytes], reverse: bool
    ) -> Iterator[tuple[bytes, bytes]]:
        """`pairs` with the touched keys, in key order, replaced by what they were."""
        restored = [(key, value) for key in touched if (value := self.get(cf, key)) is not None]
        if reverse:
            restored.reverse()
        return _merged(pairs, frozenset(touched), restored, reverse)

    def close(self) -> None:
        self._then.clear()
        self._now.clear()
        self._later = []
        self._files.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


class _KeyIndex:
    """The touched keys of one family in order, brought up to date when it is asked; for any thread."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._batches = 0
        self._seen: set[bytes] = set()
        self._keys: list[bytes] = []

    def between(self, cf: Cf, batches: list[TouchedKeys], start: bytes, end: bytes | None) -> list[bytes]:
        """Touched keys of [start, end) in order."""
        if not batches:
            return []
        with self._lock:
            self._catch_up(cf, batches)
            high = len(self._keys) if end is None else bisect_left(self._keys, end)
            return self._keys[bisect_left(self._keys, start) : high]

    def _catch_up(self, cf: Cf, batches: list[TouchedKeys]) -> None:
        unread = batches[self._batches :]
        self._batches += len(unread)
        fresh = {key for batch in unread for key in batch.get(cf, ())} - self._seen
        if fresh:
            self._seen |= fresh
            self._keys.extend(fresh)
            self._keys.sort()


def _merged(
    pairs: Iterator[tuple[bytes, bytes]],
    touched: frozenset[bytes],
    restored: list[tuple[bytes, bytes]],
    reverse: bool,
) -> Iterator[tuple[bytes, bytes]]:
    """`pairs` without the touched keys, merged with `restored`; both in scan order."""
    position = 0
    for pair in pairs:
        key = pair[0]
        if key in touched:
            continue
        while position < len(restored) and (restored[position][0] < key) is not reverse:
            yield restored[position]
            position += 1
        yield pair
    yield from restored[position:]
