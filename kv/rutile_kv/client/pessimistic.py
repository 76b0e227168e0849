"""Pessimistic transactions: keys are locked while the transaction runs, so that its commit meets no conflict."""

from __future__ import annotations

from collections.abc import Iterable

from rutile_kv.client.cluster import Cluster
from rutile_kv.client.membuffer import Change
from rutile_kv.client.pessimistic_locks import Found, PessimisticLocks
from rutile_kv.client.transaction import State, Transaction
from rutile_kv.client.two_phase import TwoPhaseCommit
from rutile_proto.errors import AlreadyExist
from rutile_proto.types import Timestamp


class PessimisticTransaction(Transaction):
    """A transaction that can take locks: `lock_keys` and `get_for_update`.

    >>> async with await client.begin(pessimistic=True) as txn:
    ...     balance = int(await txn.get_for_update(b"alice") or b"0")
    ...     txn.put(b"alice", str(balance - 10).encode())

    Plain reads still see the cluster as of `start_ts`; reads for update see the newest committed value, which nobody
    else can change until this transaction ends. Keys written without having been locked are checked at commit, as in
    an optimistic transaction. Deadlock means that others wait for this transaction and it for them: roll back.
    """

    def __init__(self, cluster: Cluster, start_ts: int) -> None:
        super().__init__(cluster, start_ts)
        self.locks = PessimisticLocks(cluster, start_ts, self._age_ms)

    # --- locking ------------------------------------------------------------------------------------------------------

    async def lock_keys(
        self, keys: Iterable[bytes], *, wait_s: float | None = None, as_of: int | None = None
    ) -> dict[bytes, bool]:
        """Lock all of `keys` or none; which of those not locked before exist.

        Waits up to `wait_s` seconds for other transactions (None: `ClientOptions.lock_wait_s`; 0: not at all). Raises
        LockWaitTimeout, Deadlock, AlreadyExist (a key this transaction inserts exists), TxnAborted. With `as_of`, the
        timestamp at which the caller has read, also WriteConflict: somebody committed one of the keys after it.
        """
        found = await self._acquire(keys, wait_s, with_values=False, as_of=as_of)
        return {key: each.exists for key, each in found.items()}

    async def get_for_update(self, key: bytes, *, wait_s: float | None = None) -> bytes | None:
        """Lock `key` and return its newest value: this transaction's own, or the newest committed, or None."""
        return (await self.batch_get_for_update([key], wait_s=wait_s)).get(key)

    async def batch_get_for_update(self, keys: Iterable[bytes], *, wait_s: float | None = None) -> dict[bytes, bytes]:
        """Lock `keys` and return the newest values of those that exist, in key order."""
        found = await self._acquire(keys, wait_s, with_values=True)
        values = {}
        for key, each in found.items():
            own = self.buffer.get(key)
            value = own.visible if own is not None and own.hides else each.value
            if value is not None:
                values[key] = value
        return values

    def insert(self, key: bytes, value: bytes) -> None:
        """Set `key`, which must not exist: AlreadyExist here if that is known, else when it is locked, or at commit."""
        own = self.buffer.get(key)
        held = self.locks.held.get(key)
        if held is not None and held.exists and (own is None or own.change is Change.LOCK):
            raise AlreadyExist(key)
        super().insert(key, value)

    async def _acquire(
        self, keys: Iterable[bytes], wait_s: float | None, *, with_values: bool, as_of: int | None = None
    ) -> dict[bytes, Found]:
        self._must_be_active()
        wanted = list(keys)
        absent = frozenset(key for key in wanted if self._must_be_absent(key))
        patience_s = self._cluster.options.lock_wait_s if wait_s is None else wait_s
        return await self.locks.acquire(wanted, absent=absent, with_values=with_values, wait_s=patience_s, as_of=as_of)

    def _must_be_absent(self, key: bytes) -> bool:
        own = self.buffer.get(key)
        return own is not None and own.change in (Change.INSERT, Change.CHECK_NOT_EXISTS)

    # --- ending -------------------------------------------------------------------------------------------------------

    async def commit(self) -> Timestamp:
        """As `Transaction.commit`; the locks are gone afterwards. A transaction that wrote nothing, and took its locks
        all at once, only releases them: what it read under them was there at one moment. If it took them one after the
        other, that holds only if none got lost in between, so they are committed like those of one that wrote."""
        self._must_be_active()
        if not self.is_dirty and self.locks.requests > 1:
            self._commit_locks()
        if not self.is_dirty:
            await self.locks.release_all()
        return await super().commit()

    async def rollback(self) -> None:
        """Forget the writes and release the locks."""
        was_active = self.state is State.ACTIVE
        await super().rollback()
        if was_active:
            await self.locks.release_all()

    async def _run_commit(self) -> Timestamp:
        """Keys that were only locked are committed as locks: it makes optimistic transactions meet the conflict."""
        self._commit_locks()
        locks = self.locks if self.locks.held else None
        try:
            work = TwoPhaseCommit(
                self._cluster, self.start_ts, self.buffer, self._age_ms, locks, self.limit, at_once=self.at_once
            )
            return await work.commit()
        finally:
            await self.locks.stop_heart()

    def _commit_locks(self) -> None:
        for key in self.locks.held:
            self.buffer.lock(key)
