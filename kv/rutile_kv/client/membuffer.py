"""A transaction's own writes, in key order, until they are committed.

What one key does within a transaction is folded into one entry:

    first \\ then   put      insert          delete            lock
    nothing        put      insert          delete            lock
    put            put      AlreadyExist    delete            put
    insert         insert   AlreadyExist    check_not_exists  insert
    delete         put      put             delete            delete
    lock           put      insert          delete            lock
    check_not_ex.  insert   insert          check_not_exists  check_not_exists

An insert keeps its promise that the key did not exist before, even if the transaction deletes the key again. Savepoints
make a statement of a larger transaction undoable: while one is open, every change leaves what was there before on an
undo log.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator
from enum import Enum

from rutile_proto import kvrpcpb_pb2 as kvrpcpb
from rutile_proto.errors import AlreadyExist, InvalidRequest, TransactionTooLarge
from rutile_proto.values import valueclass

MAX_KEY_BYTES = 8 << 10
MAX_VALUE_BYTES = 6 << 20
"""A value, its key and the rest of its Raft entry have to stay below the stores' entry limit of 8 MiB."""
ENTRY_OVERHEAD_BYTES = 200
"""What Python takes for an entry beside its bytes (measured; benchmarks/large_transaction.py)."""
INSORT_LIMIT = 64
"""Up to so many new keys are put into the sorted list one by one; more are sorted in together."""


class Change(Enum):
    """What happens to a key; the values are kvrpcpb.Op."""

    PUT = kvrpcpb.Put
    INSERT = kvrpcpb.Insert
    DELETE = kvrpcpb.Del
    LOCK = kvrpcpb.Lock
    CHECK_NOT_EXISTS = kvrpcpb.CheckNotExists


@valueclass
class Entry:
    """The folded change of one key."""

    change: Change
    value: bytes = b""

    @property
    def hides(self) -> bool:
        """Whether a read of the key is answered from here; the others are answered by the snapshot."""
        return self.change is not Change.LOCK

    @property
    def visible(self) -> bytes | None:
        """The value a read of the transaction itself sees, if `hides`."""
        return self.value if self.change in (Change.PUT, Change.INSERT) else None


class MemBuffer:
    """Keys to entries, sorted when first read in order."""

    def __init__(self, max_bytes: int) -> None:
        self.size_bytes = 0
        self._max_bytes = max_bytes
        self._entries: dict[bytes, Entry] = {}
        self._sorted: list[bytes] = []
        self._unsorted: list[bytes] = []
        self._undo: list[tuple[bytes, Entry | None]] = []
        self._savepoints = 0

    def __len__(self) -> int:
        return len(self._entries)

    # --- changing -------------------------------------------------------------------------------------------------

    def put(self, key: bytes, value: bytes) -> None:
        """Set the key, whether it exists or not. InvalidRequest beyond the size limits."""
        before = self._entries.get(key)
        inserted = before is not None and before.change in (Change.INSERT, Change.CHECK_NOT_EXISTS)
        self._set(key, Entry(Change.INSERT if inserted else Change.PUT, _checked(value)))

    def insert(self, key: bytes, value: bytes) -> None:
        """Set the key, which must not exist: AlreadyExist now if this transaction wrote it, at prewrite otherwise."""
        before = self._entries.get(key)
        if before is not None and before.visible is not None:
            raise AlreadyExist(key)
        deleted = before is not None and before.change is Change.DELETE
        self._set(key, Entry(Change.PUT if deleted else Change.INSERT, _checked(value)))

    def delete(self, key: bytes) -> None:
        """Remove the key, whether it exists or not."""
        before = self._entries.get(key)
        inserted = before is not None and before.change in (Change.INSERT, Change.CHECK_NOT_EXISTS)
        self._set(key, Entry(Change.CHECK_NOT_EXISTS if inserted else Change.DELETE))

    def lock(self, key: bytes) -> None:
        """Commit only if nobody else writes the key meanwhile; its value stays."""
        if key not in self._entries:
            self._set(key, Entry(Change.LOCK))

    # --- reading --------------------------------------------------------------------------------------------------

    def get(self, key: bytes) -> Entry | None:
        """The entry of a key this transaction has touched."""
        return self._entries.get(key)

    def own_values(self, keys: Iterable[bytes]) -> tuple[dict[bytes, bytes], list[bytes]]:
        """The values of those of `keys` that were written here, and the keys that the snapshot has to answer for."""
        found: dict[bytes, bytes] = {}
        elsewhere = []
        for key in keys:
            own = self._entries.get(key)
            if own is None or not own.hides:
                elsewhere.append(key)
            elif own.visible is not None:
                found[key] = own.visible
        return found, elsewhere

    def items(self, start: bytes = b"", end: bytes = b"", *, reverse: bool = False) -> Iterator[tuple[bytes, Entry]]:
        """Entries of [start, end) in key order, or backwards; of the keys there are now, as they are when reached."""
        keys = self.keys(start, end)
        return ((key, self._entries[key]) for key in (reversed(keys) if reverse else keys))

    def keys(self, start: bytes = b"", end: bytes = b"") -> list[bytes]:
        """The keys of [start, end) in order."""
        self._sort()
        low = bisect_left(self._sorted, start)
        high = bisect_left(self._sorted, end) if end else len(self._sorted)
        return self._sorted[low:high]

    # --- savepoints -----------------------------------------------------------------------------------------------

    def savepoint(self) -> int:
        """Begin to remember what is overwritten. Savepoints nest; each is ended by `rollback_to` or `release`."""
        self._savepoints += 1
        return len(self._undo)

    def rollback_to(self, savepoint: int) -> None:
        """Undo every change since the savepoint, and end it."""
        count = len(self._entries)
        while len(self._undo) > savepoint:
            self._restore(*self._undo.pop())
        if len(self._entries) < count:
            self._sorted, self._unsorted = sorted(self._entries), []
        self._end_savepoint()

    def release(self, savepoint: int) -> None:
        """Keep the changes since the savepoint, and end it. An outer savepoint can still undo them."""
        self._end_savepoint()

    # --- inside ---------------------------------------------------------------------------------------------------

    def _set(self, key: bytes, entry: Entry) -> None:
        if not 0 < len(key) <= MAX_KEY_BYTES:
            raise InvalidRequest(f"a key has 1 to {MAX_KEY_BYTES} bytes, this one has {len(key)}")
        before = self._entries.get(key)
        size_bytes = self.size_bytes + _size(key, entry) - _size(key, before)
        if size_bytes > self._max_bytes:
            raise TransactionTooLarge(size_bytes, self._max_bytes)
        if self._savepoints:
            self._undo.append((key, before))
        self._entries[key] = entry
        self.size_bytes = size_bytes
        if before is None:
            self._unsorted.append(key)

    def _sort(self) -> None:
        if len(self._unsorted) <= INSORT_LIMIT:
            for key in self._unsorted:
                insort(self._sorted, key)
        else:
            self._sorted += self._unsorted
            self._sorted.sort()
        self._unsorted.clear()

    def _restore(self, key: bytes, before: Entry | None) -> None:
        self.size_bytes += _size(key, before) - _size(key, self._entries[key])
        if before is None:
            del self._entries[key]
        else:
            self._entries[key] = before

    def _end_savepoint(self) -> None:
        self._savepoints -= 1
        if not self._savepoints:
            self._undo.clear()


def _size(key: bytes, entry: Entry | None) -> int:
    return len(key) + len(entry.value) + ENTRY_OVERHEAD_BYTES if entry is not None else 0


def _checked(value: bytes) -> bytes:
    if len(value) > MAX_VALUE_BYTES:
        raise InvalidRequest(f"a value has at most {MAX_VALUE_BYTES} bytes, this one has {len(value)}")
    return value
