"""Reading a whole range as of a timestamp, for analytics: the newest visible version of each key, by numpy.

The records of the range are pulled in blocks; for keys of one length (every table with an integer handle) a block is a
byte matrix, and the choice of versions a few array operations:

    storage key | ~commit_ts     new key?   visible?   first visible of its key
    k1            ~9             yes        no (ts 8)
    k1            ~7             no         yes        chosen
    k1            ~5             no         yes
    k2            ~6             yes        yes        chosen

Keys of several lengths are chosen one by one. Values that stand in the record stay where they are in the joined block
(`RowBytes`), and whoever decodes them finds them there; long ones are looked up. Locks are not looked at here: ask
`first_lock` before, on the same snapshot.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import islice

import numpy as np
import numpy.typing as npt

from rutile_coprocessor.row_bytes import RowBytes
from rutile_kv.engine.api import CF_LOCK, CF_WRITE, Reader
from rutile_kv.mvcc.bulk_values import Chosen, values_of
from rutile_kv.mvcc.reader import NOBODY, blocks_read
from rutile_kv.mvcc.records import Lock, WriteKind
from rutile_kv.mvcc.versions import NO_DATA, newest_first
from rutile_proto.codec import ByteMatrix, decode_bytes_fixed, decode_uint64_desc, encode_uint64_desc
from rutile_proto.errors import LockFacts
from rutile_proto.keys import TS_LENGTH, user_key

BLOCK_RECORDS = 65_536
"""Records pulled and chosen from at a time."""


@dataclass(frozen=True)
class VisibleRows:
    """Live rows of a range in key order."""

    keys: ByteMatrix | list[bytes]
    """User keys: uint8[n, length] where all have one length, else one by one."""
    parts: tuple[RowBytes, ...]
    """Their values, in the same order."""
    next_key: bytes | None
    """The storage key to go on from; None when the range is exhausted."""
    newest_ts: int
    """The largest commit timestamp of the versions looked at, visible or not, deletes included; 0 for none."""

    @cached_property
    def values(self) -> list[bytes]:
        """The values one by one."""
        return [value for part in self.parts for value in part.to_list()]

    def __len__(self) -> int:
        return len(self.keys)

    def key_list(self) -> list[bytes]:
        """The user keys one by one."""
        if isinstance(self.keys, list):
            return self.keys
        width = self.keys.shape[1]
        joined = self.keys.tobytes()
        return [joined[at * width : (at + 1) * width] for at in range(len(self.keys))]


def sorted_user_keys(storage_keys: list[bytes]) -> ByteMatrix | list[bytes]:
    """The user keys of ascending storage keys, in the form of `VisibleRows.keys`."""
    if not storage_keys:
        return []
    matrix = _as_matrix(storage_keys)
    return _user_keys([storage_keys if matrix is None else matrix])


def first_lock(
    reader: Reader, start: bytes, end: bytes | None, ts: int, *, bypass: frozenset[int] = NOBODY
) -> LockFacts | None:
    """The first lock in [start, end), storage keys, that a reader at `ts` must resolve; None if there is none."""
    for storage, data in reader.scan(CF_LOCK, start, end):
        lock = Lock.from_bytes(data)
        key = user_key(storage)
        if blocks_read(lock, key, ts, bypass):
            return lock.facts(key)
    return None


def read_visible(
    reader: Reader, start_storage_key: bytes, end_storage_key: bytes | None, ts: int, limit: int | None = None
) -> VisibleRows:
    """Rows of [start, end) as of `ts`, at most `limit` of them (at least 1).

    Blocking and free of Python steps per row but for the pull itself: made for a thread, on a snapshot.
    """
    records = reader.scan(CF_WRITE, start_storage_key, end_storage_key)
    block_size = BLOCK_RECORDS if limit is None else min(BLOCK_RECORDS, limit + 1)
    parts: list[Chosen] = []
    rows = 0
    for block in _whole_keys(records, block_size):
        parts.append(_choose(block, ts))
        rows += len(parts[-1])
        if limit is not None and rows > limit:
            break
    return _together(reader, parts, limit)


def visible_blocks(
    reader: Reader, start_storage_key: bytes, end_storage_key: bytes | None, ts: int
) -> Iterator[VisibleRows]:
    """What `read_visible` finds, in blocks of about BLOCK_RECORDS records: for ranges of any size, in one pass. A block
    may have no rows."""
    for block in _whole_keys(reader.scan(CF_WRITE, start_storage_key, end_storage_key), BLOCK_RECORDS):
        yield _together(reader, [_choose(block, ts)], None)


@dataclass(slots=True)
class _Block:
    """Records of consecutive keys, keys and contents apart: lists of bytes cost the garbage collector nothing."""

    versions: list[bytes]
    data: list[bytes]

    def pull(self, records: Iterator[tuple[bytes, bytes]], size: int) -> int:
        """Append up to `size` records; how many there were."""
        add_version, add_data = self.versions.append, self.data.append
        before = len(self.data)
        for version, record in islice(records, size):
            add_version(version)
            add_data(record)
        return len(self.data) - before

    def split_last_key(self) -> "_Block":
        """Take the versions of the last key out into a block of their own."""
        cut = len(self.versions)
        last = self.versions[-1][:-TS_LENGTH]
        while cut and self.versions[cut - 1][:-TS_LENGTH] == last:
            cut -= 1
        tail = _Block(self.versions[cut:], self.data[cut:])
        del self.versions[cut:], self.data[cut:]
        return tail


def _whole_keys(records: Iterator[tuple[bytes, bytes]], size: int) -> Iterator[_Block]:
    """The records in blocks of about `size`, no key's versions torn apart."""
    block, wanted = _Block([], []), size + 1
    while block.pull(records, wanted) == wanted:
        held = block.split_last_key()
        if block.data:
            yield block
        block, wanted = held, max(1, size + 1 - len(held.data))
    if block.data:
        yield block


# --- choosing ---------------------------------------------------------------------------------------------------------


def _choose(block: _Block, ts: int) -> Chosen:
    matrix = _as_matrix(block.versions)
    if matrix is None:
        return _choose_one_by_one(block, ts)
    records = RowBytes.of(block.data)
    kinds = np.frombuffer(records.buffer, np.uint8)[records.starts]
    commit_ts = ~np.ascontiguousarray(matrix[:, -TS_LENGTH:]).view(">u8").reshape(-1).astype(np.uint64)
    positions = _newest_visible(matrix, commit_ts, kinds, ts)
    keys, newest_ts = matrix[:, :-TS_LENGTH], int(commit_ts.max())
    if len(positions) == len(records):
        return Chosen(keys, records, newest_ts)
    return Chosen(keys[positions], records.at(positions), newest_ts)


def _choose_one_by_one(block: _Block, ts: int) -> Chosen:
    newest_ts = decode_uint64_desc(min(version[-TS_LENGTH:] for version in block.versions))[0]
    pairs = newest_first(zip(block.versions, block.data, strict=True), encode_uint64_desc(ts))
    chosen = [pair for pair in pairs if pair[1][0] == WriteKind.PUT]
    records = RowBytes.of([record for _, record in chosen])
    return Chosen([version[:-TS_LENGTH] for version, _ in chosen], records, newest_ts)


def _as_matrix(strings: list[bytes]) -> ByteMatrix | None:
    """The strings as rows, if they are all of one length."""
    width = len(strings[0])
    joined = b"".join(strings)
    if len(joined) != width * len(strings) or set(map(len, strings)) != {width}:
        return None
    return np.frombuffer(joined, dtype=np.uint8).reshape(len(strings), width)


def _newest_visible(
    versions: ByteMatrix, commit_ts: npt.NDArray[np.uint64], kind: npt.NDArray[np.uint8], ts: int
) -> npt.NDArray[np.intp]:
    """Positions of the records a reader at `ts` sees, less those that delete."""
    candidates = np.flatnonzero((commit_ts <= np.uint64(ts)) & ~np.isin(kind, np.array(NO_DATA, dtype=np.uint8)))
    keys = np.ascontiguousarray(versions[:, :-TS_LENGTH])
    if len(candidates) < len(versions):
        keys = keys[candidates]
    first = np.ones(len(candidates), dtype=np.bool_)
    if len(candidates) > 1:
        whole = keys.view(f"V{keys.shape[1]}").reshape(-1)
        first[1:] = whole[1:] != whole[:-1]
    newest = candidates[first]
    live: npt.NDArray[np.intp] = newest[kind[newest] == WriteKind.PUT]
    return live


# --- putting together -------------------------------------------------------------------------------------------------


def _together(reader: Reader, parts: list[Chosen], limit: int | None) -> VisibleRows:
    kept = parts
    next_key = None
    if limit is not None and (surplus := sum(map(len, parts)) - limit) > 0:
        last = parts[-1]
        room = len(last) - surplus
        next_key = last.key_at(room)
        kept = [*parts[:-1], last.cut(room)]
    kept = [part for part in kept if len(part)]
    values = tuple(value for part in kept for value in values_of(reader, part))
    newest_ts = max((part.newest_ts for part in parts), default=0)
    return VisibleRows(_user_keys([part.keys for part in kept]), values, next_key, newest_ts)


def _user_keys(parts: list[ByteMatrix | list[bytes]]) -> ByteMatrix | list[bytes]:
    """One matrix if all user keys have one length, which storage keys of one length do not imply."""
    matrices = [part for part in parts if isinstance(part, np.ndarray)]
    if len(matrices) == len(parts) and len({part.shape[1] for part in matrices}) == 1:
        whole = np.concatenate(matrices) if len(matrices) > 1 else matrices[0]
        if (whole[:, -1] == whole[0, -1]).all():  # the marker behind the last group tells its padding
            return decode_bytes_fixed(whole)
    return [user_key(key if isinstance(key, bytes) else key.tobytes()) for part in parts for key in part]
