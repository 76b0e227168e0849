"""What an applied log entry changed, as watchers want it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rutile_kv.engine.api import CF_LOCK, CF_WRITE, FILE_CFS, Cf, Modify
from rutile_kv.engine.table_file import TableFile
from rutile_kv.mvcc.records import Write, WriteKind
from rutile_kv.mvcc.versions import NO_DATA
from rutile_proto.keys import split_versioned

OVERHEAD_BYTES = 200
"""What a change costs in memory beside its key and value, about."""


@dataclass(frozen=True, slots=True)
class Version:
    """A committed PUT or DELETE of a transaction."""

    storage_key: bytes
    start_ts: int
    commit_ts: int
    deleted: bool
    value: bytes | None
    """None for a DELETE, and for a long value: that lies in the family default, under start_ts."""

    @property
    def size_bytes(self) -> int:
        return OVERHEAD_BYTES + len(self.storage_key) + len(self.value or b"")


@dataclass(frozen=True, slots=True)
class RawRow:
    """A raw key set or deleted, with the value as the engine holds it."""

    key: bytes
    stored: bytes | None

    @property
    def size_bytes(self) -> int:
        return OVERHEAD_BYTES + len(self.key) + len(self.stored or b"")


def version_of(versioned: bytes, record: bytes) -> Version | None:
    """The version a record of the family write stands for; None if it holds no data."""
    if record[0] in NO_DATA:
        return None
    storage, commit_ts = split_versioned(versioned)
    write = Write.from_bytes(record)
    return Version(storage, write.start_ts, commit_ts, write.kind is WriteKind.DELETE, write.short_value)


def committed(modifies: Sequence[Modify], start: bytes, end: bytes | None) -> Iterator[Version]:
    """The versions that `modifies` commit in [start, end), storage keys.

    A record that carries somebody's rollback is either new, and its lock goes with the very next change, or it was
    there before and is only written again with the flag (`mvcc` rule 3): that one is no news.
    """
    for position, (cf, key, record) in enumerate(modifies):
        if cf != CF_WRITE or record is None or key < start or (end is not None and key >= end):
            continue
        version = version_of(key, record)
        if version is None:
            continue
        if Write.from_bytes(record).overlapped_rollback and not _unlocks(modifies, position + 1, version.storage_key):
            continue
        yield version


def raw_rows(modifies: Sequence[Modify], cf: Cf, start: bytes, end: bytes | None) -> Iterator[RawRow]:
    """What `modifies` change in [start, end) of a raw family."""
    for family, key, stored in modifies:
        if family == cf and start <= key and (end is None or key < end):
            yield RawRow(key, stored)


def _unlocks(modifies: Sequence[Modify], position: int, storage_key: bytes) -> bool:
    return position < len(modifies) and modifies[position] == (CF_LOCK, storage_key, None)


def brings_files(modifies: Sequence[Modify], start: bytes, end: bytes | None) -> bool:
    """Whether a table file among `modifies` has keys in [start, end), storage keys: it is not looked into."""
    files = [(key, value) for cf, key, value in modifies if cf in FILE_CFS and value is not None]
    return any((end is None or key < end) and TableFile.from_bytes(value).last_key >= start for key, value in files)
