"""The asynchronous face: a client, its snapshots and its transactions."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Generator, Iterable
from types import TracebackType
from typing import Any, Self, TypeVar

from rutile.kv.async_raw import AsyncRaw
from rutile.kv.checks import Pair, check_bytes, check_keys, may_run_again, pause_s
from rutile_kv.client import client as floor
from rutile_kv.client.pessimistic import PessimisticTransaction
from rutile_kv.client.snapshot import Snapshot
from rutile_kv.client.transaction import Transaction
from rutile_kv.client.watch import Change
from rutile_proto.errors import InvalidRequest
from rutile_proto.types import Timestamp

T = TypeVar("T")


class AsyncSnapshot:
    """The cluster as of one moment: two reads of it always agree. It costs nothing to hold."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot

    @property
    def ts(self) -> Timestamp:
        """The timestamp read at; `client.snapshot(ts)` reads there again."""
        return self._snapshot.ts

    async def get(self, key: bytes) -> bytes | None:
        """The value of `key`, or None. An empty value is a value."""
        return await self._snapshot.get(check_bytes("key", key))

    async def batch_get(self, keys: Iterable[bytes]) -> dict[bytes, bytes]:
        """The values of those of `keys` that exist, in key order."""
        return await self._snapshot.batch_get(check_keys(keys))

    async def scan(
        self, start: bytes = b"", end: bytes = b"", limit: int | None = None, *, reverse: bool = False
    ) -> list[Pair]:
        """The pairs of [start, end) in key order, or from the upper end down when `reverse`; at most `limit`.

        Empty bounds are infinite.
        """
        check_keys((start, end))
        return await self._snapshot.scan(start, end, limit, reverse=reverse)

    def pages(
        self, start: bytes = b"", end: bytes = b"", limit: int | None = None, *, reverse: bool = False
    ) -> AsyncIterator[list[Pair]]:
        """The same pairs in pages of bounded length, fetched as they are asked for."""
        check_keys((start, end))
        return self._snapshot.pages(start, end, limit, reverse=reverse)


class AsyncTransaction:
    """Reads one snapshot with its own writes on top; writes become visible to others all at once, when it commits.

    As a context manager it commits at the end, and rolls back on an exception.
    """

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    @property
    def start_ts(self) -> Timestamp:
        """The timestamp read at."""
        return self._transaction.start_ts

    @property
    def commit_ts(self) -> Timestamp | None:
        """The timestamp committed at; None before."""
        return self._transaction.commit_ts

    async def get(self, key: bytes) -> bytes | None:
        """The value of `key`, or None."""
        return await self._transaction.get(check_bytes("key", key))

    async def batch_get(self, keys: Iterable[bytes]) -> dict[bytes, bytes]:
        """The values of those of `keys` that exist, in key order."""
        return await self._transaction.batch_get(check_keys(keys))

    async def scan(
        self, start: bytes = b"", end: bytes = b"", limit: int | None = None, *, reverse: bool = False
    ) -> list[Pair]:
        """The pairs of [start, end), own writes included, as `AsyncSnapshot.scan`."""
        check_keys((start, end))
        return await self._transaction.scan(start, end, limit, reverse)

    def pages(
        self, start: bytes = b"", end: bytes = b"", limit: int | None = None, *, reverse: bool = False
    ) -> AsyncIterator[list[Pair]]:
        """The same pairs in pages of bounded length. Writes made after this call are not in them."""
        check_keys((start, end))
        return self._transaction.pages(start, end, limit, reverse)

    def put(self, key: bytes, value: bytes) -> None:
        """Set `key`, whether it exists or not; also as `txn[key] = value`."""
        self._transaction.put(check_bytes("key", key), check_bytes("value", value))

    def insert(self, key: bytes, value: bytes) -> None:
        """Set `key`, which must not exist: AlreadyExist here if that is known, else when it commits."""
        self._transaction.insert(check_bytes("key", key), check_bytes("value", value))

    def delete(self, key: bytes) -> None:
        """Remove `key`, whether it exists or not; also as `del txn[key]`."""
        self._transaction.delete(check_bytes("key", key))

    def lock(self, key: bytes) -> None:
        """Commit only if nobody else writes `key` meanwhile; its value stays as it is."""
        self._transaction.lock(check_bytes("key", key))

    __setitem__ = put
    __delitem__ = delete

    async def get_for_update(self, key: bytes, *, wait_s: float | None = None) -> bytes | None:
        """The newest value of `key`, which nobody else can change until this transaction ends.

        Only in `begin(pessimistic=True)`. Waits for the lock, up to `wait_s` seconds (0: not at all): LockWaitTimeout,
        Deadlock.
        """
        transaction = self._transaction
        if not isinstance(transaction, PessimisticTransaction):
            raise InvalidRequest("an optimistic transaction takes no locks: begin it with pessimistic=True")
        return await transaction.get_for_update(check_bytes("key", key), wait_s=wait_s)

    async def commit(self) -> Timestamp:
        """Make the writes visible to all at once; the commit timestamp.

        WriteConflict: somebody else wrote one of the keys meanwhile; begin again. UndeterminedResult: it may have been
        committed or not. After any other error it is rolled back.
        """
        return await self._transaction.commit()

    async def rollback(self) -> None:
        """Forget the writes, release the locks."""
        await self._transaction.rollback()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._transaction.__aexit__(kind, error, trace)


class Beginning:
    """A transaction about to begin: `async with client.begin() as txn`, or `txn = await client.begin()`."""

    def __init__(self, begin: Callable[[], Awaitable[AsyncTransaction]]) -> None:
        self._begin = begin
        self._begun: AsyncTransaction | None = None

    def __await__(self) -> Generator[Any, None, AsyncTransaction]:
        return self._begin().__await__()

    async def __aenter__(self) -> AsyncTransaction:
        self._begun = await self._begin()
        return self._begun

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._begun is not None
        await self._begun.__aexit__(kind, error, trace)


class AsyncClient:
    """One client for all tasks of a loop. Close it, or use it as an asynchronous context manager.

    >>> async with await kv.connect_async("127.0.0.1:2379") as client:
    ...     async with client.begin() as txn:
    ...         txn[b"k"] = b"v"
    ...     await client.raw.put(b"k", b"something else")
    """

    def __init__(self, client: floor.Client, close: Callable[[], Awaitable[None]]) -> None:
        """`close` ends what was opened for this client, the `client` itself included."""
        self._client = client
        self._close = close

    @property
    def raw(self) -> AsyncRaw:
        """Raw keys and values: no transactions, no versions."""
        return AsyncRaw(self._client.raw)

    def begin(self, *, pessimistic: bool = False) -> Beginning:
        """A transaction that reads as of now. A `pessimistic` one can lock keys while it runs (`get_for_update`); the
        others meet conflicts when they commit."""
        return Beginning(lambda: self._begin(pessimistic))

    async def snapshot(self, ts: int | None = None) -> AsyncSnapshot:
        """The cluster as of `ts`, or as of now: with everything committed before this call."""
        return AsyncSnapshot(self._client.snapshot(await self._client.timestamp() if ts is None else ts))

    def watch(
        self, start: bytes = b"", end: bytes = b"", *, from_ts: int | None = None
    ) -> AsyncGenerator[Change, None]:
        """Every commit of [start, end) above the timestamp `from_ts`, or from the first look on: each once, in commit
        order for each key, whatever becomes of regions and leaders meanwhile.

        It goes on for ever; use it within `contextlib.aclosing`. Raises WatchEnded when it is read too slowly, or when
        `from_ts` is older than what is kept.
        """
        check_keys((start, end))
        return self._client.watch(start, end, from_ts=from_ts)

    async def run(
        self, work: Callable[[AsyncTransaction], Awaitable[T]], *, retries: int = 20, pessimistic: bool = False
    ) -> T:
        """The result of `work`, called with a transaction which is then committed.

        When the transaction loses a conflict or is the victim of a deadlock, all of it is done again, up to `retries`
        times: `work` should do nothing that cannot be done twice. Any other error rolls back and is raised.
        """
        tries = 0
        while True:
            try:
                async with self.begin(pessimistic=pessimistic) as txn:
                    result = await work(txn)
                return result
            except Exception as error:
                if tries >= retries or not may_run_again(error):
                    raise
            await asyncio.sleep(pause_s(tries))
            tries += 1

    async def close(self) -> None:
        """Wait a bounded time for background work, then close every connection."""
        await self._close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()

    async def _begin(self, pessimistic: bool) -> AsyncTransaction:
        if pessimistic:
            return AsyncTransaction(await self._client.begin(pessimistic=True))
        return AsyncTransaction(await self._client.begin())
