"""What must hold in every run of a group: the properties of Figure 3 of the Raft paper, and what readers may rely on.

One `Checker` watches all peers of one simulated group for its whole life, crashes included.
"""

from __future__ import annotations

from collections.abc import Iterable

from rutile_kv.raft.messages import ConfState, Entry, EntryKind
from rutile_kv.raft.node import RawNode


class Violation(AssertionError):
    """A property of Raft does not hold."""


class Checker:
    """The history of a group, as far as the properties need it."""

    def __init__(self, start_index: int) -> None:
        self.start_index = start_index
        self.leader_of_term: dict[int, int] = {}
        self.slots: dict[tuple[int, int], tuple[int, EntryKind, bytes]] = {}
        self.applied: dict[int, Entry] = {}
        self.conf_states: dict[int, ConfState] = {}
        self.max_commit = start_index

    def observe_roles(self, nodes: Iterable[RawNode]) -> None:
        """Election Safety and Leader Completeness for leaders not seen before; the newest commit index."""
        for node in nodes:
            self.max_commit = max(self.max_commit, node.commit)
            if node.is_leader and self.leader_of_term.get(node.term) != node.id:
                self._new_leader(node)

    def _new_leader(self, node: RawNode) -> None:
        before = self.leader_of_term.setdefault(node.term, node.id)
        if before != node.id:
            raise Violation(f"election safety: {before} and {node.id} both led term {node.term}")
        log = node._core.log
        for index in range(log.first_index, max(self.applied, default=0) + 1):
            entry = self.applied.get(index)
            if entry is not None and entry.term < node.term and not log.matches(index, entry.term):
                raise Violation(f"leader completeness: {node.id} leads term {node.term} without {entry}")

    def observe_entries(self, node: RawNode, entries: Iterable[Entry]) -> None:
        """Log Matching: index and term tell the entry, and the term of the entry before it."""
        for entry in entries:
            previous = node._core.log.term(entry.index - 1) if node._core.log.matches(entry.index, entry.term) else None
            if previous is None:
                continue
            slot = (previous, entry.kind, entry.data)
            known = self.slots.setdefault((entry.index, entry.term), slot)
            if known != slot:
                raise Violation(f"log matching: {(entry.index, entry.term)} is {known} and {slot}")

    def observe_apply(self, node: RawNode, entry: Entry) -> None:
        """State Machine Safety: whoever applies an index applies the same there."""
        known = self.applied.setdefault(entry.index, entry)
        if known != entry:
            raise Violation(f"state machine safety: {node.id} applies {entry}, somebody applied {known}")

    def observe_conf_state(self, index: int, conf_state: ConfState) -> None:
        """Whoever applied as far has the same configuration."""
        known = self.conf_states.setdefault(index, conf_state)
        if known != conf_state:
            raise Violation(f"configuration at {index} is {known} and {conf_state}")

    def observe_read(self, floor: int, index: int) -> None:
        """Linearizability: a read sees everything that was committed when it was asked for."""
        if index < floor:
            raise Violation(f"stale read: at {index}, but {floor} was committed when it was asked for")

    def observe_leases(self, nodes: Iterable[RawNode]) -> None:
        """A valid lease means that nobody else leads a later term, and that nothing is committed that its holder
        misses."""
        for node in nodes:
            if node.lease_valid():
                if max(self.leader_of_term) > node.term:
                    raise Violation(f"lease: {node.id} holds one in term {node.term}; leaders: {self.leader_of_term}")
                if node.commit < self.max_commit:
                    raise Violation(f"lease: {node.id} would read at {node.commit}, committed is {self.max_commit}")
