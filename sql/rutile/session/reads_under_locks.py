"""A pessimistic transaction as a statement sees it that names the keys of its rows: it reads a key by locking it.

The lock's answer brings the newest value, which nobody else can change any more. So such a statement needs no timestamp
and no read beside its locks, and never has to run again because somebody was faster: one request a region does it all.
Statements that have to look for their rows read first and lock then (`current_reads`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rutile.session.locking_view import LockingView
from rutile.session.storage import LockingTransaction, NotNow, Pair


class ViewUnderLocks(LockingView):
    """Every read locks. It cannot scan: the keys of a range that are not there yet cannot be locked.

    A key that the transaction has written is answered from its buffer; it is locked since then.
    """

    def __init__(self, txn: LockingTransaction, left_s: Callable[[], float]) -> None:
        """`left_s`: the seconds it may still wait for the locks of others."""
        super().__init__(txn, txn.start_ts)
        self._left_s = left_s

    async def settle(self) -> None:
        """At the end of the statement: lock what it wrote or named without reading it. Raises as `lock_keys`."""
        await self._txn.lock_keys(self.to_lock, wait_s=self._left_s())

    async def get(self, key: bytes) -> bytes | None:
        return (await self.batch_get([key])).get(key)

    def get_now(self, key: bytes) -> bytes | None:
        raise NotNow

    async def _read(self, keys: Sequence[bytes]) -> dict[bytes, bytes]:
        return await self._txn.batch_get_for_update(keys, wait_s=self._left_s())

    async def scan(self, start: bytes, end: bytes, limit: int | None = None, *, reverse: bool = False) -> list[Pair]:
        raise AssertionError("a statement that names its keys does not look for others")

    def scan_now(self, start: bytes, end: bytes, limit: int) -> Sequence[Pair]:
        raise AssertionError("a statement that names its keys does not look for others")
