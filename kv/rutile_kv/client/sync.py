"""The client for plain threads: the same methods without await.

One background thread runs an event loop with a `Client` in it; each call hands its work to that loop and waits. Any
number of threads may share one `SyncClient`. A transaction belongs to one thread at a time.

>>> with SyncClient.connect(["127.0.0.1:2379"]) as client:
...     with client.begin() as txn:                      # commits at the end, rolls back on an exception
...         txn.put(b"alice", b"90")
...         txn.put(b"bob", b"110")
...     client.snapshot().scan(b"a", b"c")
[(b'alice', b'90'), (b'bob', b'110')]
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from types import TracebackType
from typing import Literal, Self, overload

from rutile_kv.client.client import Client
from rutile_kv.client.cluster import ClientOptions
from rutile_kv.client.loop_thread import LoopThread
from rutile_kv.client.pessimistic import PessimisticTransaction
from rutile_kv.client.snapshot import Pair, Snapshot
from rutile_kv.client.sync_raw import SyncRawClient
from rutile_kv.client.sync_watch import SyncWatch
from rutile_kv.client.transaction import State, Transaction
from rutile_kv.client.watch import Change
from rutile_proto import metapb_pb2 as metapb
from rutile_proto.types import Timestamp


class SyncSnapshot:
    """`Snapshot` without await."""

    def __init__(self, loop: LoopThread, snapshot: Snapshot) -> None:
        self._loop = loop
        self._snapshot = snapshot

    @property
    def ts(self) -> Timestamp:
        """The timestamp read at."""
        return self._snapshot.ts

    def get(self, key: bytes) -> bytes | None:
        """The value of `key`, or None."""
        return self._loop.run(self._snapshot.get(key))

    def batch_get(self, keys: Iterable[bytes]) -> dict[bytes, bytes]:
        """The values of those of `keys` that exist, in key order."""
        return self._loop.run(self._snapshot.batch_get(keys))

    def scan(
        self, start: bytes = b"", end: bytes = b"", limit: int | None = None, *, reverse: bool = False
    ) -> list[Pair]:
        """The pairs of [start, end), at most `limit`; empty bounds are infinite."""
        return self._loop.run(self._snapshot.scan(start, end, limit, reverse=reverse))

    def iterate(
        self, start: bytes = b"", end: bytes = b"", limit: int | None = None, *, reverse: bool = False
    ) -> Iterator[Pair]:
        """The same pairs one by one, fetched in pages: for ranges that do not fit in memory."""
        return self._loop.iterate(self._snapshot.pages(start, end, limit, reverse=reverse))


class SyncTransaction:
    """`Transaction` without await."""

    def __init__(self, loop: LoopThread, transaction: Transaction) -> None:
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

    @property
    def is_dirty(self) -> bool:
        """Whether there is anything to commit."""
        return self._transaction.is_dirty

    def get(self, key: bytes) -> bytes | None:
        """The value of `key`, or None."""
        return self._loop.run(self._transaction.get(key))

    def batch_get(self, keys: Iterable[bytes]) -> dict[bytes, bytes]:
        """The values of those of `keys` that exist, in key order."""
        return self._loop.run(self._transaction.batch_get(keys))

    def scan(
        self, start: bytes = b"", end: bytes = b"", limit: int | None = None, *, reverse: bool = False
    ) -> list[Pair]:
        """The pairs of [start, end), at most `limit`; empty bounds are infinite."""
        return self._loop.run(self._transaction.scan(start, end, limit, reverse))

    def put(self, key: bytes, value: bytes) -> None:
        """Set `key`, whether it exists or not."""
        self._transaction.put(key, value)

    def insert(self, key: bytes, value: bytes) -> None:
        """Set `key`, which must not exist: AlreadyExist here or from `commit`."""
        self._transaction.insert(key, value)

    def delete(self, key: bytes) -> None:
        """Remove `key`, whether it exists or not."""
        self._transaction.delete(key)

    def lock(self, key: bytes) -> None:
        """Commit only if nobody else writes `key` meanwhile."""
        self._transaction.lock(key)

    def savepoint(self) -> int:
        """A point to return to."""
        return self._transaction.savepoint()

    def rollback_to(self, savepoint: int) -> None:
        """Undo the writes made since the savepoint, and end it."""
        self._transaction.rollback_to(savepoint)

    def release(self, savepoint: int) -> None:
        """End the savepoint and keep the writes."""
        self._transaction.release(savepoint)

    def commit(self) -> Timestamp:
        """Make the writes visible to all at once; errors as from `Transaction.commit`."""
        return self._loop.run(self._transaction.commit())

    def rollback(self) -> None:
        """Forget the writes."""
        self._loop.run(self._transaction.rollback())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._transaction.state is not State.ACTIVE:
            return
        if error is None:
            self.commit()
        else:
            self.rollback()


class SyncPessimisticTransaction(SyncTransaction):
    """`PessimisticTransaction` without await: locks are taken while it runs."""

    def __init__(self, loop: LoopThread, transaction: PessimisticTransaction) -> None:
        super().__init__(loop, transaction)
        self._locking = transaction

    def lock_keys(
        self, keys: Iterable[bytes], *, wait_s: float | None = None, as_of: int | None = None
    ) -> dict[bytes, bool]:
        """Lock all of `keys` or none; which of those not locked before exist. Waits and raises as
        `PessimisticTransaction.lock_keys`."""
        return self._loop.run(self._locking.lock_keys(keys, wait_s=wait_s, as_of=as_of))

    def get_for_update(self, key: bytes, *, wait_s: float | None = None) -> bytes | None:
        """Lock `key` and return its newest value, or None."""
        return self._loop.run(self._locking.get_for_update(key, wait_s=wait_s))

    def batch_get_for_update(self, keys: Iterable[bytes], *, wait_s: float | None = None) -> dict[bytes, bytes]:
        """Lock `keys` and return the newest values of those that exist, in key order."""
        return self._loop.run(self._locking.batch_get_for_update(keys, wait_s=wait_s))


class SyncClient:
    """`Client` without await; see the module's example."""

    def __init__(self, loop: LoopThread, client: Client) -> None:
        self._loop = loop
        self._client = client

    @classmethod
    def connect(cls, pd_addresses: Sequence[str], *, options: ClientOptions | None = None) -> Self:
        """A client over gRPC. RetriesExhausted if no placement driver leader is found in time."""
        loop = LoopThread()
        try:
            return cls(loop, loop.run(Client.connect(pd_addresses, options=options)))
        except BaseException:
            loop.stop()
            raise

    @property
    def raw(self) -> SyncRawClient:
        """Raw keys and values: no transactions, no versions."""
        return SyncRawClient(self._loop, self._client.raw)

    def timestamp(self) -> Timestamp:
        """A timestamp above everything committed before this call."""
        return self._loop.run(self._client.timestamp())

    def snapshot(self, ts: int | None = None) -> SyncSnapshot:
        """The cluster as of `ts`, or as of now."""
        return SyncSnapshot(self._loop, self._client.snapshot(self.timestamp() if ts is None else ts))

    @overload
    def begin(self, *, pessimistic: Literal[False] = False) -> SyncTransaction: ...

    @overload
    def begin(self, *, pessimistic: Literal[True]) -> SyncPessimisticTransaction: ...

    def begin(self, *, pessimistic: bool = False) -> SyncTransaction:
        """A transaction that reads as of now. A `pessimistic` one can lock keys while it runs."""
        if pessimistic:
            return SyncPessimisticTransaction(self._loop, self._loop.run(self._client.begin(pessimistic=True)))
        return SyncTransaction(self._loop, self._loop.run(self._client.begin()))

    def watch(self, start: bytes = b"", end: bytes = b"", *, from_ts: int | None = None) -> SyncWatch[Change]:
        """Every commit of [start, end) above `from_ts`, or from now on: once, in commit order for each key."""
        from_ts = self.timestamp() if from_ts is None else from_ts
        return SyncWatch(self._loop, self._client.watch(start, end, from_ts=from_ts))

    def split_regions(self, user_keys: Iterable[bytes], timeout_s: float = 30.0) -> list[metapb.Region]:
        """Make regions begin at the keys; those regions, in key order."""
        return self._loop.run(self._client.split_regions(user_keys, timeout_s))

    def close(self) -> None:
        """Wait a bounded time for background work, close every connection, end the thread."""
        self._loop.run(self._client.close())
        self._loop.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
