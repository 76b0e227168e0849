"""AUTO_INCREMENT values and hidden row ids: ranges a front end takes from the store and hands out from memory."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from rutile.catalog import meta
from rutile.session.storage import KvClient
from rutile_proto.errors import Retry, RutileError

RANGE_SIZE = 30_000
"""Ids taken at a time, as in TiDB: one small transaction per so many rows; what is left is lost at a restart."""
MAX_ATTEMPTS = 20


@dataclass
class _Range:
    """Ids [next, end) are ours to hand out."""

    next: int = 1
    end: int = 1
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class IdAllocator:
    """Hands out ids under a counter's key. Ids are unique in the cluster and ascend within this front end."""

    def __init__(self, client: KvClient) -> None:
        self._client = client
        self._ranges: dict[bytes, _Range] = {}

    async def take(self, key: bytes, count: int = 1) -> int:
        """The first of `count` consecutive ids."""
        held = self._ranges.setdefault(key, _Range())
        async with held.lock:
            if held.end - held.next < count:
                await self._extend(key, held, at_least=held.next if held.end > held.next else 1, count=count)
            first = held.next
            held.next += count
            return first

    async def rebase(self, key: bytes, used: int) -> None:
        """Never hand out `used` or less: somebody inserted that value explicitly."""
        held = self._ranges.setdefault(key, _Range())
        if used < held.next:
            return
        async with held.lock:
            if held.next <= used < held.end:
                held.next = used + 1
            elif used >= held.end:
                await self._extend(key, held, at_least=used + 1, count=0)

    async def _extend(self, key: bytes, held: _Range, at_least: int, count: int) -> None:
        """Take the next range from the store. If it adjoins what is held, the rest of that is kept."""
        for attempt in range(MAX_ATTEMPTS):
            try:
                start, end = await self._reserve(key, at_least, max(RANGE_SIZE, count))
            except RutileError as error:
                if error.retry is not Retry.RESTART_TRANSACTION or attempt == MAX_ATTEMPTS - 1:
                    raise
                continue
            held.next, held.end = (held.next if start == held.end and count else start), end
            return

    async def _reserve(self, key: bytes, at_least: int, size: int) -> tuple[int, int]:
        txn = await self._client.begin()
        try:
            start = max(await meta.read_counter(txn, key, 1), at_least)
            txn.put(key, str(start + size).encode())
            await txn.commit()
        except BaseException:
            await txn.rollback()
            raise
        return start, start + size
