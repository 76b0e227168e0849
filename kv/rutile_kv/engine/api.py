"""What the layers above want of a storage engine: an ordered map per column family, atomic batches, snapshots.

Rules every implementation keeps (tests/engine is the conformance suite):

* `write` makes a whole batch visible at once, but not durable; `sync` makes every batch written before it durable.
  Batches become durable in the order they were written: after a crash the survivors are a prefix.
* One thread (the store's loop) writes. Any thread may read a snapshot, and `sync` may run in a thread beside the loop.
* Scans take a half-open range [start, end) in byte order; `end=None` means to the end of the family.
  `reverse=True` yields the same range from its upper end down.
"""

from collections.abc import Iterable, Iterator
from typing import Literal, Protocol, Self, TypeAlias

from rutile_kv.engine.table_file import TableFile

Cf: TypeAlias = Literal[
    "default", "lock", "write", "raw", "raw_lock", "raw_write", "raft", "default_file", "write_file"
]
CF_DEFAULT: Cf = "default"
CF_LOCK: Cf = "lock"
CF_WRITE: Cf = "write"
CF_RAW: Cf = "raw"
CF_RAW_LOCK: Cf = "raw_lock"
CF_RAW_WRITE: Cf = "raw_write"
CF_RAFT: Cf = "raft"
MVCC_CFS: tuple[Cf, ...] = (CF_DEFAULT, CF_LOCK, CF_WRITE)
"""Transactional data: keys are memcomparable, most of them with a version behind."""
RAW_CFS: tuple[Cf, ...] = (CF_RAW, CF_RAW_LOCK, CF_RAW_WRITE)
"""Raw data by the families raw clients name default, lock and write: keys are plain bytes."""
DATA_CFS: tuple[Cf, ...] = (*MVCC_CFS, *RAW_CFS)
"""What regions hold. A family's place in here is its number in the log and in snapshots, so it never changes."""
ALL_CFS: tuple[Cf, ...] = (*DATA_CFS, CF_RAFT)
CF_DEFAULT_FILE: Cf = "default_file"
CF_WRITE_FILE: Cf = "write_file"
FILE_CFS: dict[Cf, Cf] = {CF_DEFAULT_FILE: CF_DEFAULT, CF_WRITE_FILE: CF_WRITE}
"""No families, but what a change names to put a whole table file into one: its key is the file's first key, its value
the `TableFile` as bytes."""

Modify: TypeAlias = tuple[Cf, bytes, bytes | None]
"""One change to a data family: (family, key, value), where value None deletes the key."""


class Reader(Protocol):
    """A view one can read: the live engine, or a snapshot of it."""

    def get(self, cf: Cf, key: bytes) -> bytes | None:
        """The value at `key`, or None."""

    def scan(self, cf: Cf, start: bytes, end: bytes | None, *, reverse: bool = False) -> Iterator[tuple[bytes, bytes]]:
        """Pairs of [start, end) in key order, lazily; backwards when `reverse`."""


class Snapshot(Reader, Protocol):
    """The engine as it was when taken, in all families alike. Close it: it holds back space reclamation."""

    def close(self) -> None: ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *exc: object) -> None: ...


class WriteBatch(Protocol):
    """Changes applied in the order added, all or none."""

    def put(self, cf: Cf, key: bytes, value: bytes) -> None: ...

    def delete(self, cf: Cf, key: bytes) -> None: ...

    def delete_range(self, cf: Cf, start: bytes, end: bytes) -> None: ...

    def extend(self, modifies: Iterable[Modify]) -> None:
        """Add puts and deletes (value None), in their order."""

    def ingest(self, cf: Cf, table: TableFile) -> None:
        """Take over a whole table file, before everything else in the batch: it holds keys nobody else writes. After a
        crash it may be there without the rest of the batch, never the rest without it."""

    def __len__(self) -> int: ...


class Engine(Reader, Protocol):
    """An ordered, durable, column-familied map."""

    def batch(self) -> WriteBatch:
        """An empty batch for this engine."""

    def write(self, batch: WriteBatch) -> None:
        """Apply `batch` atomically; not yet durable. A batch is written once."""

    def sync(self) -> None:
        """Make all written batches durable. Blocking, thread-safe, does not hold the interpreter lock for long."""

    def snapshot(self) -> Snapshot:
        """A consistent view of all families, O(1)."""

    def ingest(self, cf: Cf, pairs: Iterator[tuple[bytes, bytes]]) -> int:
        """Load key-sorted pairs in bulk, newer than anything written before, durable on return; returns their count."""

    def approximate_size_bytes(self, start: bytes, end: bytes | None) -> int:
        """About how many bytes the data families hold in [start, end). An estimate: for split and balance decisions."""

    def compact(self, start: bytes, end: bytes | None) -> None:
        """Give back the space of what was deleted or overwritten in [start, end) of the data families. Blocking, for a
        thread beside the loop; changes nothing that can be read."""

    def close(self) -> None:
        """Sync and close. Further calls raise EngineClosed."""
