"""What the SQL front end needs of the key-value client; `rutile_kv.client.client.Client` is it, tests have a twin."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Literal, Protocol, TypeAlias, overload

import pyarrow as pa

from rutile_kv.client.bulk_load import CommittedRows
from rutile_kv.client.fragment_plan import WholeNotPossible
from rutile_kv.client.pd import RegionInfo
from rutile_kv.client.prewrite_requests import CommitLimit
from rutile_kv.client.scan_parts import ScanPart
from rutile_kv.client.ticket_scan import HeldSnapshot, TicketScan
from rutile_kv.env.prompt import NotNow
from rutile_proto import metapb_pb2 as metapb
from rutile_proto import pdadminpb_pb2 as pdadminpb
from rutile_proto import rutilepb_pb2 as rutilepb
from rutile_proto import ticketpb_pb2 as ticketpb
from rutile_proto.types import Timestamp

__all__ = [
    "CommitLimit", "FragmentMode", "FragmentResult", "HeldSnapshot", "KeyRange", "KvClient", "KvSnapshot",
    "KvTransaction", "LockingTransaction", "NotNow", "Pair", "RegionInfo", "ScanPart", "TicketScan", "WholeNotPossible",
]  # fmt: skip

KeyRange: TypeAlias = tuple[bytes, bytes]
"""[start, end) of user keys."""
Pair: TypeAlias = tuple[bytes, bytes]
FragmentMode: TypeAlias = Literal["whole", "per_store"]


class KvSnapshot(Protocol):
    """Reads at one timestamp."""

    async def get(self, key: bytes) -> bytes | None: ...

    def get_now(self, key: bytes) -> bytes | None:
        """The same in this very turn of the loop. Raises NotNow: await `get`."""

    async def batch_get(self, keys: Iterable[bytes]) -> dict[bytes, bytes]: ...

    async def scan(
        self, start: bytes, end: bytes, limit: int | None = None, *, reverse: bool = False
    ) -> list[Pair]: ...

    def scan_now(self, start: bytes, end: bytes, limit: int) -> Sequence[Pair]:
        """The first `limit` pairs in this very turn of the loop. Raises NotNow: await `scan`."""


class BufferEntry(Protocol):
    """What a transaction did to one key."""

    @property
    def hides(self) -> bool:
        """Whether reads are answered by this entry rather than by the snapshot."""

    @property
    def visible(self) -> bytes | None:
        """The value reads see; None is a deleted key."""


class WriteBuffer(Protocol):
    """A transaction's own writes."""

    def get(self, key: bytes) -> BufferEntry | None: ...

    def own_values(self, keys: Iterable[bytes]) -> tuple[dict[bytes, bytes], list[bytes]]:
        """The values of those of `keys` that were written, and the keys that were not."""

    def items(self, start: bytes, end: bytes) -> Iterator[tuple[bytes, BufferEntry]]:
        """Entries of [start, end) in key order."""


class KvTransaction(KvSnapshot, Protocol):
    """Reads at its start timestamp, its own writes laid over them; writes stay in its buffer until commit."""

    start_ts: Timestamp
    limit: CommitLimit | None
    """Set before `commit`: it does not commit after that timestamp without asking."""
    at_once: bool
    """Set before `commit`: it began and ends within one statement."""

    @property
    def buffer(self) -> WriteBuffer: ...

    def put(self, key: bytes, value: bytes) -> None: ...

    def insert(self, key: bytes, value: bytes) -> None:
        """A put that fails with AlreadyExist if the key exists: now for an own write, otherwise at commit."""

    def delete(self, key: bytes) -> None: ...

    def lock(self, key: bytes) -> None:
        """Conflict at commit if somebody else writes the key meanwhile."""

    def savepoint(self) -> int:
        """A mark to go back to; ended by `rollback_to` or `release`. They nest."""

    def rollback_to(self, savepoint: int) -> None: ...

    def release(self, savepoint: int) -> None: ...

    async def commit(self) -> Timestamp: ...

    async def rollback(self) -> None: ...


class LockingTransaction(KvTransaction, Protocol):
    """A pessimistic transaction: it can lock keys while it runs."""

    async def lock_keys(
        self, keys: Iterable[bytes], *, wait_s: float | None = None, as_of: int | None = None
    ) -> Mapping[bytes, bool]:
        """Lock all or none. Raises LockWaitTimeout, Deadlock, AlreadyExist for keys inserted here that exist, and
        WriteConflict for keys committed after `as_of`."""

    async def batch_get_for_update(self, keys: Iterable[bytes], *, wait_s: float | None = None) -> dict[bytes, bytes]:
        """Lock `keys`, all or none; the newest values of those that exist, in key order. Raises as `lock_keys`."""


class FragmentResult(Protocol):
    """What `run_fragment` gives back, complete."""

    @property
    def batches(self) -> Sequence[pa.RecordBatch]: ...

    @property
    def schema(self) -> pa.Schema | None: ...

    @property
    def summaries(self) -> Sequence[rutilepb.FragmentSummary]: ...


class KvClient(Protocol):
    """The client's face to the front end."""

    runs_fragments: bool
    """Whether the stores run pushed-down fragments; else `run_fragment` runs them here."""

    async def timestamp(self) -> Timestamp: ...

    def snapshot(self, ts: int) -> KvSnapshot: ...

    @overload
    async def begin(self) -> KvTransaction: ...

    @overload
    async def begin(self, *, pessimistic: Literal[True]) -> LockingTransaction: ...

    async def run_fragment(
        self,
        fragment: rutilepb.Fragment,
        ranges: Mapping[str, Sequence[KeyRange]],
        ts: int,
        mode: FragmentMode,
        timeout_s: float,
    ) -> FragmentResult: ...

    async def warm_mirrors(
        self, fragment: rutilepb.Fragment, ranges: Mapping[str, Sequence[KeyRange]], ts: int, timeout_s: float
    ) -> None:
        """Have every store decode its replicas of `ranges` into its columnar mirror."""

    async def scan_parts(self, ranges: Sequence[KeyRange]) -> Sequence[ScanPart]:
        """Where clients can fetch the parts of a large scan, one part a Flight location."""

    async def flight_locations(self) -> Mapping[int, str]:
        """The Flight locations of the stores that have one, by store id."""

    def ticket_scan(self, ticket: ticketpb.ScanTicket) -> TicketScan:
        """The rows of a scan ticket, through this client."""

    def hold_snapshot(self, held: HeldSnapshot) -> None:
        """Keep what is visible at a timestamp from garbage collection, as long as `held` says."""

    async def claim_versions(self, holder: str, ts: int, ttl_s: int) -> bool:
        """Keep what is visible at `ts` for `ttl_s` seconds in the name of `holder`, in place of what it claimed
        before; False if it may be gone. With 0 seconds the claim ends."""

    async def bulk_write(
        self, kinds: bytes, storage_keys: Sequence[bytes], keys: Sequence[bytes], values: Sequence[bytes]
    ) -> None:
        """Write encoded committed versions (see rutile.ingest.bulk_rows) where no transaction can look yet."""

    async def bulk_load(self, rows: CommittedRows) -> None:
        """Write many rows as committed versions, where no transaction can look yet."""

    async def regions_in(self, start: bytes, end: bytes) -> Sequence[RegionInfo]:
        """The regions that meet [start, end) of user keys, in key order, as the placement driver knows them."""

    async def region_figures(self, region_ids: Sequence[int]) -> Mapping[int, pdadminpb.RegionFigures]:
        """What the placement driver knows of regions beyond where they are, by id; nothing from a foreign one."""

    async def stores(self) -> Sequence[metapb.Store]:
        """The stores of the cluster that are not gone for good, by id."""

    async def split_regions(self, user_keys: Iterable[bytes], timeout_s: float = ...) -> Sequence[metapb.Region]:
        """Make regions begin at the keys; those regions, in key order."""

    async def wait_for_regions(self, user_keys: Iterable[bytes], timeout_s: float = ...) -> None:
        """Wait until the placement driver knows the regions that begin at the keys."""

    async def scatter_regions(self, user_keys: Iterable[bytes], group: str) -> float:
        """Have the regions that begin at the keys spread over the stores; the share of them that is under way."""
