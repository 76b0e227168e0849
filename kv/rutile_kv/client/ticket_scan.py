"""The rows of a scan ticket, region by region in key order, wherever the regions are by the time they are asked for.

    position ── a replica here? ── yes ──► its rows, from the mirror
        ▲              └── no, or it cannot serve ──► the same rows through BatchCoprocessor, from whoever leads
        └────────────────── the region's end ◄────────┘

Each region is read completely before any of its rows are handed on, so whatever goes wrong on the way (a split,
another leader, a lock) is put right by reading that region again: no row is missed, none comes twice. All regions are
read as of the ticket's timestamp, which is held back from garbage collection while the scan runs.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

import pyarrow as pa

from rutile_kv.client.backoff import REGION_MOVED, STORE_BUSY, Backoff
from rutile_kv.client.cluster import Cluster
from rutile_kv.client.coprocessor import run_fragment
from rutile_kv.client.key_ranges import is_empty, lesser_end, union
from rutile_proto import ticketpb_pb2 as ticketpb
from rutile_proto.errors import InvalidRequest, LockFacts, RegionError, ServerIsBusy
from rutile_proto.keys import storage_key

if TYPE_CHECKING:
    from rutile_coprocessor.fragment import Fragment

REGION_TIMEOUT_S = 60.0
"""Reading one region, retries and all."""
TRIES_HERE = 3
"""So often a replica is asked that cannot serve just now, before others are."""
MAX_BATCH_BYTES = 4 << 20
"""About how large a batch leaves: clients of gRPC refuse messages of more than 16 MiB unless told otherwise."""


class Replicas(Protocol):
    """The replicas in this process."""

    def region_end(self, position: bytes) -> bytes | None:
        """The user key at which the region here that covers `position` ends; None if there is none here."""

    async def rows(
        self, ticket: ticketpb.ScanTicket, fragment: Fragment, start: bytes, end: bytes, passable: Collection[int]
    ) -> list[pa.RecordBatch] | LockFacts:
        """The rows in [start, end), which lies in one region, or a lock in the way. Raises RegionError."""


class HeldSnapshot:
    """A timestamp that is read at: what `GcHold` wants of a running transaction."""

    def __init__(self, ts: int, is_running: Callable[[], bool] = lambda: True) -> None:
        self._ts = ts
        self._is_running = is_running
        self.ended = False

    @property
    def oldest_ts(self) -> int | None:
        """The timestamp, while somebody may read at it."""
        return None if self.ended or not self._is_running() else self._ts


class TicketScan:
    """Reads one ticket. `replicas` None: nothing is here, everything comes from the stores."""

    def __init__(self, cluster: Cluster, ticket: ticketpb.ScanTicket, replicas: Replicas | None = None) -> None:
        """InvalidRequest unless the ticket's fragment is rowwise over one scan."""
        from rutile_coprocessor.fragment import Fragment  # loads DuckDB, which key-value clients do not pay for

        self.query_id: bytes = ticket.query_id
        self._cluster = cluster
        self._ticket = ticket
        self._replicas = replicas
        self._fragment = Fragment.from_proto(ticket.fragment)
        if not self._fragment.rowwise or len(self._fragment.scans) != 1:
            raise InvalidRequest("a ticket is for a rowwise fragment over one scan")
        self.schema: pa.Schema = pa.ipc.read_schema(pa.py_buffer(ticket.schema))
        self._passable: dict[int, None] = {}

    async def parts(self) -> AsyncGenerator[list[pa.RecordBatch], None]:
        """One region's rows after the other, in batches of the ticket's schema."""
        ranges = union((bounds.start, bounds.end) for bounds in self._ticket.ranges)
        with _held(self._cluster, self._ticket.ts):
            for start, end in ranges:
                position = start
                while position and not is_empty(position, end):
                    batches, position = await self._part(position, end)
                    yield [piece for batch in batches for piece in cut(self._shaped(batch))]

    async def _part(self, start: bytes, end: bytes) -> tuple[list[pa.RecordBatch], bytes]:
        """The rows from `start` on of the region it lies in, and where the next one begins (empty: nowhere)."""
        here = await self._here(start, end) if self._replicas is not None else None
        return here if here is not None else await self._elsewhere(start, end)

    async def _here(self, start: bytes, end: bytes) -> tuple[list[pa.RecordBatch], bytes] | None:
        """The same from the replica in this process; None if there is none, or it cannot serve."""
        assert self._replicas is not None
        backoff, failures = Backoff("region of a scan", REGION_TIMEOUT_S, self._cluster.pace), 0
        while failures < TRIES_HERE and (region_end := self._replicas.region_end(start)) is not None:
            upto = lesser_end(end, region_end)
            try:
                rows = await self._replicas.rows(self._ticket, self._fragment, start, upto, self._passable)
            except ServerIsBusy as error:
                await backoff.wait(STORE_BUSY, error)
            except RegionError as error:
                failures += 1
                await backoff.wait(REGION_MOVED, error)
            else:
                if not isinstance(rows, LockFacts):
                    return [self._ordered(batch) for batch in rows], upto
                await self._pass_lock(rows, backoff)
        return None

    async def _elsewhere(self, start: bytes, end: bytes) -> tuple[list[pa.RecordBatch], bytes]:
        backoff = Backoff("region of a scan", REGION_TIMEOUT_S, self._cluster.pace)
        region = await self._cluster.regions.locate(storage_key(start), backoff)
        upto = lesser_end(end, region.user_end)
        ranges = {self._fragment.scans[0].name: [(start, upto)]}
        result = await run_fragment(
            self._cluster, self._ticket.fragment, ranges, self._ticket.ts, "per_store", backoff.remaining_s
        )
        return list(result.batches), upto

    async def _pass_lock(self, lock: LockFacts, backoff: Backoff) -> None:
        for start_ts in await self._cluster.locks.resolve([lock], self._ticket.ts, backoff):
            self._passable[start_ts] = None

    def _ordered(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Rows of a plain ticket come with the scan's columns; put them into the result's order."""
        return batch.select(list(self._ticket.plain_columns)) if self._ticket.plain_columns else batch

    def _shaped(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """The batch with the names and types of the ticket's schema."""
        arrays = [
            array if array.type == field.type else array.cast(field.type)
            for array, field in zip(batch.columns, self.schema, strict=True)
        ]
        return pa.RecordBatch.from_arrays(arrays, schema=self.schema)


@contextmanager
def _held(cluster: Cluster, ts: int) -> Iterator[None]:
    """Keep versions visible at `ts` from garbage collection."""
    held = HeldSnapshot(ts)
    cluster.gc_hold.add(held)
    try:
        yield
    finally:
        held.ended = True


def cut(batch: pa.RecordBatch, limit_bytes: int = MAX_BATCH_BYTES) -> Sequence[pa.RecordBatch]:
    """Slices of `batch`, uncopied, of about `limit_bytes` bytes at most; none of an empty batch."""
    rows = batch.num_rows
    step = max(1, int(rows * limit_bytes / max(1, batch.nbytes)))
    return [batch.slice(at, step) for at in range(0, rows, step)]
