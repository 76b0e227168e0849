"""Gets that arrived in one message, answered with one look at each region.

A get alone costs a task, a check of the request's place and a view of the region; the value itself is the least of it.
Gets of the same place share all that. Whatever else a get may meet (a lock, a wrong region, bounds, a deadline) is left
to the method that serves gets that come alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeAlias

from rutile_kv.server.boundary import check_cluster, check_open, deadline_seconds
from rutile_kv.server.raw_reads import RawReads
from rutile_kv.server.raw_requests import check_raw_key
from rutile_kv.server.region_store import check_in_region
from rutile_kv.server.transactional_reads import TransactionalReads, known_locks
from rutile_kv.server.validation import check_key, check_timestamp
from rutile_proto import kvrpcpb_pb2 as kvrpcpb

Get: TypeAlias = kvrpcpb.GetRequest | kvrpcpb.RawGetRequest
Numbered: TypeAlias = tuple[int, Any]
"""A get with the id it was asked under."""
Look: TypeAlias = Callable[[Any], Any]

POINT_GETS = ("Get", "RawGet")
"""The commands that are served together."""


class PointGets(TransactionalReads, RawReads):
    """Mixed into the Tikv service; needs `closed` beside what its bases need."""

    closed: bool

    async def get_together(self, gets: Sequence[Get]) -> list[Any]:
        """The responses to gets of one place (see `by_place`), in their order; None for those to be served alone."""
        if gets[0].context.stale_read:
            return [None] * len(gets)
        try:
            check_open(self)
            check_cluster(gets[0].context, self.cluster_id)
            async with asyncio.timeout(deadline_seconds(gets[0].context)):
                look = await self._look(gets)
        except Exception:  # whatever it is, each get meets it again alone, and tells of it in its own answer
            return [None] * len(gets)
        return [_tried(look, get) for get in gets]

    async def _look(self, gets: Sequence[Any]) -> Look:
        """What answers one get, valid until the next await."""
        context = gets[0].context
        if isinstance(gets[0], kvrpcpb.RawGetRequest):
            raw = await self._reader(context, gets[0].cf)

            def look_at_raw(get: kvrpcpb.RawGetRequest) -> kvrpcpb.RawGetResponse:
                check_raw_key(get.key)
                value = raw.get(get.key)
                return kvrpcpb.RawGetResponse(value=value, not_found=value is None)

            return look_at_raw

        self.scheduler.safe_point.check(min(get.version for get in gets))
        reader, region = await self._view(context, max(get.version for get in gets))

        def look_at_row(get: kvrpcpb.GetRequest) -> kvrpcpb.GetResponse:
            check_key("key", get.key)
            check_timestamp("version", get.version)
            check_in_region(region, get.context, (get.key,))
            known = known_locks(get.context)
            value = reader.get(get.key, get.version, bypass=known.bypass, access=known.access)
            return kvrpcpb.GetResponse(value=value, not_found=value is None)

        return look_at_row


def by_place(gets: Iterable[Numbered]) -> list[list[Numbered]]:
    """The gets in groups that one view can serve: same kind, region, epoch, peer, way of reading, deadline."""
    groups: dict[tuple[object, ...], list[Numbered]] = {}
    for numbered in gets:
        groups.setdefault(_place(numbered[1]), []).append(numbered)
    return list(groups.values())


def _place(get: Get) -> tuple[object, ...]:
    context = get.context
    epoch, peer = context.region_epoch, context.peer
    return (
        get.cf if isinstance(get, kvrpcpb.RawGetRequest) else None,
        context.region_id,
        epoch.version,
        epoch.conf_ver,
        peer.id,
        peer.store_id,
        context.term,
        context.replica_read,
        context.stale_read,
        context.cluster_id,
        context.max_execution_duration_ms,
    )


def _tried(look: Look, get: Get) -> Any:
    try:
        return look(get)
    except Exception:  # as above
        return None
