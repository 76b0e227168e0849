"""A transaction: a snapshot to read from, a buffer to write to, and one commit."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from enum import Enum, auto
from types import TracebackType
from typing import Self

from rutile_kv.client.cluster import Cluster
from rutile_kv.client.membuffer import MemBuffer
from rutile_kv.client.overlay import overlay
from rutile_kv.client.prewrite_requests import CommitLimit
from rutile_kv.client.snapshot import Pair, Snapshot
from rutile_kv.client.two_phase import TwoPhaseCommit
from rutile_kv.env.prompt import NotNow
from rutile_proto.errors import InvalidRequest, UndeterminedResult
from rutile_proto.timestamps import physical_ms
from rutile_proto.types import Timestamp


class State(Enum):
    """Where a transaction is in its life; only ACTIVE ones read and write."""

    ACTIVE = auto()
    COMMITTING = auto()
    COMMITTED = auto()
    ROLLED_BACK = auto()
    UNDETERMINED = auto()


class Transaction:
    """Optimistic, snapshot isolation: conflicts with others are found at commit.

    >>> async with await client.begin() as txn:          # commits at the end, rolls back on an exception
    ...     balance = int(await txn.get(b"alice") or b"0")
    ...     txn.put(b"alice", str(balance - 10).encode())

    Reads see the cluster as of `start_ts` with the transaction's own writes on top. WriteConflict from `commit` means
    that somebody else wrote one of the keys meanwhile: begin again.
    """

    def __init__(self, cluster: Cluster, start_ts: int) -> None:
        self.start_ts = Timestamp(start_ts)
        self.snapshot = Snapshot(cluster, start_ts)
        """The cluster without this transaction's own writes."""
        self.buffer = MemBuffer(cluster.options.max_transaction_bytes)
        """The own writes alone."""
        self.state = State.ACTIVE
        self.commit_ts: Timestamp | None = None
        self.limit: CommitLimit | None = None
        """Set before `commit`: until when what the transaction was made with is known to hold."""
        self.at_once = False
        """Set before `commit` by whoever began and commits within one call of theirs: what was committed before that
        call is below start_ts already, so the stores may choose any later commit timestamp without asking PD again."""
        self._cluster = cluster
        self._began_s = cluster.pace.clock.monotonic()
        cluster.gc_hold.add(self)

    @property
    def oldest_ts(self) -> int | None:
        """What garbage collection must not pass: the timestamp it reads at; None once it has ended."""
        return self.start_ts if self.state in (State.ACTIVE, State.COMMITTING) else None

    @property
    def is_dirty(self) -> bool:
        """Whether there is anything to commit."""
        return len(self.buffer) > 0

    # --- reading --------------------------------------------------------------------------------------------------

    async def get(self, key: bytes) -> bytes | None:
        """The value of `key`, or None."""
        self._must_be_active()
        own = self.buffer.get(key)
        return own.visible if own is not None and own.hides else await self.snapshot.get(key)

    def get_now(self, key: bytes) -> bytes | None:
        """The same in this very turn of the loop (`Snapshot.get_now`). Raises NotNow."""
        self._must_be_active()
        own = self.buffer.get(key)
        return own.visible if own is not None and own.hides else self.snapshot.get_now(key)

    def scan_now(self, start: bytes, end: bytes, limit: int) -> Sequence[Pair]:
        """The first `limit` pairs, likewise, where the transaction has written none of them. Raises NotNow."""
        self._must_be_active()
        if next(self.buffer.items(start, end), None) is not None:
            raise NotNow
        return self.snapshot.scan_now(start, end, limit)

    async def batch_get(self, keys: Iterable[bytes]) -> dict[bytes, bytes]:
        """The values of those of `keys` that exist, in key order."""
        self._must_be_active()
        found, elsewhere = self.buffer.own_values(keys)
        if elsewhere:
            found |= await self.snapshot.batch_get(elsewhere)
        return dict(sorted(found.items()))

    async def scan(
        self, start: bytes = b"", end: bytes = b"", limit: int | None = None, reverse: bool = False
    ) -> list[Pair]:
        """The pairs of [start, end) in key order, or from the upper end down when `reverse`; at most `limit`.

        Empty bounds are infinite. Without a limit everything is held in memory at once; see `pages` otherwise.
        """
        pairs: list[Pair] = []
        async for page in self.pages(start, end, limit, reverse):
            pairs += page
        return pairs

    def pages(
        self, start: bytes = b"", end: bytes = b"", limit: int | None = None, reverse: bool = False
    ) -> AsyncIterator[list[Pair]]:
        """The same pairs in pages of bounded length. Writes made after this call are not in them."""
        self._must_be_active()
        own = [(key, entry) for key, entry in self.buffer.items(start, end, reverse=reverse) if entry.hides]
        deleted = sum(entry.visible is None for _, entry in own)
        fetch = None if limit is None else limit + deleted  # each deletion hides one row at most
        return overlay(self.snapshot.pages(start, end, fetch, reverse=reverse), own, limit, reverse=reverse)

    # --- writing --------------------------------------------------------------------------------------------------

    def put(self, key: bytes, value: bytes) -> None:
        """Set `key`, whether it exists or not. InvalidRequest beyond the size limits of `membuffer`."""
        self._must_be_active()
        self.buffer.put(key, value)

    def insert(self, key: bytes, value: bytes) -> None:
        """Set `key`, which must not exist: AlreadyExist here if this transaction wrote it, else from `commit`."""
        self._must_be_active()
        self.buffer.insert(key, value)

    def delete(self, key: bytes) -> None:
        """Remove `key`, whether it exists or not."""
        self._must_be_active()
        self.buffer.delete(key)

    def lock(self, key: bytes) -> None:
        """Commit only if nobody else writes `key` meanwhile; its value stays as it is."""
        self._must_be_active()
        self.buffer.lock(key)

    def savepoint(self) -> int:
        """A point to return to: `rollback_to` undoes the writes since, `release` keeps them. Savepoints nest."""
        self._must_be_active()
        return self.buffer.savepoint()

    def rollback_to(self, savepoint: int) -> None:
        """Undo the writes made since the savepoint, and end it."""
        self._must_be_active()
        self.buffer.rollback_to(savepoint)

    def release(self, savepoint: int) -> None:
        """End the savepoint and keep the writes."""
        self._must_be_active()
        self.buffer.release(savepoint)

    # --- ending ---------------------------------------------------------------------------------------------------

    async def commit(self) -> Timestamp:
        """Make the writes visible to all at once; the commit timestamp (the start timestamp if nothing was written).

        Raises WriteConflict, AlreadyExist or another TxnError, RetriesExhausted if the stores were out of reach: the
        transaction is rolled back then. `UndeterminedResult`: it may have been committed or not. A caller cancelled
        while it waits here does not stop the commit, which goes on in the background.
        """
        self._must_be_active()
        if not self.is_dirty:
            self.state = State.COMMITTED
            self.commit_ts = self.start_ts
            return self.start_ts
        self.state = State.COMMITTING
        work = self._cluster.background.start(self._commit(), f"commit of {self.start_ts}", awaited=True)
        return await asyncio.shield(work)

    async def rollback(self) -> None:
        """Forget the writes. Nothing was sent before `commit`, so nothing has to be undone anywhere.

        Once `commit` was called it does nothing: who was cancelled there, or got an error, may call this without asking
        how far the commit is, and the cancellation, or the error, is not lost over it.
        """
        if self.state is State.ACTIVE:
            self.state = State.ROLLED_BACK

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.state is not State.ACTIVE:
            return
        if error is None:
            await self.commit()
        else:
            await self.rollback()

    # --- inside ---------------------------------------------------------------------------------------------------

    async def _commit(self) -> Timestamp:
        try:
            self.commit_ts = await self._run_commit()
        except UndeterminedResult:
            self.state = State.UNDETERMINED
            raise
        except BaseException:
            self.state = State.ROLLED_BACK
            raise
        self.state = State.COMMITTED
        return self.commit_ts

    async def _run_commit(self) -> Timestamp:
        work = TwoPhaseCommit(
            self._cluster, self.start_ts, self.buffer, self._age_ms, limit=self.limit, at_once=self.at_once
        )
        return await work.commit()

    def _age_ms(self) -> int:
        """Milliseconds since `start_ts`: by our own clock since we took it, and by the newest timestamp seen."""
        own_ms = round((self._cluster.pace.clock.monotonic() - self._began_s) * 1000)
        return max(own_ms, physical_ms(self._cluster.pd.last_timestamp) - physical_ms(self.start_ts))

    def _must_be_active(self) -> None:
        if self.state is not State.ACTIVE:
            raise InvalidRequest(f"transaction {self.start_ts} is {self.state.name.lower().replace('_', ' ')}")
