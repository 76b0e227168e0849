"""Running pushed-down fragments: `BatchCoprocessor` on one store or on all, and putting right what goes wrong.

Each request is all or nothing up to its first page: either every region in it can be read, or the stream holds only the
regions to look up again, or a lock to resolve. So a request that fails is planned anew for its own part alone, and
nothing is ever delivered twice. Pages are held back until `HOLD_BYTES` of them are there: a stream that breaks before
that is repeated too. Breaking later, it fails the fragment, because rows once handed on cannot be called back.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field

import grpc

from rutile_kv.client.backoff import REGION_MOVED, STORE_UNREACHABLE, Backoff
from rutile_kv.client.calls import close_stream, kind_of
from rutile_kv.client.cluster import Cluster
from rutile_kv.client.connections import StoreGone
from rutile_kv.client.fragment_errors import typed
from rutile_kv.client.fragment_plan import FragmentMode, RegionPart, StoreTask, plan
from rutile_kv.client.fragment_result import FragmentResult, FragmentStream
from rutile_kv.client.key_ranges import KeyRange, union
from rutile_kv.client.parallel import interleave
from rutile_proto import coprocessor_pb2 as coprocessor
from rutile_proto import kvrpcpb_pb2 as kvrpcpb
from rutile_proto import metapb_pb2 as metapb
from rutile_proto import rutilepb_pb2 as rutilepb
from rutile_proto.errors import FragmentCancelled, FragmentFailed, InvalidRequest, RegionNotFound, RetriesExhausted
from rutile_proto.wire_errors import lock_from_pb

TP_FRAGMENT = 200
HOLD_BYTES = 4 << 20
COMEBACK_MS = 3_000
"""A query waits so long for the store that has the mirror of its regions: connections that failed are tried anew after
up to two seconds, and elections take no longer."""
PAGES_AHEAD = 8
"""Pages that several stores together may be ahead of the consumer."""


async def stream_fragment(
    cluster: Cluster,
    fragment: rutilepb.Fragment,
    ranges: Mapping[str, Sequence[KeyRange]],
    ts: int,
    mode: FragmentMode,
    timeout_s: float,
    hold_bytes: float = HOLD_BYTES,
) -> FragmentStream:
    """Plan the fragment and begin it when the first batch is asked for. `WholeNotPossible` at once, if so."""
    backoff = Backoff("fragment", timeout_s, cluster.pace)
    run = FragmentRun(cluster, with_ranges(fragment, ranges), ts, mode, backoff, hold_bytes)
    tasks = await plan(cluster, union(each for some in ranges.values() for each in some), mode, backoff)
    if len(tasks) == 1:
        return FragmentStream(run.pages(tasks[0]))
    return FragmentStream(interleave([run.pages(task) for task in tasks], PAGES_AHEAD))


async def run_fragment(
    cluster: Cluster,
    fragment: rutilepb.Fragment,
    ranges: Mapping[str, Sequence[KeyRange]],
    ts: int,
    mode: FragmentMode,
    timeout_s: float,
) -> FragmentResult:
    """The whole result at once; nothing is handed on before the end, so any broken stream can be repeated."""
    stream = await stream_fragment(cluster, fragment, ranges, ts, mode, timeout_s, hold_bytes=float("inf"))
    async with stream:
        batches = [batch async for batch in stream]
    return FragmentResult(batches, stream.summaries, stream.schema)


def with_ranges(fragment: rutilepb.Fragment, ranges: Mapping[str, Sequence[KeyRange]]) -> rutilepb.Fragment:
    """A copy whose scans read `ranges`. InvalidRequest unless those name exactly its scans."""
    copy = rutilepb.Fragment()
    copy.CopyFrom(fragment)
    if sorted(ranges) != sorted(scan.name for scan in copy.scans):
        raise InvalidRequest(f"ranges are for {sorted(ranges)}, the scans are {[scan.name for scan in copy.scans]}")
    for scan in copy.scans:
        del scan.ranges[:]
        scan.ranges.extend(_ranges_pb(ranges[scan.name]))
    return copy


@dataclass(slots=True)
class _Held:
    """Pages of one attempt, held back while it can still be repeated."""

    limit_bytes: float
    pages: list[rutilepb.FragmentPage] = field(default_factory=list)
    size_bytes: int = 0
    released: bool = False

    def add(self, page: rutilepb.FragmentPage) -> list[rutilepb.FragmentPage]:
        """The pages to hand on now."""
        self.pages.append(page)
        self.size_bytes += len(page.arrow_ipc)
        self.released = self.released or self.size_bytes > self.limit_bytes
        return self.rest() if self.released else []

    def rest(self) -> list[rutilepb.FragmentPage]:
        pages, self.pages = self.pages, []
        return pages


class _Again(Exception):
    """This attempt delivered nothing and has been put right: do these tasks instead."""

    def __init__(self, tasks: list[StoreTask]) -> None:
        self.tasks = tasks


class FragmentRun:
    """One fragment on its way over all its tasks."""

    def __init__(
        self,
        cluster: Cluster,
        fragment: rutilepb.Fragment,
        ts: int,
        mode: FragmentMode,
        backoff: Backoff,
        hold_bytes: float,
    ) -> None:
        self._cluster = cluster
        self._data = fragment.SerializeToString()
        self._ts = ts
        self._mode: FragmentMode = mode
        self._backoff = backoff
        self._hold_bytes = hold_bytes
        self._passable: dict[int, None] = {}
        self._failed_stores: dict[int, None] = {}
        self._sites: dict[int, None] = {}
        """Stores that have the mirror, as far as we know."""

    def _is_worth_waiting_for(self, task: StoreTask) -> bool:
        """Whether the store was where the mirror of the task's regions is, when this attempt began: another one would
        have to make it, which takes longer than an election, or than a store that is just back takes to be found."""
        return task.replica_read and task.store_id in self._sites and self._backoff.spent_ms < COMEBACK_MS

    async def pages(self, task: StoreTask) -> AsyncGenerator[rutilepb.FragmentPage, None]:
        """All pages of the task's part of the data, from whichever stores have it in the end."""
        left = deque([task])
        while left:
            try:
                async with aclosing(self._attempt(left.popleft())) as pages:
                    async for page in pages:
                        yield page
            except _Again as again:
                left.extendleft(reversed(again.tasks))
            except RetriesExhausted as error:
                raise FragmentCancelled(f"the fragment's time is up after {error.spent_ms} ms: {error}") from error

    async def _attempt(self, task: StoreTask) -> AsyncGenerator[rutilepb.FragmentPage, None]:
        sites, region_ids = self._cluster.mirror_sites, [part.region.id for part in task.parts]
        if sites.is_site(task.store_id, region_ids):
            self._sites[task.store_id] = None
        with sites.reading(task.store_id, region_ids):
            async with aclosing(self._stream(task)) as pages:
                async for page in pages:
                    yield page

    async def _stream(self, task: StoreTask) -> AsyncGenerator[rutilepb.FragmentPage, None]:
        held = _Held(self._hold_bytes)
        stream = None
        try:
            stub = await self._cluster.sender.stub(task.store_id, self._backoff)
            stream = stub.BatchCoprocessor(self._request(task), timeout=self._backoff.remaining_s)
            async for answer in stream:
                for page in held.add(await self._checked(task, answer)):
                    yield page
            for page in held.rest():
                yield page
        except (grpc.RpcError, StoreGone) as error:
            await self._broken(task, error, held)
        finally:
            if stream is not None:
                await close_stream(stream)

    def _request(self, task: StoreTask) -> coprocessor.BatchRequest:
        context = kvrpcpb.Context(
            peer=metapb.Peer(store_id=task.store_id),
            replica_read=task.replica_read,
            resolved_locks=self._passable,
        )
        regions = [_region_info(part) for part in task.parts]
        return coprocessor.BatchRequest(
            context=context, tp=TP_FRAGMENT, data=self._data, regions=regions, start_ts=self._ts
        )

    async def _checked(self, task: StoreTask, answer: coprocessor.BatchResponse) -> rutilepb.FragmentPage:
        """The page in an answer; `_Again` or a CoprocessorError if there is none."""
        if answer.other_error:
            await self._busy_or_raise(task, answer.other_error)
        if answer.retry_regions:
            raise _Again(await self._relocate(task, answer.retry_regions))
        page: rutilepb.FragmentPage = rutilepb.FragmentPage.FromString(answer.data)
        if page.HasField("locked"):
            await self._pass_lock(page.locked)
            raise _Again([task])
        return page

    async def _busy_or_raise(self, task: StoreTask, text: str) -> None:
        error, kind = typed(text)
        if kind is None:
            raise error
        await self._backoff.wait(kind, error)
        raise _Again([task])

    async def _relocate(self, task: StoreTask, stale: Sequence[metapb.Region]) -> list[StoreTask]:
        """Forget what was wrong about the regions, wait, and plan the task's part anew."""
        told = {region.id: region for region in stale}
        for part in task.parts:
            if part.region.id in told:
                self._cluster.regions.forget(part.region)
        if not self._is_worth_waiting_for(task):
            self._failed_stores[task.store_id] = None
        await self._backoff.wait(REGION_MOVED, RegionNotFound(stale[0].id))
        return await self._plan_again(task)

    async def _plan_again(self, task: StoreTask) -> list[StoreTask]:
        tasks = await plan(self._cluster, task.ranges, self._mode, self._backoff, self._failed_stores)
        if all(each.store_id in self._failed_stores for each in tasks):
            self._failed_stores.clear()  # everyone has failed once: begin another round
        return tasks

    async def _pass_lock(self, locked: kvrpcpb.LockInfo) -> None:
        for start_ts in await self._cluster.locks.resolve([lock_from_pb(locked)], self._ts, self._backoff):
            self._passable[start_ts] = None

    async def _broken(self, task: StoreTask, error: grpc.RpcError | StoreGone, held: _Held) -> None:
        """Plan anew after a stream that broke; raises `_Again`, or why that cannot be done."""
        if isinstance(error, grpc.RpcError) and error.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
            raise FragmentCancelled(f"the fragment's time is up after {self._backoff.spent_ms} ms") from error
        if held.released:
            raise FragmentFailed(
                f"store {task.store_id} broke off in the middle of the result; run it again"
            ) from error
        kind = kind_of(error) if isinstance(error, grpc.RpcError) else STORE_UNREACHABLE
        self._cluster.sender.doubt(task.store_id)
        if not self._is_worth_waiting_for(task):
            self._cluster.mirror_sites.forget(task.store_id)
            self._failed_stores[task.store_id] = None
        for part in task.parts:
            if part.region.leader.store_id == task.store_id:
                self._cluster.regions.try_next_peer(part.region)
        await self._backoff.wait(kind, error)
        raise _Again(await self._plan_again(task)) from error


def _region_info(part: RegionPart) -> coprocessor.RegionInfo:
    return coprocessor.RegionInfo(
        region_id=part.region.id, region_epoch=part.region.region.region_epoch, ranges=_ranges_pb(part.ranges)
    )


def _ranges_pb(ranges: Sequence[KeyRange]) -> list[coprocessor.KeyRange]:
    return [coprocessor.KeyRange(start=start, end=end) for start, end in ranges]
