"""What transactions should do to a map, in the dumbest way: each is one point in time, or nothing."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum, auto

from rutile_kv.mvcc.reader import MvccReader, Recorded
from rutile_kv.mvcc.records import WriteKind


class Told(Enum):
    """What the client heard of its commit."""

    NOTHING = auto()
    """It died, or was told that the outcome is not known."""
    COMMITTED = auto()
    REFUSED = auto()


@dataclass
class Deed:
    """One transaction: what it read and wrote, and what its client was told."""

    writes: Mapping[bytes, bytes | None]
    """None deletes."""
    start_ts: int = 0
    """0: it never began."""
    told: Told = Told.NOTHING
    commit_ts: int = 0
    seen: dict[bytes, bytes] | None = None
    """All there was as of start_ts."""
    locked: dict[bytes, bytes] | None = None
    """What was there under its pessimistic locks on the keys it wrote."""


@dataclass
class Twin:
    """The deeds that happened, by commit timestamp."""

    deeds: list[tuple[int, Deed]] = field(default_factory=list)

    def at(self, ts: int) -> dict[bytes, bytes]:
        """The map as of `ts`."""
        found: dict[bytes, bytes | None] = {}
        for commit_ts, deed in sorted(self.deeds, key=lambda each: each[0]):
            if commit_ts <= ts:
                found |= deed.writes
        return {key: value for key, value in sorted(found.items()) if value is not None}

    def moments(self) -> list[int]:
        """Just before and at every change."""
        return sorted({ts for commit_ts, _ in self.deeds for ts in (commit_ts - 1, commit_ts)})


def commit_ts_of(reader: MvccReader, deed: Deed) -> int:
    """Where the store says the deed was committed, 0 if nowhere. AssertionError if its keys disagree."""
    found = set()
    for key in deed.writes:
        record = reader.get_txn_commit_record(key, deed.start_ts)
        committed = isinstance(record, Recorded) and record.write.kind is not WriteKind.ROLLBACK
        found.add(record.commit_ts if committed else 0)
    assert len(found) == 1, f"transaction {deed.start_ts} is half there: {found}"
    return int(found.pop())


def twin_of(reader: MvccReader, deeds: Iterable[Deed]) -> Twin:
    """All deeds that happened, after checking each against what its client was told and against the others."""
    twin = Twin()
    for deed in deeds:
        if not deed.start_ts or not deed.writes:
            continue
        commit_ts = commit_ts_of(reader, deed)
        assert deed.told is not Told.COMMITTED or commit_ts == deed.commit_ts, f"{deed} is committed at {commit_ts}"
        assert deed.told is not Told.REFUSED or commit_ts == 0, f"{deed} is committed at {commit_ts} all the same"
        if commit_ts:
            twin.deeds.append((commit_ts, deed))
    for commit_ts, deed in twin.deeds:
        if deed.locked is not None:
            before = twin.at(commit_ts - 1)
            assert deed.locked == {key: before[key] for key in deed.writes if key in before}, "a lock was overrun"
        else:
            _nobody_in_between(twin, commit_ts, deed)
    return twin


def _nobody_in_between(twin: Twin, commit_ts: int, deed: Deed) -> None:
    for other_ts, other in twin.deeds:
        overlap = deed.writes.keys() & other.writes.keys()
        assert not (overlap and deed.start_ts < other_ts < commit_ts), f"an update of {overlap} is lost"
