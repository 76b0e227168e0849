"""A pessimistic transaction as a statement sees it that reads before it locks: one that has to look for its rows.

Such a statement reads what is newest (as of `start_ts`, drawn for it), not what was there when its transaction began,
and then locks what it has written or read for update *as of that same timestamp*. If nobody committed one of those keys
in between, what it has read was still the newest; if somebody did, locking says so and the statement runs again.
"""

from __future__ import annotations

from collections.abc import Sequence

from rutile.session.locking_view import LockingView
from rutile.session.storage import KvSnapshot, LockingTransaction, NotNow, Pair
from rutile_proto.errors import LockWaitTimeout


class CurrentView(LockingView):
    """Reads at `start_ts` with the transaction's own writes laid over them."""

    def __init__(self, txn: LockingTransaction, snapshot: KvSnapshot, ts: int) -> None:
        super().__init__(txn, ts)
        self._snapshot = snapshot

    async def get(self, key: bytes) -> bytes | None:
        own = self.buffer.get(key)
        return own.visible if own is not None and own.hides else await self._snapshot.get(key)

    def get_now(self, key: bytes) -> bytes | None:
        own = self.buffer.get(key)
        return own.visible if own is not None and own.hides else self._snapshot.get_now(key)

    async def _read(self, keys: Sequence[bytes]) -> dict[bytes, bytes]:
        return await self._snapshot.batch_get(keys)

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

    async def try_lock(self, key: bytes) -> bool:
        """Lock `key` at once; False if another transaction holds it. Raises WriteConflict if it was written since."""
        try:
            await self._txn.lock_keys([key], wait_s=0, as_of=self.start_ts)
        except LockWaitTimeout:
            return False
        return True
