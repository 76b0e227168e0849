"""The plain face: the asynchronous one, run on a loop in another thread."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import Self, TypeVar

from rutile.kv.async_client import AsyncClient, AsyncSnapshot, AsyncTransaction
from rutile.kv.checks import Pair, may_run_again, pause_s
from rutile.kv.raw import Raw
from rutile_kv.client.loop_thread import LoopThread
from rutile_kv.client.sync_watch import SyncWatch
from rutile_kv.client.watch import Change
from rutile_proto.errors import InvalidRequest
from rutile_proto.types import Timestamp

T = TypeVar("T")


class Snapshot:
    """The cluster as of one moment: two reads of it always agree. It costs nothing to hold."""

    def __init__(self, loop: LoopThread, snapshot: AsyncSnapshot) -> None:
        self._loop = loop
        self._snapshot = snapshot

    @property
    def ts(self) -> Timestamp:
        """The timestamp read at; `client.snapshot(ts)` reads there again."""
        return self._snapshot.ts

    def get(self, key: bytes) -> bytes | None:
        """The value of `key`, or None. An empty value is a value."""
        return self._loop.run(self._snapshot.get(key))

    def __getitem__(self, key: bytes) -> bytes:
        """The value of `key`; KeyError when there is none."""
        return _present(key, self.get(key))

    def __contains__(self, key: bytes) -> bool:
        return self.get(key) is not None

    def batch_get(self, keys: Iterable[bytes]) -> dict[bytes, bytes]:
        """The values of those of `keys` that exist, in key order."""
        return self._loop.run(self._snapshot.batch_get(keys))

    def scan(
        self, start: bytes = b"", end: bytes = b"", limit: int | None = None, *, reverse: bool = False
    ) -> list[Pair]:
        """The pairs of [start, end) in key order, or from the upper end down when `reverse`; at most `limit`.

        Empty bounds are infinite.
        """
        return self._loop.run(self._snapshot.scan(start, end, limit, reverse=reverse))

    def iterate(
        self, start: bytes = b"", end: bytes = b"", limit: int | None = None, *, reverse: bool = False
    ) -> Iterator[Pair]:
        """The same pairs one by one, fetched in pages: for ranges that do not fit in memory."""
        return self._loop.iterate(self._snapshot.pages(start, end, limit, reverse=reverse))


class Transaction:
    """Reads one snapshot with its own writes on top; writes become visible to others all at once, when it commits.

    As a context manager it commits at the end, and rolls back on an exception.
    """

    def __init__(self, loop: LoopThread, transaction: AsyncTransaction) -> None:
        self._loop = loop
        self._transaction = transaction

    @property
    def start_ts(self) -> Timestamp:
        """The timestamp read at."""
        return self._transaction.start_ts

    @property
    def commit_ts(self) -> Timestamp | None:
        """The timestamp committed at; None before."""
        return self._transaction.commit_ts

    def get(self, key: bytes) -> bytes | None:
        """The value of `key`, or None."""
        return self._loop.run(self._transaction.get(key))

    def __getitem__(self, key: bytes) -> bytes:
        """The value of `key`; KeyError when there is none."""
        return _present(key, self.get(key))

    def __contains__(self, key: bytes) -> bool:
        return self.get(key) is not None

    def batch_get(self, keys: Iterable[bytes]) -> dict[bytes, bytes]:
        """The values of those of `keys` that exist, in key order."""
        return self._loop.run(self._transaction.batch_get(keys))

    def scan(
        self, start: bytes = b"", end: bytes = b"", limit: int | None = None, *, reverse: bool = False
    ) -> list[Pair]:
        """The pairs of [start, end), own writes included, as `Snapshot.scan`."""
        return self._loop.run(self._transaction.scan(start, end, limit, reverse=reverse))

    def iterate(
        self, start: bytes = b"", end: bytes = b"", limit: int | None = None, *, reverse: bool = False
    ) -> Iterator[Pair]:
        """The same pairs one by one, fetched in pages. Writes made after this call are not among them."""
        return self._loop.iterate(self._transaction.pages(start, end, limit, reverse=reverse))

    def put(self, key: bytes, value: bytes) -> None:
        """Set `key`, whether it exists or not; also as `txn[key] = value`."""
        self._transaction.put(key, value)

    def insert(self, key: bytes, value: bytes) -> None:
        """Set `key`, which must not exist: AlreadyExist here if that is known, else when it commits."""
        self._transaction.insert(key, value)

    def delete(self, key: bytes) -> None:
        """Remove `key`, whether it exists or not; also as `del txn[key]`."""
        self._transaction.delete(key)

    def lock(self, key: bytes) -> None:
        """Commit only if nobody else writes `key` meanwhile; its value stays as it is."""
        self._transaction.lock(key)

    __setitem__ = put
    __delitem__ = delete

    def get_for_update(self, key: bytes, *, wait_s: float | None = None) -> bytes | None:
        """The newest value of `key`, which nobody else can change until this transaction ends.

        Only in `begin(pessimistic=True)`. Waits for the lock, up to `wait_s` seconds (0: not at all): LockWaitTimeout,
        Deadlock.
        """
        return self._loop.run(self._transaction.get_for_update(key, wait_s=wait_s))

    def commit(self) -> Timestamp:
        """Make the writes visible to all at once; the commit timestamp. Errors as of `AsyncTransaction.commit`."""
        return self._loop.run(self._transaction.commit())

    def rollback(self) -> None:
        """Forget the writes, release the locks."""
        self._loop.run(self._transaction.rollback())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.run(self._transaction.__aexit__(kind, error, trace))


class Client:
    """One client for all threads. Close it, or use it as a context manager."""

    def __init__(self, loop: LoopThread, client: AsyncClient, close: Callable[[], None]) -> None:
        """`close` ends what was opened for this client, the `client` itself included."""
        self._loop = loop
        self._client = client
        self._close = close
        self._closed = False

    @property
    def raw(self) -> Raw:
        """Raw keys and values: no transactions, no versions."""
        self._must_be_open()
        return Raw(self._loop, self._client.raw)

    def begin(self, *, pessimistic: bool = False) -> Transaction:
        """A transaction that reads as of now. A `pessimistic` one can lock keys while it runs (`get_for_update`); the
        others meet conflicts when they commit."""
        self._must_be_open()

        async def begin() -> AsyncTransaction:
            return await self._client.begin(pessimistic=pessimistic)

        return Transaction(self._loop, self._loop.run(begin()))

    def snapshot(self, ts: int | None = None) -> Snapshot:
        """The cluster as of `ts`, or as of now: with everything committed before this call."""
        self._must_be_open()
        return Snapshot(self._loop, self._loop.run(self._client.snapshot(ts)))

    def watch(self, start: bytes = b"", end: bytes = b"", *, from_ts: int | None = None) -> SyncWatch[Change]:
        """Every commit of [start, end) above the timestamp `from_ts`, or from now on: each once, in commit order for
        each key, whatever becomes of regions and leaders meanwhile.

        Waits for each next one and goes on for ever: `with client.watch(...) as changes`. Raises WatchEnded when it is
        read too slowly, or when `from_ts` is older than what is kept.
        """
        from_ts = self.snapshot().ts if from_ts is None else from_ts
        return SyncWatch(self._loop, self._client.watch(start, end, from_ts=from_ts))

    def run(self, work: Callable[[Transaction], T], *, retries: int = 20, pessimistic: bool = False) -> T:
        """The result of `work`, called with a transaction which is then committed.

        When the transaction loses a conflict or is the victim of a deadlock, all of it is done again, up to `retries`
        times: `work` should do nothing that cannot be done twice. Any other error rolls back and is raised.
        """
        tries = 0
        while True:
            try:
                with self.begin(pessimistic=pessimistic) as txn:
                    result = work(txn)
                return result
            except Exception as error:
                if tries >= retries or not may_run_again(error):
                    raise
            time.sleep(pause_s(tries))
            tries += 1

    def close(self) -> None:
        """Wait a bounded time for background work, then close every connection; harmless when already closed."""
        if not self._closed:
            self._closed = True
            self._close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _must_be_open(self) -> None:
        if self._closed:
            raise InvalidRequest("the client is closed")


def _present(key: bytes, value: bytes | None) -> bytes:
    if value is None:
        raise KeyError(key)
    return value
