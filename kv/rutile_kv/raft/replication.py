"""Log replication, the leader's side: who gets which entries, and what the answers mean (paper §5.3; thesis §10.2).

Proposals and commit news gather until `flush`, which sends each peer as few APPENDs as its window and the byte limit
allow; so many proposals between two Readys travel together. Only refusals and heartbeat answers are followed up at
once.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from rutile_kv.raft.errors import Compacted, SnapshotTemporarilyUnavailable
from rutile_kv.raft.messages import Entry, Message, MessageKind
from rutile_kv.raft.progress import Inflights, Progress, ProgressState
from rutile_kv.raft.ready import ProgressStatus

if TYPE_CHECKING:
    from rutile_kv.raft.core import Core


class Replication:
    """The progress of every member, the leader's own included."""

    __slots__ = ("_core", "_gathered", "progress")

    def __init__(self, core: Core) -> None:
        self._core = core
        self._gathered = False
        self.progress: dict[int, Progress] = {}
        self.set_members(core.conf_state.members())
        self._own().become_replicate()

    def _own(self) -> Progress:
        return self.progress[self._core.id]

    def set_members(self, members: Iterable[int]) -> None:
        """Keep the progress of whom we know, begin with newcomers at the end of our log, forget the rest."""
        core = self._core
        known, self.progress = self.progress, {}
        for peer_id in members:
            self.progress[peer_id] = known.get(peer_id) or Progress(
                core.log.last_index + 1,
                Inflights(core.config.max_inflight, core.config.max_inflight_bytes),
                core.tick_count,
                snapshot_floor=core.log.handed_out,
            )
        self.gather()

    # --- sending ------------------------------------------------------------------------------------------------------

    def gather(self) -> None:
        """There is something new to tell."""
        self._gathered = True

    def has_work(self) -> bool:
        return self._gathered

    def flush(self) -> None:
        """Tell every peer what it has not heard: new entries, or that old ones are committed."""
        if not self._gathered:
            return
        self._gathered = False
        for peer_id in self.progress:
            if peer_id != self._core.id:
                self.catch_up(peer_id)

    def catch_up(self, peer_id: int) -> None:
        """Send everything the peer lacks and its window allows."""
        progress = self.progress[peer_id]
        while not progress.is_paused and self._lacks(progress):
            if not self.send_append(peer_id):
                return

    def _lacks(self, progress: Progress) -> bool:
        """True if there are entries to send, or the news that old ones are committed."""
        return self._lacks_entries(progress) or progress.sent_commit < self._core.log.committed

    def _lacks_entries(self, progress: Progress) -> bool:
        return progress.next <= self._core.log.last_index

    def send_append(self, peer_id: int, *, through_full_window: bool = False) -> bool:
        """Send one APPEND, empty if there is nothing new, or begin a snapshot where its entries are compacted.
        `through_full_window` sends an empty one even then, to find out whether the window was lost on the way.
        Returns whether anything was sent."""
        progress, log = self.progress[peer_id], self._core.log
        paused = progress.is_paused
        if paused and not (through_full_window and progress.state is ProgressState.REPLICATE):
            return False
        previous = progress.next - 1
        try:
            term = log.term(previous)
            entries = [] if paused else self._next_entries(progress)
        except Compacted:
            return self._send_snapshot(peer_id)
        core = self._core
        core.messages.append(
            Message(
                MessageKind.APPEND,
                peer_id,
                core.id,
                core.term,
                log_term=term,
                index=previous,
                entries=tuple(entries),
                commit=log.committed,
            )
        )
        progress.sent_commit = log.committed
        if not paused:
            progress.sent(entries[-1].index if entries else 0, sum(entry.size_bytes for entry in entries))
        return True

    def _next_entries(self, progress: Progress) -> list[Entry]:
        log = self._core.log
        if progress.next > log.last_index:
            return []
        return log.slice(progress.next, log.last_index + 1, self._core.config.max_entry_bytes)

    def _send_snapshot(self, peer_id: int) -> bool:
        """Begin a snapshot (paper §7), unless the peer is silent or the snapshot is still being made; both are tried
        again when it answers a heartbeat."""
        core, progress = self._core, self.progress[peer_id]
        if not progress.recent_active:
            return False
        try:
            snapshot = core.log.make_snapshot(max(core.log.first_index - 1, progress.snapshot_floor))
        except SnapshotTemporarilyUnavailable:
            return False
        if snapshot.index == 0:
            return False
        progress.become_snapshot(snapshot.index)
        core.messages.append(Message(MessageKind.SNAPSHOT, peer_id, core.id, core.term, snapshot=snapshot))
        return True

    # --- answers ------------------------------------------------------------------------------------------------------

    def append_answered(self, message: Message) -> bool:
        """Take an APPEND_RESPONSE. Returns whether the peer's match moved."""
        progress = self.progress.get(message.sender)
        if progress is None or message.index > self._core.log.last_index:
            return False
        progress.heard(self._core.tick_count)
        if message.reject:
            self._refused(progress, message)
            return False
        return self._acknowledged(progress, message.index)

    def _refused(self, progress: Progress, message: Message) -> None:
        """Step back to where the logs may agree, skipping what cannot: our entries of terms the peer does not have
        (paper §5.3)."""
        may_agree = message.reject_hint
        if message.log_term > 0:
            may_agree, _ = self._core.log.last_index_within_term(message.reject_hint, message.log_term)
        if progress.refuse(message.index, may_agree):
            self.send_append(message.sender)

    def _acknowledged(self, progress: Progress, index: int) -> bool:
        """Note what the peer has, and whether more can be sent now."""
        news = progress.acknowledge(index)
        if progress.state is ProgressState.REPLICATE:
            progress.inflights.free_to(index)
        elif self._agrees(progress, index):
            progress.become_replicate()
        deferred = self._core.config.defer_commit_news
        if not progress.is_paused and (self._lacks_entries(progress) if deferred else self._lacks(progress)):
            self.gather()
        return news

    def _agrees(self, progress: Progress, index: int) -> bool:
        """True if an acknowledgement of `index` tells where the logs agree, and our log goes on from there."""
        if progress.state is ProgressState.SNAPSHOT:
            return progress.match >= self._core.log.first_index - 1
        return index == progress.match

    def heartbeat_answered(self, message: Message) -> bool:
        """Take a HEARTBEAT_RESPONSE. Returns whether it is from a member.

        The peer lives, so a probe may have been lost and is repeated; a peer that should have everything but did not
        say so gets an empty APPEND, whose refusal tells that a window was lost."""
        progress = self.progress.get(message.sender)
        if progress is None:
            return False
        progress.heard(self._core.tick_count)
        progress.acknowledged_round = max(progress.acknowledged_round, message.index)
        progress.probe_sent = False
        if progress.match < self._core.log.last_index or progress.state is ProgressState.PROBE:
            self.send_append(message.sender, through_full_window=True)
        return True

    # --- reports ------------------------------------------------------------------------------------------------------

    def snapshot_reported(self, peer_id: int, ok: bool) -> None:
        """A snapshot's data arrived, or failed to: go on behind it once the peer says it has it, or begin again after
        the next heartbeat."""
        progress = self.progress.get(peer_id)
        if progress is None or progress.state is not ProgressState.SNAPSHOT:
            return
        if not ok:
            progress.snapshot_failed()
        progress.become_probe()
        progress.probe_sent = True

    def unreachable(self, peer_id: int) -> None:
        """Messages are being lost: what is in flight will not be answered."""
        progress = self.progress.get(peer_id)
        if progress is not None and progress.state is ProgressState.REPLICATE and peer_id != self._core.id:
            progress.become_probe()

    def wrote(self, index: int) -> bool:
        """Our own log is durable up to `index`. Returns whether that is news."""
        own = self._own()
        own.heard(self._core.tick_count)
        return own.acknowledge(index)

    # --- questions ----------------------------------------------------------------------------------------------------

    def match_of(self, peer_id: int) -> int:
        return self.progress[peer_id].match

    def take_activity(self) -> dict[int, bool]:
        """Who was heard since the last call, ourselves always: the votes of a check of the quorum (thesis §6.2)."""
        heard = {peer_id: progress.recent_active for peer_id, progress in self.progress.items()}
        for progress in self.progress.values():
            progress.recent_active = False
        return heard | {self._core.id: True}

    def excuse_silence(self) -> None:
        """Take everybody for heard just now."""
        for progress in self.progress.values():
            progress.heard(self._core.tick_count)

    def shift_contacts(self, ticks: int) -> None:
        """Let everybody have been silent for as long as before, although `ticks` more have passed."""
        for progress in self.progress.values():
            progress.last_active_tick += ticks

    def most_advanced_voter(self) -> int | None:
        """Of the other voters, the one that has most of the log; the smallest id of several."""
        conf_state = self._core.conf_state
        voters = [peer_id for peer_id in self.progress if peer_id != self._core.id and conf_state.is_voter(peer_id)]
        return max(voters, key=lambda peer_id: (self.progress[peer_id].match, -peer_id), default=None)

    def status(self) -> tuple[ProgressStatus, ...]:
        """What is known of every member, sorted by peer id."""
        core = self._core
        return tuple(
            ProgressStatus(
                peer_id=peer_id,
                is_learner=not core.conf_state.is_voter(peer_id),
                state=progress.state.value,
                match=progress.match,
                next=progress.next,
                silent_ticks=0 if peer_id == core.id else core.tick_count - progress.last_active_tick,
                paused=progress.is_paused,
                pending_snapshot=progress.pending_snapshot,
            )
            for peer_id, progress in self.progress.items()
        )
