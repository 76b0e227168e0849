"""The log against a list: whatever a leader sends and whenever it becomes durable, both hold the same entries."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rutile_kv.raft.errors import AppliedOutOfOrder, Compacted, Unavailable
from rutile_kv.raft.log import Log
from rutile_kv.raft.messages import ConfState, Entry, SnapshotMeta
from rutile_kv.raft.progress import Inflights
from rutile_kv.raft.storage import MemoryStorage, limit_bytes

ACTIONS = st.lists(
    st.tuples(
        st.sampled_from(("append", "replace", "take", "write", "commit", "apply", "compact", "restore", "search")),
        st.integers(0, 7),
        st.integers(0, 4),
    ),
    max_size=40,
)


class Twin:
    """A log in memory beside a list of all its terms, the slot of index 0 included."""

    def __init__(self) -> None:
        self.storage = MemoryStorage()
        self.log = Log(self.storage, 0, 0)
        self.terms = [0]
        self.taken: tuple[list[Entry], SnapshotMeta | None] | None = None
        self.given_out = 0

    def do_append(self, count: int, _: int) -> None:
        """A leader goes on where the log ends."""
        self._receive(len(self.terms) - 1, [self.terms[-1] + 1] * count)

    def do_replace(self, back: int, count: int) -> None:
        """A newer leader's entries replace the last ones, but never committed ones."""
        previous = max(self.log.committed, len(self.terms) - 1 - back)
        self._receive(previous, [self.terms[-1] + 1] * count)

    def _receive(self, previous: int, terms: list[int]) -> None:
        entries = [Entry(term, previous + 1 + offset, data=b"%d" % term) for offset, term in enumerate(terms)]
        assert self.log.append_after(previous, self.terms[previous], entries) == previous + len(entries)
        assert self.log.append_after(previous, 99, entries) is None
        if entries:
            self.terms[previous + 1 :] = terms

    def do_take(self, _: int, __: int) -> None:
        if self.taken is None:
            self.taken = self.log.unstable_entries(), self.log.pending_snapshot

    def do_write(self, _: int, __: int) -> None:
        """What was taken is durable now, whatever became of the log meanwhile."""
        if self.taken is None:
            return
        (entries, snapshot), self.taken = self.taken, None
        if snapshot is not None:
            self.storage.install(snapshot)
            self.log.installed(snapshot)
            self.given_out = max(self.given_out, snapshot.index)
        self.storage.append(entries)
        if entries:
            self.log.written(entries[-1].index, entries[-1].term)

    def do_commit(self, step: int, _: int) -> None:
        self.log.commit_to(min(self.log.committed + step, len(self.terms) - 1))

    def do_apply(self, pages: int, _: int) -> None:
        """Committed entries come out in order, each once."""
        for _page in range(pages):
            for entry in self.log.take_committed(max_bytes=40):
                self.given_out += 1
                assert (entry.index, entry.term) == (self.given_out, self.terms[entry.index])
        if self.log.pending_snapshot is None:
            self.log.applied_to(self.given_out)

    def do_compact(self, step: int, _: int) -> None:
        index = min(self.storage.first_index() - 1 + step, self.log.applied, self.log.persisted)
        if self.taken is None and index >= self.storage.first_index():
            self.storage.compact(index)

    def do_restore(self, step: int, _: int) -> None:
        index = self.log.committed + step + 1
        term = self.terms[-1] + 1
        self.log.restore(SnapshotMeta(index, term, ConfState((1,))))
        self.terms = [0] * index + [term]

    def do_search(self, index: int, term: int) -> None:
        """The bisection finds what walking backwards finds."""
        found, found_term = self.log.last_index_within_term(index, term)
        known = range(self.log.first_index - 1, min(index, len(self.terms) - 1) + 1)
        fitting = [position for position in known if self.terms[position] <= term]
        if fitting:
            assert (found, found_term) == (fitting[-1], self.terms[fitting[-1]])
        else:
            assert found < self.log.first_index and found_term == 0

    def check(self) -> None:
        log, last = self.log, len(self.terms) - 1
        assert log.last_index == last and log.last_term == self.terms[-1]
        assert log.applied <= log.handed_out <= log.committed <= last
        assert [e.term for e in self._all()] == self.terms[log.first_index :]
        if log.persisted:
            assert [self.storage.term(i) for i in range(log.first_index, log.persisted + 1)] == self.terms[
                log.first_index : log.persisted + 1
            ]
        with pytest.raises(Unavailable):
            log.term(last + 1)
        if log.first_index > 1:
            with pytest.raises(Compacted):
                log.term(log.first_index - 2)

    def _all(self) -> list[Entry]:
        low, entries = self.log.first_index, []
        while low <= self.log.last_index:
            page = self.log.slice(low, self.log.last_index + 1, 50)
            assert page[0].index == low
            entries += page
            low += len(page)
        return entries


@given(ACTIONS)
def test_log_against_a_list(actions: list[tuple[str, int, int]]) -> None:
    twin = Twin()
    for name, first, second in actions:
        getattr(twin, "do_" + name)(first, second)
        twin.check()


def test_up_to_date_is_term_then_length() -> None:
    storage = MemoryStorage()
    storage.append([Entry(1, 1), Entry(3, 2)])
    log = Log(storage, 0, 0)
    assert log.is_up_to_date(2, 3) and log.is_up_to_date(3, 3) and log.is_up_to_date(1, 4)
    assert not log.is_up_to_date(1, 3) and not log.is_up_to_date(9, 2)


def test_a_state_machine_ahead_of_the_log_is_refused() -> None:
    with pytest.raises(AppliedOutOfOrder):
        Log(MemoryStorage(), 0, 7)
    with pytest.raises(AppliedOutOfOrder):
        Log(MemoryStorage(), 0, 0).applied_to(1)


def test_byte_limit_always_lets_one_through() -> None:
    entries = [Entry(1, index, data=b"x" * 84) for index in (1, 2, 3)]
    assert [len(limit_bytes(entries, limit)) for limit in (None, 0, 100, 199, 200, 300)] == [3, 1, 1, 1, 2, 3]
    assert limit_bytes([], 0) == []


def test_window_is_full_by_count_or_bytes_and_freed_in_order() -> None:
    window = Inflights(max_count=3, max_bytes=100)
    window.add(5, 60)
    window.add(7, 39)
    assert not window.is_full
    window.add(8, 1)
    assert window.is_full
    window.free_to(6)
    assert len(window) == 2 and not window.is_full
    window.add(9, 70)
    assert window.is_full
    window.free_to(9)
    assert len(window) == 0
