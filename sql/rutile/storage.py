"""What the SQL front end needs of the key-value client; `rutile_kv.client.client.Client` is it, tests have a twin."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, Protocol, TypeAlias

import pyarrow as pa
from rutile_proto import rutilepb_pb2 as rutilepb
from rutile_proto.types import Timestamp

KeyRange: TypeAlias = tuple[bytes, bytes]
"""[start, end) of user keys."""
Pair: TypeAlias = tuple[bytes, bytes]
FragmentMode: TypeAlias = Literal["whole", "per_store"]


class KvSnapshot(Protocol):
    """Reads at one timestamp."""

    async def get(self, key: bytes) -> bytes | None: ...

    async def batch_get(self, keys: Sequence[bytes]) -> dict[bytes, bytes]: ...

    async def scan(self, start: bytes, end: bytes, limit: int) -> list[Pair]: ...


class KvTransaction(KvSnapshot, Protocol):
    """Reads at its start timestamp, its own writes laid over them; writes stay in its buffer until commit."""

    start_ts: Timestamp

    @property
    def is_dirty(self) -> bool: ...

    def put(self, key: bytes, value: bytes) -> None: ...

    def insert(self, key: bytes, value: bytes) -> None:
        """A put that fails with AlreadyExist at commit if the key exists."""

    def delete(self, key: bytes) -> None: ...

    def savepoint(self) -> int:
        """A mark to go back to; ended by `rollback_to` or `release`. They nest."""

    def rollback_to(self, savepoint: int) -> None: ...

    def release(self, savepoint: int) -> None: ...

    def buffered(self, start: bytes, end: bytes) -> list[tuple[bytes, bytes | None]]:
        """The buffer's entries in [start, end), in key order; None is a delete."""

    async def commit(self) -> Timestamp: ...

    async def rollback(self) -> None: ...


class FragmentResult(Protocol):
    """What `run_fragment` gives back, complete."""

    batches: Sequence[pa.RecordBatch]
    summaries: Sequence[rutilepb.FragmentSummary]


class KvClient(Protocol):
    """The client's face to the front end."""

    async def timestamp(self) -> Timestamp: ...

    def snapshot(self, ts: Timestamp) -> KvSnapshot: ...

    async def begin(self) -> KvTransaction: ...

    async def run_fragment(
        self,
        fragment: rutilepb.Fragment,
        ranges: Mapping[str, Sequence[KeyRange]],
        ts: Timestamp,
        mode: FragmentMode,
        timeout_s: float,
    ) -> FragmentResult: ...
