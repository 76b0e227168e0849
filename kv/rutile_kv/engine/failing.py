"""An engine that dies before or after it writes, when RUTILE_FAILPOINTS asks for it.

Everything a store or a placement driver keeps goes through these few doors, so to die at each passage of each of them
is to die at every place where anything is written:

    <owner>.write.before  <owner>.write.after       a batch; it is visible after, durable with the next sync
    <owner>.sync.before   <owner>.sync.after
    <owner>.ingest.before <owner>.ingest.after      sorted pairs in bulk
    <owner>.table_files.before    .after            a batch's table files; after: they are there, the rest is not

The owner is `store` or `pd`. Most batches hold nothing but log entries and applied data, so the rare ones have names of
their own, by what is in them: `<owner>.<place>.before` and `.after`. Which places there are, their owners know
(`rutile_kv.raftstore.write_places`, `rutile_pd.consensus.write_places`); a batch may be several at once.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TypeAlias

from rutile_kv.engine.api import Cf, Engine, Modify, Reader, Snapshot, WriteBatch
from rutile_kv.engine.table_file import TableFile
from rutile_kv.env.failpoints import Failpoints
from rutile_proto.errors import InvalidRequest

Operation: TypeAlias = tuple[Cf, bytes, bytes | None, bytes | None]
"""(family, key, value or None to delete it, end of the range to delete or None)."""
PlacesOf: TypeAlias = Callable[[Reader, Sequence[Operation]], Sequence[str]]
"""What a batch is, given the engine as it was before it."""


def with_failpoints(engine: Engine, owner: str, directory: Path, places_of: PlacesOf) -> Engine:
    """`engine` itself, unless the environment names points, or a file for them in `directory`."""
    points = Failpoints.of_environment(directory)
    return engine if points is None else FailingEngine(engine, owner, points, places_of)


class NotedBatch:
    """A batch of another engine, and a note of what is in it."""

    def __init__(self, inner: WriteBatch) -> None:
        self.inner = inner
        self.operations: list[Operation] = []
        self.tables: list[tuple[Cf, TableFile]] = []

    def put(self, cf: Cf, key: bytes, value: bytes) -> None:
        self.operations.append((cf, key, value, None))
        self.inner.put(cf, key, value)

    def delete(self, cf: Cf, key: bytes) -> None:
        self.operations.append((cf, key, None, None))
        self.inner.delete(cf, key)

    def delete_range(self, cf: Cf, start: bytes, end: bytes) -> None:
        self.operations.append((cf, start, None, end))
        self.inner.delete_range(cf, start, end)

    def extend(self, modifies: Iterable[Modify]) -> None:
        noted = list(modifies)
        self.operations.extend((cf, key, value, None) for cf, key, value in noted)
        self.inner.extend(noted)

    def ingest(self, cf: Cf, table: TableFile) -> None:
        self.operations.append((cf, table.first_key, b"", None))
        self.tables.append((cf, table))
        self.inner.ingest(cf, table)

    def __len__(self) -> int:
        return len(self.inner)


class FailingEngine:
    """The Engine protocol around another engine."""

    def __init__(self, engine: Engine, owner: str, points: Failpoints, places_of: PlacesOf) -> None:
        self._engine = engine
        self._owner = owner
        self._points = points
        self._places_of = places_of

    def get(self, cf: Cf, key: bytes) -> bytes | None:
        return self._engine.get(cf, key)

    def scan(self, cf: Cf, start: bytes, end: bytes | None, *, reverse: bool = False) -> Iterator[tuple[bytes, bytes]]:
        return self._engine.scan(cf, start, end, reverse=reverse)

    def snapshot(self) -> Snapshot:
        return self._engine.snapshot()

    def batch(self) -> NotedBatch:
        return NotedBatch(self._engine.batch())

    def write(self, batch: WriteBatch) -> None:
        if not isinstance(batch, NotedBatch):
            raise InvalidRequest("a batch belongs to the engine that made it")
        places = ("write", *self._places_of(self._engine, batch.operations))
        self._pass(places, "before")
        if batch.tables:
            self._link(batch.tables)
        self._engine.write(batch.inner)
        self._pass(places, "after")

    def sync(self) -> None:
        self._pass(("sync",), "before")
        self._engine.sync()
        self._pass(("sync",), "after")

    def ingest(self, cf: Cf, pairs: Iterator[tuple[bytes, bytes]]) -> int:
        self._pass(("ingest",), "before")
        count = self._engine.ingest(cf, pairs)
        self._pass(("ingest",), "after")
        return count

    def approximate_size_bytes(self, start: bytes, end: bytes | None) -> int:
        return self._engine.approximate_size_bytes(start, end)

    def compact(self, start: bytes, end: bytes | None) -> None:
        self._engine.compact(start, end)

    def close(self) -> None:
        self._engine.close()

    def _link(self, tables: Sequence[tuple[Cf, TableFile]]) -> None:
        """The files alone, as they are for a moment in an engine that links them and then writes the rest. It does so
        once more; that changes nothing."""
        self._pass(("table_files",), "before")
        alone = self._engine.batch()
        for cf, table in tables:
            alone.ingest(cf, table)
        self._engine.write(alone)
        self._pass(("table_files",), "after")

    def _pass(self, places: Sequence[str], side: str) -> None:
        for place in places:
            self._points.hit(f"{self._owner}.{place}.{side}")
