"""The raw client for plain threads: the same methods without await."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from rutile_kv.client.key_ranges import KeyRange
from rutile_kv.client.loop_thread import LoopThread
from rutile_kv.client.raw import Pair, RangeChecksum, RawClient
from rutile_kv.client.sync_watch import SyncWatch
from rutile_kv.client.watch_raw import RawItem


class SyncRawClient:
    """`RawClient` without await.

    >>> client.raw.put(b"session/7", b"alice", ttl_s=3600)
    >>> client.raw.get(b"session/7")
    b'alice'
    """

    def __init__(self, loop: LoopThread, raw: RawClient) -> None:
        self._loop = loop
        self._raw = raw

    def with_cf(self, cf: str) -> SyncRawClient:
        """The same on another family: "default", "lock" or "write"."""
        return SyncRawClient(self._loop, self._raw.with_cf(cf))

    def get(self, key: bytes) -> bytes | None:
        """The value of `key`, or None."""
        return self._loop.run(self._raw.get(key))

    def batch_get(self, keys: Iterable[bytes]) -> dict[bytes, bytes]:
        """The values of those of `keys` that exist, in key order."""
        return self._loop.run(self._raw.batch_get(keys))

    def put(self, key: bytes, value: bytes, ttl_s: int = 0) -> None:
        """Set `key`, for `ttl_s` seconds or, when that is 0, for good."""
        self._loop.run(self._raw.put(key, value, ttl_s))

    def batch_put(self, pairs: Mapping[bytes, bytes] | Iterable[Pair], ttl_s: int = 0) -> None:
        """Set all of `pairs`; not atomic as a whole."""
        self._loop.run(self._raw.batch_put(pairs, ttl_s))

    def delete(self, key: bytes) -> None:
        """Remove `key`, whether it exists or not."""
        self._loop.run(self._raw.delete(key))

    def batch_delete(self, keys: Iterable[bytes]) -> None:
        """Remove all of `keys`; not atomic as a whole."""
        self._loop.run(self._raw.batch_delete(keys))

    def get_key_ttl(self, key: bytes) -> int | None:
        """Seconds that `key` has to live: 0 when it has no end, None when it does not exist."""
        return self._loop.run(self._raw.get_key_ttl(key))

    def compare_and_swap(
        self, key: bytes, expected: bytes | None, value: bytes | None, ttl_s: int = 0
    ) -> tuple[bool, bytes | None]:
        """Set `key` to `value` (None: delete it) if it holds `expected` (None: if it does not exist); whether it did,
        and what was there. UndeterminedResult when the answer was lost."""
        return self._loop.run(self._raw.compare_and_swap(key, expected, value, ttl_s))

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

    def batch_scan(
        self, ranges: Iterable[KeyRange], each_limit: int, *, reverse: bool = False, key_only: bool = False
    ) -> list[list[Pair]]:
        """The scan of each range, in their order, at most `each_limit` pairs each."""
        return self._loop.run(self._raw.batch_scan(ranges, each_limit, reverse=reverse, key_only=key_only))

    def watch(
        self, start: bytes = b"", end: bytes = b"", *, with_state: bool = False, resume: bytes | None = None
    ) -> SyncWatch[RawItem]:
        """What there is, if `with_state`, then every change once, and between them `RawProgress` tokens, with which a
        later watch goes on (`resume`)."""
        return SyncWatch(self._loop, self._raw.watch(start, end, with_state=with_state, resume=resume, progress=True))

    def delete_range(self, start: bytes, end: bytes) -> None:
        """Remove what is in [start, end), region after region; an empty end is infinite."""
        self._loop.run(self._raw.delete_range(start, end))

    def checksum(self, start: bytes = b"", end: bytes = b"") -> RangeChecksum:
        """The checksum of [start, end) in the family "default"."""
        return self._loop.run(self._raw.checksum(start, end))
