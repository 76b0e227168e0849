"""Raw keys and values, with await."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping

from rutile.kv.checks import Pair, check_bytes, check_keys, check_pairs
from rutile_kv.client.raw import RawClient


class AsyncRaw:
    """Single operations, each atomic by itself; no transactions, no versions.

    Gets, puts and deletes that are under way together share round trips: for throughput, have many of them at once.
    """

    def __init__(self, raw: RawClient) -> None:
        self._raw = raw

    async def get(self, key: bytes) -> bytes | None:
        """The value of `key`, or None. An empty value is a value."""
        return await self._raw.get(check_bytes("key", key))

    async def put(self, key: bytes, value: bytes, ttl_s: int = 0) -> None:
        """Set `key`, for `ttl_s` seconds or, when that is 0, for good."""
        await self._raw.put(check_bytes("key", key), check_bytes("value", value), ttl_s)

    async def delete(self, key: bytes) -> None:
        """Remove `key`, whether it exists or not."""
        await self._raw.delete(check_bytes("key", key))

    async def ttl(self, key: bytes) -> int | None:
        """Seconds that `key` has to live: 0 when it has no end, None when it does not exist."""
        return await self._raw.get_key_ttl(check_bytes("key", key))

    async def compare_and_swap(
        self, key: bytes, expected: bytes | None, value: bytes | None, ttl_s: int = 0
    ) -> tuple[bool, bytes | None]:
        """Set `key` to `value` (None: delete it) if it holds `expected` (None: if it does not exist).

        Returns whether it did, and what `key` held before. UndeterminedResult when the answer was lost on the way.
        """
        for each in (expected, value):
            if each is not None:
                check_bytes("value", each)
        return await self._raw.compare_and_swap(check_bytes("key", key), expected, value, ttl_s)

    async def batch_get(self, keys: Iterable[bytes]) -> dict[bytes, bytes]:
        """The values of those of `keys` that exist, in key order."""
        return await self._raw.batch_get(check_keys(keys))

    async def batch_put(self, pairs: Mapping[bytes, bytes] | Iterable[Pair], ttl_s: int = 0) -> None:
        """Set all of `pairs`; of a key that comes twice, the last. Not atomic as a whole; transactions are."""
        await self._raw.batch_put(check_pairs(pairs), ttl_s)

    async def batch_delete(self, keys: Iterable[bytes]) -> None:
        """Remove all of `keys`. Not atomic as a whole."""
        await self._raw.batch_delete(check_keys(keys))

    async def scan(
        self,
        start: bytes = b"",
        end: bytes = b"",
        limit: int | None = None,
        *,
        reverse: bool = False,
        key_only: bool = False,
    ) -> list[Pair]:
        """The pairs of [start, end) in key order, or from the upper end down when `reverse`; at most `limit`.

        Empty bounds are infinite. With `key_only` the values are empty.
        """
        check_keys((start, end))
        return await self._raw.scan(start, end, limit, reverse=reverse, key_only=key_only)

    def pages(
        self,
        start: bytes = b"",
        end: bytes = b"",
        limit: int | None = None,
        *,
        reverse: bool = False,
        key_only: bool = False,
    ) -> AsyncIterator[list[Pair]]:
        """The same pairs in pages of bounded length, fetched as they are asked for."""
        check_keys((start, end))
        return self._raw.pages(start, end, limit, reverse=reverse, key_only=key_only)

    async def delete_range(self, start: bytes, end: bytes) -> None:
        """Remove what is in [start, end); an empty end is infinite. Who reads meanwhile may see it half done."""
        check_keys((start, end))
        await self._raw.delete_range(start, end)
