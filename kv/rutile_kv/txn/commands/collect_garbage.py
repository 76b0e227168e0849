"""CollectGarbage: remove the versions of some keys that nobody can read any more.

A command like the others, so that it has the keys to itself: nobody adds a rollback mark to a record that is just being
removed.
"""

from collections.abc import Sequence

from rutile_kv.mvcc.gc import garbage
from rutile_kv.mvcc.reader import MvccReader
from rutile_kv.mvcc.records import WriteKind
from rutile_kv.txn.changes import Changes
from rutile_kv.txn.model import Outcome
from rutile_proto.values import valueclass


@valueclass
class Collected:
    records: int
    """How many were removed."""
    unfinished: tuple[bytes, ...]
    """Keys that have more: collect them again."""


@valueclass
class CollectGarbage:
    """Remove the garbage of `keys` below `safe_point`, about `max_records` records at most."""

    keys: tuple[bytes, ...]
    safe_point: int
    max_records: int

    def latch_keys(self) -> Sequence[bytes]:
        return self.keys

    def process(self, reader: MvccReader, max_ts: int) -> Outcome[Collected]:
        changes = Changes()
        removed = 0
        unfinished: list[bytes] = []
        for key in self.keys:
            if removed >= self.max_records:
                unfinished.append(key)
                continue
            found = garbage(reader.writes(key, self.safe_point), self.safe_point, self.max_records - removed)
            removed += len(found.records)
            for commit_ts, write in found.records:
                changes.remove_write(key, commit_ts)
                if write.kind is WriteKind.PUT and write.short_value is None:
                    changes.delete_value(key, write.start_ts)
            if not found.is_all:
                unfinished.append(key)
        return Outcome(changes.modifies, Collected(removed, tuple(unfinished)))
