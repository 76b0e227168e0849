"""An engine that dies before or after it writes, when RUTILE_FAILPOINTS asks for it.

Everything a store or a placement driver keeps goes through these few doors, so to die at each passage of each of them
is to die at every place where anything is written: the first identity, log entries, applied data, snapshot slices,
garbage collection, PD's log.

    <owner>.write.before  <owner>.write.after       a batch; it is visible after, durable with the next sync
    <owner>.sync.before   <owner>.sync.after
    <owner>.ingest.before <owner>.ingest.after      bulk loads

The owner is `store` or `pd`.
"""

from collections.abc import Iterator

from rutile_kv.engine.api import Cf, Engine, Snapshot, WriteBatch
from rutile_kv.env.failpoints import Failpoints


def with_failpoints(engine: Engine, owner: str) -> Engine:
    """`engine` itself, unless the environment names points of `owner`."""
    points = Failpoints.of_environment()
    return FailingEngine(engine, owner, points) if any(name.startswith(owner + ".") for name in points.left) else engine


class FailingEngine:
    """The Engine protocol around another engine."""

    def __init__(self, engine: Engine, owner: str, points: Failpoints) -> None:
        self._engine = engine
        self._owner = owner
        self._points = points

    def get(self, cf: Cf, key: bytes) -> bytes | None:
        return self._engine.get(cf, key)

    def scan(self, cf: Cf, start: bytes, end: bytes | None, *, reverse: bool = False) -> Iterator[tuple[bytes, bytes]]:
        return self._engine.scan(cf, start, end, reverse=reverse)

    def snapshot(self) -> Snapshot:
        return self._engine.snapshot()

    def batch(self) -> WriteBatch:
        return self._engine.batch()

    def write(self, batch: WriteBatch) -> None:
        self._points.hit(f"{self._owner}.write.before")
        self._engine.write(batch)
        self._points.hit(f"{self._owner}.write.after")

    def sync(self) -> None:
        self._points.hit(f"{self._owner}.sync.before")
        self._engine.sync()
        self._points.hit(f"{self._owner}.sync.after")

    def ingest(self, cf: Cf, pairs: Iterator[tuple[bytes, bytes]]) -> int:
        self._points.hit(f"{self._owner}.ingest.before")
        count = self._engine.ingest(cf, pairs)
        self._points.hit(f"{self._owner}.ingest.after")
        return count

    def approximate_size_bytes(self, start: bytes, end: bytes | None) -> int:
        return self._engine.approximate_size_bytes(start, end)

    def compact(self, start: bytes, end: bytes | None) -> None:
        self._engine.compact(start, end)

    def close(self) -> None:
        self._engine.close()
