"""Keeping the locks of a long commit alive.

Everyone who meets a lock judges its owner by the time to live in the *primary* lock. A commit of many batches may take
longer than that, so while it runs the primary's is extended every few seconds.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from typing import TYPE_CHECKING

from rutile_kv.client.parallel import cancel_all
from rutile_kv.client.sender import Missed
from rutile_proto import kvrpcpb_pb2 as kvrpcpb
from rutile_proto.errors import RutileError
from rutile_proto.keys import storage_key

if TYPE_CHECKING:
    from rutile_kv.client.cluster import Cluster

SMALL_TTL_MS = 3_000
TTL_MS_PER_SQRT_MIB = 6_000
MAX_TTL_MS = 20_000
MAX_EVERY_MS = 10_000


def lock_ttl_ms(size_bytes: int, age_ms: int) -> int:
    """A lock's time to live: 3 s and 6 s per root of MiB, up to 20 s, on top of the age at prewrite.

    The age counts because time to live runs from the start timestamp, not from the prewrite (wire.md 7.5).
    """
    grown = SMALL_TTL_MS + TTL_MS_PER_SQRT_MIB * math.sqrt(size_bytes / (1 << 20))
    return round(min(MAX_TTL_MS, grown)) + age_ms


class Hearts:
    """The heartbeats of running pessimistic transactions: they end with their transaction, or with the client."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._beating: dict[asyncio.Task[None], None] = {}

    def start(self, primary: bytes, start_ts: int, age_ms: Callable[[], int]) -> asyncio.Task[None]:
        """Keep the primary lock alive from now on."""
        beat = keep_alive(self._cluster, primary, start_ts, MAX_EVERY_MS, age_ms)
        task = asyncio.get_running_loop().create_task(beat, name=f"heartbeat of {start_ts}")
        self._beating[task] = None
        return task

    async def stop(self, heart: asyncio.Task[None]) -> None:
        """Stop one; returns when it has stopped."""
        self._beating.pop(heart, None)
        await cancel_all([heart])

    async def close(self) -> None:
        """Stop all."""
        hearts, self._beating = list(self._beating), {}
        await cancel_all(hearts)


async def keep_alive(
    cluster: Cluster, primary: bytes, start_ts: int, every_ms: float, age_ms: Callable[[], int]
) -> None:
    """Extend the primary lock every so often until cancelled. A beat that fails is left to the next one."""
    every_s = min(MAX_EVERY_MS, every_ms) / 1000
    while True:
        await cluster.pace.sleep(every_s)
        await beat(cluster, primary, start_ts, age_ms() + MAX_TTL_MS)


async def beat(cluster: Cluster, primary: bytes, start_ts: int, ttl_ms: int) -> bool:
    """Ask once for the primary lock to live until `ttl_ms` after `start_ts`; whether it was there and heard it."""
    backoff = cluster.write_backoff("heartbeat")
    try:
        region = await cluster.regions.locate(storage_key(primary), backoff)
        request = kvrpcpb.TxnHeartBeatRequest(
            context=region.context(), primary_lock=primary, start_version=start_ts, advise_lock_ttl=ttl_ms
        )
        answer = await cluster.sender.send(region, "KvTxnHeartBeat", request, backoff)
    except RutileError:
        return False
    return not isinstance(answer, Missed) and not answer.HasField("error")
