"""What a commit asks of the stores in its first phase: each batch of keys as a request."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from rutile_kv.client.batches import Batch
from rutile_kv.client.heartbeat import lock_ttl_ms
from rutile_kv.client.membuffer import Change, MemBuffer
from rutile_kv.client.pessimistic_locks import PessimisticLocks
from rutile_proto import kvrpcpb_pb2 as kvrpcpb

ASYNC_COMMIT_KEYS = 256
ASYNC_COMMIT_KEY_BYTES = 4096
"""Larger transactions commit in two phases: the primary's lock has to name all other keys (TiDB's limits)."""
_LOCKED = kvrpcpb.PrewriteRequest.DO_PESSIMISTIC_CHECK
_CHECK_NOW = kvrpcpb.PrewriteRequest.DO_CONSTRAINT_CHECK


@dataclass
class CommitLimit:
    """The last timestamp at which a transaction may commit as it is."""

    max_commit_ts: int
    extend: Callable[[], Awaitable[int]]
    """Asks again; a later limit. What it raises ends the transaction without effect."""


class PrewriteRequests:
    """Those of one transaction: its keys, what becomes of each, and what all requests say of it."""

    def __init__(
        self,
        start_ts: int,
        buffer: MemBuffer,
        age_ms: Callable[[], int],
        pessimistic: PessimisticLocks | None,
        limit: CommitLimit | None,
    ) -> None:
        self.keys = buffer.keys()
        self.locked = [key for key in self.keys if _leaves_lock(buffer, key)]
        """Those on which a lock is left: a mere check leaves none."""
        self.primary = pessimistic.primary if pessimistic else (self.locked or self.keys)[0]
        self._start_ts = start_ts
        self._buffer = buffer
        self._age_ms = age_ms
        self._pessimistic = pessimistic
        self._limit = limit

    @property
    def fit_async_commit(self) -> bool:
        """Whether few enough locks are left, and one on each key: of a mere check nobody could tell if it succeeded."""
        all_locked = len(self.keys) == len(self.locked) <= ASYNC_COMMIT_KEYS
        return all_locked and sum(map(len, self.keys)) <= ASYNC_COMMIT_KEY_BYTES

    def size_of(self, key: bytes) -> int:
        """Bytes that the key brings into a request."""
        entry = self._buffer.get(key)
        return len(key) + (len(entry.value) if entry is not None else 0)

    def of(self, batch: Batch, *, min_commit_ts: int, one_phase: bool, async_commit: bool) -> kvrpcpb.PrewriteRequest:
        """The request for a batch. With `one_phase`, if the batch is all there is, and with `async_commit`, it may be
        the one that commits."""
        request = kvrpcpb.PrewriteRequest(
            context=batch.region.plain_context,
            mutations=[self._mutation(key) for key in batch.keys],
            primary_lock=self.primary,
            start_version=self._start_ts,
            lock_ttl=lock_ttl_ms(self._buffer.size_bytes, self._age_ms()),
            txn_size=len(self.keys),
            min_commit_ts=min_commit_ts,
            try_one_pc=one_phase and len(batch.keys) == len(self.keys),
            use_async_commit=async_commit,
            max_commit_ts=self._limit.max_commit_ts if self._limit else 0,
        )
        if async_commit and self.primary in batch.keys:
            request.secondaries.extend(key for key in self.locked if key != self.primary)
        if self._pessimistic is not None:
            held = self._pessimistic.held
            request.for_update_ts = self._pessimistic.for_update_ts
            request.pessimistic_actions.extend(_LOCKED if key in held else _CHECK_NOW for key in batch.keys)
        return request

    def _mutation(self, key: bytes) -> kvrpcpb.Mutation:
        entry = self._buffer.get(key)
        assert entry is not None
        return kvrpcpb.Mutation(op=entry.change.value, key=key, value=entry.value)


def _leaves_lock(buffer: MemBuffer, key: bytes) -> bool:
    entry = buffer.get(key)
    return entry is not None and entry.change is not Change.CHECK_NOT_EXISTS
