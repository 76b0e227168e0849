"""Ranges that are to be removed for good once nobody can read them any more: dropped tables, dropped indexes.

    1. whoever drops puts a note under `m delete_range` in the transaction that drops (`schedule`), so that either both
       happen or neither
    2. once the safe point has passed that commit, no reader is left that could see the data. The note is read as of the
       safe point itself, so finding it is the proof; nobody has to write timestamps down
    3. the note is claimed, in a transaction: until then `unschedule` takes it back (FLASHBACK TABLE), the data stays
    4. the range is destroyed on every store beside Raft (`gc.destroy_range`), which is far cheaper than deleting keys
    5. a snapshot of a region that was under way meanwhile may bring some of it back. So the note stays and counts the
       passes; when the safe point has passed that change too, the range is destroyed once more and the note goes

A store that cannot be reached keeps the note alive: it is tried again when the safe point moves next. Two workers at
once do the same work twice and no harm. The idea is TiDB's gc_delete_range.
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass, replace
from typing import Protocol

from rutile_kv.client.cluster import Cluster
from rutile_kv.client.gc import destroy_range
from rutile_kv.client.snapshot import Snapshot
from rutile_kv.client.transaction import Transaction
from rutile_proto.errors import InvalidRequest, RutileError
from rutile_proto.keys import meta_key, prefix_next

log = logging.getLogger(__name__)

PASSES = 2
"""How often a range is destroyed, each time below a safe point that has passed the time before."""
NOTES_AT_ONCE = 256
"""Notes read in one run; the others follow when these are gone."""
_NOTES = meta_key("delete_range")


class Writer(Protocol):
    """What scheduling needs of a transaction."""

    def put(self, key: bytes, value: bytes) -> None: ...


class ReadWriter(Writer, Protocol):
    """What taking it back needs."""

    async def get(self, key: bytes) -> bytes | None: ...

    def delete(self, key: bytes) -> None: ...


def schedule(transaction: Writer, start: bytes, end: bytes, mark: int = 0) -> None:
    """Have [start, end) (user keys) destroyed on every store, some time after the transaction has committed and the
    safe point has passed it. Nobody may write there again, unless `unschedule` takes it back; what may be scheduled
    again after that needs another `mark` each time. Raises InvalidRequest for an empty or open range."""
    if not start < end:
        raise InvalidRequest("a range to be deleted has a start below its end")
    note = Note(start, end, 0, mark=mark)
    transaction.put(note.key, note.to_bytes())


async def unschedule(transaction: ReadWriter, start: bytes, end: bytes) -> bool:
    """Take a range off the list again; whether all its data is still there. Nothing happens otherwise."""
    key = Note(start, end, 0).key
    data = await transaction.get(key)
    if data is None or Note.from_bytes(data).claimed:
        return False
    transaction.delete(key)
    return True


@dataclass(frozen=True, slots=True)
class Note:
    """A range on the list, and how often it was destroyed already."""

    start: bytes
    end: bytes
    passes: int
    claimed: bool = False
    """Somebody has begun to destroy it: there is no way back."""
    mark: int = 0
    """Tells this note from an earlier one of the same range, which was taken back."""

    @property
    def key(self) -> bytes:
        return meta_key("delete_range", self.start, self.end)

    def to_bytes(self) -> bytes:
        body: dict[str, object] = {"start": self.start.hex(), "end": self.end.hex(), "passes": self.passes}
        body |= {"claimed": True} if self.claimed else {}
        return json.dumps(body | ({"mark": self.mark} if self.mark else {})).encode()

    @staticmethod
    def from_bytes(data: bytes) -> Note:
        body = json.loads(data)
        claimed = body.get("claimed", body["passes"] > 0)
        start, end = bytes.fromhex(body["start"]), bytes.fromhex(body["end"])
        return Note(start, end, body["passes"], claimed, body.get("mark", 0))


class DeleteRanges:
    """The list, as the garbage collection worker uses it."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    async def due(self, ts: int) -> list[Note]:
        """What may be destroyed once the safe point is `ts`, at most `NOTES_AT_ONCE`. Raises RutileError."""
        pairs = await Snapshot(self._cluster, ts).scan(_NOTES, prefix_next(_NOTES), NOTES_AT_ONCE)
        return [Note.from_bytes(value) for _, value in pairs]

    async def run(self, safe_point: int) -> int:
        """Destroy what is due; how many ranges were. Every store must have heard of the safe point.

        A range that fails stays on the list. Raises RutileError when the list cannot be read.
        """
        done = 0
        for note in await self.due(safe_point):
            try:
                done += await self._destroy(note)
            except RutileError as error:
                log.warning("the range from %s stays on the list: %s", note.start.hex(), error)
        return done

    async def _destroy(self, note: Note) -> bool:
        """Whether it was: not if somebody has changed the note since the safe point."""
        claimed = replace(note, claimed=True)
        if not await self._claim(claimed):
            return False
        async with Transaction(self._cluster, await self._cluster.pd.timestamp()) as txn:
            if await txn.get(note.key) != claimed.to_bytes():
                return False
            await destroy_range(self._cluster, note.start, note.end)
            if note.passes + 1 == PASSES:
                txn.delete(note.key)
            else:
                txn.put(note.key, replace(claimed, passes=note.passes + 1).to_bytes())
        return True

    async def _claim(self, claimed: Note) -> bool:
        """Whether the note is there and ours, or that of a worker that got no further. From now on it stays."""
        async with Transaction(self._cluster, await self._cluster.pd.timestamp()) as txn:
            data = await txn.get(claimed.key)
            if data is None or replace(Note.from_bytes(data), claimed=True) != claimed:
                return False
            if data != claimed.to_bytes():
                txn.put(claimed.key, claimed.to_bytes())
        return True
