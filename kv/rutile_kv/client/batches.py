"""A transaction's keys, cut into batches that each go to one region in one RPC."""

from __future__ import annotations

import enum
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any

from rutile_kv.client.arrivals import Arrivals
from rutile_kv.client.backoff import Backoff
from rutile_kv.client.cluster import Cluster
from rutile_kv.client.leader_watch import FIRST_LOOK_S
from rutile_kv.client.parallel import run_bounded
from rutile_kv.client.region_cache import CachedRegion
from rutile_kv.client.reply import Reply
from rutile_kv.client.sender import Missed
from rutile_proto.values import valueclass
from rutile_proto.wire_errors import key_error_from_pb

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

MAX_TOGETHER = 64
"""Batches whose requests leave in one turn, before any has been answered: such small ones are 2 MiB at most."""


class Again(enum.Enum):
    """What may become of a batch besides being done and being missed."""

    SAME = enum.auto()
    """What was in its way is gone: ask again."""


@valueclass
class Errand:
    """What is to be done at a transaction's keys, batch by batch."""

    method: str
    ask: Callable[[Batch], Any]
    """The request for a batch, which leaves now."""
    is_refusal: Callable[[Any], bool]
    """Whether an answer, without a region error, tells of keys at which it could not be done."""
    hear: Callable[[Batch, Any, Any, Backoff], Awaitable[Missed | Again | None]]
    """Takes the answer or `Missed` to a batch's request. None when its work is done, `Missed` when it must be cut anew
    and sent again. Waits, and raises, only if the answer is a refusal."""


def has_errors(answer: Any) -> bool:
    """`Errand.is_refusal` for answers with a list of them."""
    return bool(answer.errors)


def has_error(answer: Any) -> bool:
    """The same for answers with room for one."""
    return bool(answer.HasField("error"))


async def only_an_error(batch: Batch, request: Any, answer: Any, backoff: Backoff) -> Missed | None:
    """`Errand.hear` for answers that say no more than that it was done, or one error: that is raised."""
    if isinstance(answer, Missed):
        return answer
    if answer.HasField("error"):
        raise key_error_from_pb(answer.error)
    return None


@valueclass
class _Begun:
    """A batch, and its request if that has been made: what comes back for it if it has left, and when it did."""

    batch: Batch
    request: Any = None
    reply: Reply | None = None
    left_s: float = 0.0


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
    errand: Errand,
    backoff: Backoff,
    *,
    budget_each: bool = False,
) -> None:
    """Do the errand for all keys: batches in parallel, each again, cut by the regions as they are then, until it is
    done. Small requests leave and are awaited together (`arrivals`); each that is not simply done goes on by itself.

    All of it within the budget; with `budget_each` every batch has that much from when its turn comes, so that there
    may be any number of them.
    """
    batches = await cut(cluster, keys, size_of, backoff)
    if len(batches) <= MAX_TOGETHER:
        begun = [_begin(cluster, batch, errand) for batch in batches]
    else:
        begun = [_Begun(batch) for batch in batches]
    branch = backoff.renewed if budget_each else backoff.fork
    try:
        left = await _settle(cluster, begun, errand, backoff)
        jobs = [lambda each=each: _carry_on(cluster, each, size_of, errand, branch()) for each in left]
        if jobs:
            await run_bounded(jobs, cluster.options.parallel_rpcs)
    finally:
        for each in begun:
            if each.reply is not None:
                each.reply.forget()


def _begin(cluster: Cluster, batch: Batch, errand: Errand) -> _Begun:
    if not cluster.sender.shares(batch.region):
        return _Begun(batch)
    request = errand.ask(batch)
    return _Begun(
        batch, request, cluster.sender.begin(batch.region, errand.method, request), cluster.pace.clock.monotonic()
    )


async def _settle(cluster: Cluster, begun: Sequence[_Begun], errand: Errand, backoff: Backoff) -> Sequence[_Begun]:
    """Wait for what has left, and take the plain answers; the others, and what has not left."""
    replies = [each.reply for each in begun if each.reply is not None]
    if not replies:
        return begun
    arrivals = Arrivals(replies, errand.is_refusal)
    await arrivals.wait(FIRST_LOOK_S)
    left = []
    for each in begun:
        if each.reply is None or not arrivals.is_plain(each.reply):
            left.append(each)
            continue
        cluster.sender.accept(each.batch.region)
        outcome = await errand.hear(each.batch, each.request, each.reply.answer, backoff)
        assert outcome is None, f"an answer that is no refusal has to end the errand: {errand.method}"
    return left


async def _carry_on(cluster: Cluster, begun: _Begun, size_of: SizeOf, errand: Errand, backoff: Backoff) -> None:
    """Repeat until it is done."""
    left, outcome = deque([begun]), await _ask(cluster, begun, errand, backoff)
    while True:
        if outcome is None:
            left.popleft()
        elif isinstance(outcome, Missed):
            await outcome.wait(backoff)
            again = await cut(cluster, left.popleft().batch.keys, size_of, backoff)
            left.extendleft(_Begun(batch) for batch in reversed(again))
        if not left:
            return
        outcome = await _ask(cluster, _Begun(left[0].batch), errand, backoff)


async def _ask(cluster: Cluster, begun: _Begun, errand: Errand, backoff: Backoff) -> Missed | Again | None:
    """One try, or the rest of the one that has begun."""
    region = begun.batch.region
    request = errand.ask(begun.batch) if begun.request is None else begun.request
    if begun.reply is None:
        answer = await cluster.sender.send(region, errand.method, request, backoff)
    else:
        waited_s = cluster.pace.clock.monotonic() - begun.left_s
        answer = await cluster.sender.finish(region, errand.method, request, begun.reply, backoff, waited_s)
    return await errand.hear(begun.batch, request, answer, backoff)
