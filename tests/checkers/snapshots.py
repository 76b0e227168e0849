"""Snapshots by their timestamps: the strictest check, for clients that know start_ts and commit_ts.

A read at `start_ts` must show exactly the appends of transactions with `commit_ts <= start_ts`, in the order of those.
No inference, no graph: what the store promises, compared with what it did. And the timestamps must follow real time:
whoever begins after a commit was acknowledged reads at or above it.

A commit of unknown outcome has no commit_ts. Its elements may be in any snapshot taken after it began, or in none; they
are left out of the comparison, and the graph of `list_append` judges them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from checkers.histories import ListTransaction, Outcome
from checkers.list_append import external_reads


def judge_snapshots(history: Iterable[ListTransaction]) -> list[str]:
    """Everything that contradicts the timestamps, in words."""
    transactions = [each for each in history if each.start_ts]
    committed = sorted(
        (each for each in transactions if each.outcome is Outcome.OK and each.appends()),
        key=lambda each: each.commit_ts,
    )
    readers = [each for each in transactions if each.outcome is Outcome.OK]
    return [*_wrong_reads(readers, committed), *_overlaps(committed), *_stale_starts(transactions)]


def judge_stale_reads(reads: Iterable[ListTransaction], history: Iterable[ListTransaction]) -> list[str]:
    """The same for readers at timestamps from before they began: real time says nothing about them."""
    appended = (each for each in history if each.outcome is Outcome.OK and each.start_ts and each.appends())
    return _wrong_reads(list(reads), sorted(appended, key=lambda each: each.commit_ts))


def _wrong_reads(readers: Sequence[ListTransaction], committed: Sequence[ListTransaction]) -> list[str]:
    versions: dict[int, list[tuple[int, int]]] = {}
    for each in committed:
        for key, elements in each.appends().items():
            versions.setdefault(key, []).extend((each.commit_ts, element) for element in elements)
    known = {(key, element) for key, placed in versions.items() for _, element in placed}
    problems = []
    for reader in readers:
        for key, elements in external_reads(reader).items():
            expected = [element for commit_ts, element in versions.get(key, ()) if commit_ts <= reader.start_ts]
            found = [element for element in elements if (key, element) in known]
            if found != expected:
                problems.append(f"{reader.id} at {reader.start_ts} read {found} at key {key} instead of {expected}")
    return problems


def _overlaps(committed: Sequence[ListTransaction]) -> list[str]:
    """First committer wins: of two that write the same key, one begins after the other has committed."""
    problems = []
    last: dict[int, ListTransaction] = {}
    for each in committed:
        for key in each.appends():
            before = last.get(key)
            if before is not None and each.start_ts < before.commit_ts:
                problems.append(f"{each.id} began at {each.start_ts}, before {before.id} wrote key {key}")
            last[key] = each
    return problems


def _stale_starts(transactions: Sequence[ListTransaction]) -> list[str]:
    """Whoever begins later reads at or above everything acknowledged by then."""
    acknowledged = sorted(
        (each for each in transactions if each.outcome is Outcome.OK), key=lambda each: each.completed_s
    )
    problems = []
    newest, at = 0, 0
    for each in sorted(transactions, key=lambda each: each.invoked_s):
        while at < len(acknowledged) and acknowledged[at].completed_s < each.invoked_s:
            newest = max(newest, acknowledged[at].commit_ts or acknowledged[at].start_ts)
            at += 1
        if each.start_ts < newest:
            problems.append(f"{each.id} began at {each.start_ts}, after something was acknowledged at {newest}")
    return problems
