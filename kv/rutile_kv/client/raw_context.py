"""The context of raw requests."""

from __future__ import annotations

from rutile_kv.client.region_cache import CachedRegion
from rutile_proto import kvrpcpb_pb2 as kvrpcpb

AWARE = "rutile"
"""Context.request_source of this client: it wants to hear of region errors. A store hides them from raw scans of
others, for the Python wheels take them for an empty page (wire.md 6.1)."""


def context_of(region: CachedRegion) -> kvrpcpb.Context:
    """The context of a raw request to the leader of `region`."""
    context = region.context()
    context.request_source = AWARE
    return context
