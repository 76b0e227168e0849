"""Raw keys and values, without await."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from rutile.kv.async_raw import AsyncRaw
from rutile.kv.checks import Pair
from rutile_kv.client.loop_thread import LoopThread


class Raw:
    """`AsyncRaw` without await. Threads may share it."""

    def __init__(self, loop: LoopThread, raw: AsyncRaw) -> None:
        self._loop = loop
        self._raw = raw

    def get(self, key: bytes) -> bytes | None:
        """The value of `key`, or None. An empty value is a value."""
        return self._loop.run(self._raw.get(key))

    def put(self, key: bytes, value: bytes, ttl_s: int = 0) -> None:
        """Set `key`, for `ttl_s` seconds or, when that is 0, for good."""
        self._loop.run(self._raw.put(key, value, ttl_s))

    def delete(self, key: bytes) -> None:
        """Remove `key`, whether it exists or not."""
        self._loop.run(self._raw.delete(key))

    def ttl(self, key: bytes) -> int | None:
        """Seconds that `key` has to live: 0 when it has no end, None when it does not exist."""
        return self._loop.run(self._raw.ttl(key))

    def compare_and_swap(
        self, key: bytes, expected: bytes | None, value: bytes | None, ttl_s: int = 0
    ) -> tuple[bool, bytes | None]:
        """Set `key` to `value` (None: delete it) if it holds `expected` (None: if it does not exist); whether it did,
        and what was there. UndeterminedResult when the answer was lost."""
        return self._loop.run(self._raw.compare_and_swap(key, expected, value, ttl_s))

    def batch_get(self, keys: Iterable[bytes]) -> dict[bytes, bytes]:
        """The values of those of `keys` that exist, in key order."""
        return self._loop.run(self._raw.batch_get(keys))

    def batch_put(self, pairs: Mapping[bytes, bytes] | Iterable[Pair], ttl_s: int = 0) -> None:
        """Set all of `pairs`; of a key that comes twice, the last. Not atomic as a whole."""
        self._loop.run(self._raw.batch_put(pairs, ttl_s))

    def batch_delete(self, keys: Iterable[bytes]) -> None:
        """Remove all of `keys`. Not atomic as a whole."""
        self._loop.run(self._raw.batch_delete(keys))

    def scan(
        self,
        start: bytes = b"",
        end: bytes = b"",
        limit: int | None = None,
        *,
        reverse: bool = False,
        key_only: bool = False,
    ) -> list[Pair]:
        """The pairs of [start, end), at most `limit`; empty bounds are infinite."""
        return self._loop.run(self._raw.scan(start, end, limit, reverse=reverse, key_only=key_only))

    def iterate(
        self,
        start: bytes = b"",
        end: bytes = b"",
        limit: int | None = None,
        *,
        reverse: bool = False,
        key_only: bool = False,
    ) -> Iterator[Pair]:
        """The same pairs one by one, fetched in pages: for ranges that do not fit in memory."""
        return self._loop.iterate(self._raw.pages(start, end, limit, reverse=reverse, key_only=key_only))

    def delete_range(self, start: bytes, end: bytes) -> None:
        """Remove what is in [start, end); an empty end is infinite. Who reads meanwhile may see it half done."""
        self._loop.run(self._raw.delete_range(start, end))
