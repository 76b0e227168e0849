"""A pessimistic transaction as one of its statements that lock sees it: what the two ways to read have in common.

Writes go to the transaction's buffer, own writes are laid over what is read, and what has to be locked is remembered.
"""

from __future__ import annotations

import abc
from collections.abc import Iterable, Sequence

from rutile.session.storage import LockingTransaction, Pair, WriteBuffer
from rutile_proto.types import Timestamp


class LockingView(abc.ABC):
    """It is a `KvTransaction` that cannot end."""

    def __init__(self, txn: LockingTransaction, ts: int) -> None:
        self.start_ts = Timestamp(ts)
        self.limit = txn.limit
        self.at_once = False
        self.to_lock: dict[bytes, None] = {}
        """What this statement wrote or asked to lock."""
        self._txn = txn

    @property
    def buffer(self) -> WriteBuffer:
        return self._txn.buffer

    # --- reading ---

    @abc.abstractmethod
    async def get(self, key: bytes) -> bytes | None: ...

    @abc.abstractmethod
    def get_now(self, key: bytes) -> bytes | None: ...

    @abc.abstractmethod
    async def scan(
        self, start: bytes, end: bytes, limit: int | None = None, *, reverse: bool = False
    ) -> list[Pair]: ...

    @abc.abstractmethod
    def scan_now(self, start: bytes, end: bytes, limit: int) -> Sequence[Pair]: ...

    @abc.abstractmethod
    async def _read(self, keys: Sequence[bytes]) -> dict[bytes, bytes]:
        """The values of keys that the transaction has not written."""

    async def batch_get(self, keys: Iterable[bytes]) -> dict[bytes, bytes]:
        found, elsewhere = self.buffer.own_values(keys)
        if elsewhere:
            found |= await self._read(elsewhere)
        return dict(sorted(found.items()))

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
