"""A map in key order that stays cheap when it holds a million keys.

One sorted list costs a move of half of it for each insertion; here it is cut into chunks of at most a thousand keys,
and the first key of each chunk is in a list of its own. So every operation is two binary searches and a move of a few
kilobytes, and a step to the next key is a step in a list.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from itertools import chain
from typing import Generic, TypeVar

V = TypeVar("V")

MAX_CHUNK = 1024
"""A chunk that grows over this is cut in halves; one that gets empty goes."""


class OrderedMap(Generic[V]):
    """bytes -> V. Invariant: chunks are not empty, in order, and `_firsts` has the first key of each."""

    def __init__(self) -> None:
        self._firsts: list[bytes] = []
        self._keys: list[list[bytes]] = []
        self._values: list[list[V]] = []
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[V]:
        """All values in key order; the map must not change meanwhile."""
        return chain.from_iterable(self._values)

    def put(self, key: bytes, value: V) -> None:
        """Set the value of a key."""
        if not self._firsts:
            self._firsts, self._keys, self._values, self._size = [key], [[key]], [[value]], 1
            return
        chunk = max(0, bisect_right(self._firsts, key) - 1)
        keys, values = self._keys[chunk], self._values[chunk]
        place = bisect_left(keys, key)
        if place < len(keys) and keys[place] == key:
            values[place] = value
            return
        keys.insert(place, key)
        values.insert(place, value)
        self._size += 1
        self._firsts[chunk] = keys[0]
        if len(keys) > MAX_CHUNK:
            self._halve(chunk)

    def _halve(self, chunk: int) -> None:
        keys, values = self._keys[chunk], self._values[chunk]
        middle = len(keys) // 2
        self._keys[chunk : chunk + 1] = [keys[:middle], keys[middle:]]
        self._values[chunk : chunk + 1] = [values[:middle], values[middle:]]
        self._firsts.insert(chunk + 1, keys[middle])

    def delete(self, key: bytes) -> None:
        """Remove a key; KeyError if it is not there."""
        chunk = max(0, bisect_right(self._firsts, key) - 1)
        keys = self._keys[chunk] if self._keys else []
        place = bisect_left(keys, key)
        if place >= len(keys) or keys[place] != key:
            raise KeyError(key)
        del keys[place], self._values[chunk][place]
        self._size -= 1
        if keys:
            self._firsts[chunk] = keys[0]
        else:
            del self._firsts[chunk], self._keys[chunk], self._values[chunk]

    def at_or_before(self, key: bytes) -> V | None:
        """The value of the greatest key that is not above `key`."""
        chunk = bisect_right(self._firsts, key) - 1
        return self._values[chunk][bisect_right(self._keys[chunk], key) - 1] if chunk >= 0 else None

    def before(self, key: bytes) -> V | None:
        """The value of the greatest key below `key`."""
        chunk = bisect_left(self._firsts, key) - 1
        return self._values[chunk][bisect_left(self._keys[chunk], key) - 1] if chunk >= 0 else None

    def from_key(self, key: bytes) -> Iterator[V]:
        """Values of the keys at or above `key`, in order; the map must not change meanwhile."""
        if not self._firsts:
            return
        chunk = max(0, bisect_right(self._firsts, key) - 1)
        yield from self._values[chunk][bisect_left(self._keys[chunk], key) :]
        for values in self._values[chunk + 1 :]:
            yield from values
