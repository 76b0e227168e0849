"""A RegionKv of one region on a memory engine, whose answers the test may hold back or spoil; and simple commands."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from rutile_kv.engine.api import CF_DEFAULT, Modify, Reader, Snapshot
from rutile_kv.engine.memory import MemoryEngine
from rutile_kv.mvcc.reader import MvccReader
from rutile_kv.txn.model import Outcome
from rutile_proto import kvrpcpb_pb2 as kvrpcpb
from rutile_proto import metapb_pb2 as metapb
from rutile_proto.types import LogIndex


class FakeRegionKv:
    def __init__(self) -> None:
        self.engine = MemoryEngine()
        self.writable = asyncio.Event()
        self.writable.set()
        self.asked_to_write = asyncio.Event()
        self.read_error: Exception | None = None
        self.write_error: Exception | None = None
        self.writes: list[list[Modify]] = []
        self.term = 7
        self.prompt = False
        """Whether views can be had without an await."""
        self.terms_written: list[int] = []

    def view_now(self, context: kvrpcpb.Context) -> tuple[Reader, metapb.Region] | None:
        if not self.prompt:
            return None
        if self.read_error is not None:
            raise self.read_error
        context.term = self.term
        return self.engine, metapb.Region(id=context.region_id)

    async def read_view(self, context: kvrpcpb.Context) -> Reader:
        await asyncio.sleep(0)
        if self.read_error is not None:
            raise self.read_error
        context.term = self.term
        return self.engine

    async def snapshot(self, context: kvrpcpb.Context) -> tuple[Snapshot, metapb.Region, LogIndex]:
        return self.engine.snapshot(), metapb.Region(id=context.region_id), LogIndex(len(self.writes))

    async def write(self, context: kvrpcpb.Context, modifies: Sequence[Modify]) -> None:
        self.asked_to_write.set()
        self.terms_written.append(context.term)
        await self.writable.wait()
        if self.write_error is not None:
            raise self.write_error
        batch = self.engine.batch()
        for cf, key, value in modifies:
            if value is None:
                batch.delete(cf, key)
            else:
                batch.put(cf, key, value)
        self.engine.write(batch)
        self.writes.append(list(modifies))


@dataclass(frozen=True, slots=True)
class Touch:
    """Latches `keys`; answers `result`, writes if asked to, or raises."""

    keys: tuple[bytes, ...]
    result: int = 0
    writes: bool = True
    error: Exception | None = None

    def latch_keys(self) -> Sequence[bytes]:
        return self.keys

    def process(self, reader: MvccReader, max_ts: int) -> Outcome[int]:
        if self.error is not None:
            raise self.error
        return Outcome([(CF_DEFAULT, key, b"") for key in self.keys] if self.writes else [], self.result)
