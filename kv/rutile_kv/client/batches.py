"""A transaction's keys, cut into batches that each go to one region in one RPC."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Sequence

from rutile_kv.client.backoff import Backoff
from rutile_kv.client.cluster import Cluster
from rutile_kv.client.parallel import run_bounded
from rutile_kv.client.region_cache import CachedRegion
from rutile_kv.client.sender import Missed
from rutile_proto.values import valueclass

MAX_BATCH_BYTES = 256 << 10
MAX_BATCH_KEYS = 4096
"""What may go as one request, and so be committed in one phase."""
PART_BYTES = 64 << 10
PART_KEYS = 1024
"""What is larger goes in parts of this size: with many of them in flight to one store, none may take seconds."""


@valueclass
class Batch:
    """Sorted keys of one region, few enough for one RPC (a single large key is always enough)."""

    region: CachedRegion
    keys: Sequence[bytes]


SizeOf = Callable[[bytes], int]
"""Bytes that a key brings into a request."""

Act = Callable[[Batch, Backoff], Awaitable[Missed | None]]
"""Sends one batch; None when its work is done, `Missed` when it must be cut anew and sent again."""


async def cut(cluster: Cluster, keys: Sequence[bytes], size_of: SizeOf, backoff: Backoff) -> list[Batch]:
    """Sorted keys as batches, in order."""
    large = len(keys) > MAX_BATCH_KEYS or sum(map(size_of, keys)) > MAX_BATCH_BYTES
    bounds = (PART_BYTES, PART_KEYS) if large else (MAX_BATCH_BYTES, MAX_BATCH_KEYS)
    return [
        Batch(region, part)
        for region, run in await cluster.router.group(keys, backoff)
        for part in pieces(run, size_of, *bounds)
    ]


def pieces(
    keys: Sequence[bytes], size_of: SizeOf, max_bytes: int = MAX_BATCH_BYTES, max_keys: int = MAX_BATCH_KEYS
) -> Iterator[Sequence[bytes]]:
    """Runs of `keys` within both bounds; none is empty."""
    begin, total = 0, 0
    for at, key in enumerate(keys):
        size = size_of(key)
        if at > begin and (total + size > max_bytes or at - begin == max_keys):
            yield keys[begin:at]
            begin, total = at, 0
        total += size
    if begin < len(keys):
        yield keys[begin:]


async def send_all(
    cluster: Cluster,
    keys: Sequence[bytes],
    size_of: SizeOf,
    act: Act,
    backoff: Backoff,
    *,
    budget_each: bool = False,
) -> None:
    """Do `act` for all keys: batches in parallel, each again, cut by the regions as they are then, until it is done.

    All of it within the budget; with `budget_each` every batch has that much from when its turn comes, so that there
    may be any number of them.
    """
    batches = await cut(cluster, keys, size_of, backoff)
    branch = backoff.renewed if budget_each else backoff.fork
    jobs = [lambda batch=batch: _send_one(cluster, batch, size_of, act, branch()) for batch in batches]
    if jobs:
        await run_bounded(jobs, cluster.options.parallel_rpcs)


async def _send_one(cluster: Cluster, batch: Batch, size_of: SizeOf, act: Act, backoff: Backoff) -> None:
    left = deque([batch])
    while left:
        missed = await act(left[0], backoff)
        if missed is None:
            left.popleft()
            continue
        await missed.wait(backoff)
        again = await cut(cluster, left.popleft().keys, size_of, backoff)
        left.extendleft(reversed(again))
