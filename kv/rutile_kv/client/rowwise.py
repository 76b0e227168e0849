"""Rows of a fragment in key order, a page at a time: the unary `Coprocessor` call with resume ranges.

For fragments whose answer for a range is the concatenation of the answers for its parts (filter and projection). Each
page says how far it has read; the next one goes on from there, in whichever region that is by then.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence

import pyarrow as pa

from rutile_kv.client.backoff import Backoff
from rutile_kv.client.cluster import Cluster
from rutile_kv.client.coprocessor import TP_FRAGMENT, with_ranges
from rutile_kv.client.fragment_errors import typed
from rutile_kv.client.key_ranges import KeyRange, is_empty, lesser_end, union
from rutile_kv.client.region_cache import CachedRegion
from rutile_kv.client.sender import Missed
from rutile_proto import coprocessor_pb2 as coprocessor
from rutile_proto import rutilepb_pb2 as rutilepb
from rutile_proto.errors import FragmentFailed, InvalidRequest
from rutile_proto.keys import storage_key
from rutile_proto.wire_errors import lock_from_pb


async def scan_rows(
    cluster: Cluster,
    fragment: rutilepb.Fragment,
    ranges: Mapping[str, Sequence[KeyRange]],
    ts: int,
    page_rows: int,
) -> AsyncIterator[pa.RecordBatch]:
    """Record batches in key order. InvalidRequest unless the fragment is rowwise over one scan."""
    if not fragment.rowwise or len(fragment.scans) != 1:
        raise InvalidRequest("only a rowwise fragment over one scan can be read in pages")
    reader = _PageReader(cluster, with_ranges(fragment, ranges), ts, page_rows)
    for start, end in union(next(iter(ranges.values()))):
        left: KeyRange | None = (start, end)
        while left is not None:
            page, left = await reader.next_page(*left)
            if page.arrow_ipc:
                for batch in pa.ipc.open_stream(page.arrow_ipc):
                    yield batch


class _PageReader:
    def __init__(self, cluster: Cluster, fragment: rutilepb.Fragment, ts: int, page_rows: int) -> None:
        self._cluster = cluster
        self._data = fragment.SerializeToString()
        self._ts = ts
        self._page_rows = page_rows
        self._passable: dict[int, None] = {}

    async def next_page(self, start: bytes, end: bytes) -> tuple[rutilepb.FragmentPage, KeyRange | None]:
        """The rows from `start` on, as many as a page holds, and what is left of [start, end)."""
        backoff = self._cluster.read_backoff("page of a fragment")
        while True:
            region = await self._cluster.regions.locate(storage_key(start) if start else b"", backoff)
            upto = lesser_end(end, region.user_end)
            answer = await self._cluster.sender.send(region, "Coprocessor", self._request(region, start, upto), backoff)
            if isinstance(answer, Missed):
                await answer.wait(backoff)
            elif not await self._stopped(answer, backoff):
                read_to = _read_to(answer, start, upto)
                left = (read_to, end) if read_to and not is_empty(read_to, end) else None
                return rutilepb.FragmentPage.FromString(answer.data), left

    def _request(self, region: CachedRegion, start: bytes, end: bytes) -> coprocessor.Request:
        return coprocessor.Request(
            context=region.context(self._passable),
            tp=TP_FRAGMENT,
            data=self._data,
            ranges=[coprocessor.KeyRange(start=start, end=end)],
            start_ts=self._ts,
            paging_size=self._page_rows,
        )

    async def _stopped(self, answer: coprocessor.Response, backoff: Backoff) -> bool:
        """Whether something stood in the way that has been dealt with now."""
        if answer.HasField("locked"):
            for start_ts in await self._cluster.locks.resolve([lock_from_pb(answer.locked)], self._ts, backoff):
                self._passable[start_ts] = None
            return True
        if answer.other_error:
            error, kind = typed(answer.other_error)
            if kind is None:
                raise error
            await backoff.wait(kind, error)
            return True
        return False


def _read_to(answer: coprocessor.Response, start: bytes, upto: bytes) -> bytes:
    """Where the page ends: at the end of what was asked for, or before, as the store says."""
    read_to: bytes = answer.range.end
    if read_to and read_to <= start:
        raise FragmentFailed(f"a page from {start.hex()} on was answered as read up to {read_to.hex()}")
    return lesser_end(read_to, upto)
