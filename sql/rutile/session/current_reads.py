"""A pessimistic transaction as one of its statements that lock sees it.

Such a statement reads what is newest (as of `start_ts`, drawn for it), not what was there when its transaction began,
and then locks what it has written or read for update *as of that same timestamp*. If nobody committed one of those keys
in between, what it has read was still the newest; if somebody did, locking says so and the statement runs again.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rutile.session.storage import KvSnapshot, LockingTransaction, NotNow, Pair, WriteBuffer
from rutile_proto.errors import LockWaitTimeout
from rutile_proto.types import Timestamp


class CurrentView:
    """Reads at `start_ts` with the transaction's own writes laid over them; writes go to the transaction.

    It is a `KvTransaction` that cannot end.
    """

    def __init__(self, txn: LockingTransaction, snapshot: KvSnapshot, ts: int) -> None:
        self.start_ts = Timestamp(ts)
        self.limit = txn.limit
        self.at_once = False
        self.to_lock: dict[bytes, None] = {}
        """What this statement wrote or asked to lock."""
        self._txn = txn
        self._snapshot = snapshot

    @property
    def buffer(self) -> WriteBuffer:
        return self._txn.buffer

    # --- reading ---

    async def get(self, key: bytes) -> bytes | None:
        own = self.buffer.get(key)
        return own.visible if own is not None and own.hides else await self._snapshot.get(key)

    def get_now(self, key: bytes) -> bytes | None:
        own = self.buffer.get(key)
        return own.visible if own is not None and own.hides else self._snapshot.get_now(key)

    async def batch_get(self, keys: Iterable[bytes]) -> dict[bytes, bytes]:
        found: dict[bytes, bytes] = {}
        elsewhere = []
        for key in keys:
            own = self.buffer.get(key)
            if own is None or not own.hides:
                elsewhere.append(key)
            elif own.visible is not None:
                found[key] = own.visible
        if elsewhere:
            found |= await self._snapshot.batch_get(elsewhere)
        return dict(sorted(found.items()))

    async def scan(self, start: bytes, end: bytes, limit: int | None = None, *, reverse: bool = False) -> list[Pair]:
        own = {key: entry.visible for key, entry in self.buffer.items(start, end) if entry.hides}
        # Each key deleted here hides one pair at most.
        ask = None if limit is None else limit + sum(value is None for value in own.values())
        pairs = await self._snapshot.scan(start, end, ask, reverse=reverse)
        if not own:
            return pairs
        laid_over = [pair for pair in pairs if pair[0] not in own]
        laid_over += [(key, value) for key, value in own.items() if value is not None]
        return sorted(laid_over, reverse=reverse)[:limit]

    def scan_now(self, start: bytes, end: bytes, limit: int) -> Sequence[Pair]:
        if next(iter(self.buffer.items(start, end)), None) is not None:
            raise NotNow
        return self._snapshot.scan_now(start, end, limit)

    # --- writing ---

    def put(self, key: bytes, value: bytes) -> None:
        self._txn.put(key, value)
        self.to_lock[key] = None

    def insert(self, key: bytes, value: bytes) -> None:
        self._txn.insert(key, value)
        self.to_lock[key] = None

    def delete(self, key: bytes) -> None:
        self._txn.delete(key)
        self.to_lock[key] = None

    def lock(self, key: bytes) -> None:
        self.to_lock[key] = None

    async def try_lock(self, key: bytes) -> bool:
        """Lock `key` at once; False if another transaction holds it. Raises WriteConflict if it was written since."""
        try:
            await self._txn.lock_keys([key], wait_s=0, as_of=self.start_ts)
        except LockWaitTimeout:
            return False
        return True

    def savepoint(self) -> int:
        return self._txn.savepoint()

    def rollback_to(self, savepoint: int) -> None:
        self._txn.rollback_to(savepoint)

    def release(self, savepoint: int) -> None:
        self._txn.release(savepoint)

    async def commit(self) -> Timestamp:
        raise AssertionError("a statement does not end its transaction")

    async def rollback(self) -> None:
        raise AssertionError("a statement does not end its transaction")
