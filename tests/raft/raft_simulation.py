"""A whole group in one thread, driven by one seed: lossy network, crashing disks, drifting clocks, changing members.

Time is counted in steps; each peer ticks about every `STEPS_PER_TICK` of them, some a little faster than others.
Everything that happens is drawn from one seeded random, so a seed run twice gives the same trace.
"""

from __future__ import annotations

import copy
import heapq
import random
from collections import deque
from dataclasses import dataclass, field

from raft_checks import Checker
from raft_world import World

from rutile_kv.raft.config import Config
from rutile_kv.raft.errors import InvalidConfChange, ProposalDropped, SnapshotTemporarilyUnavailable
from rutile_kv.raft.messages import (
    ConfChange,
    ConfChangeKind,
    ConfChangeSingle,
    ConfChangeTransition,
    ConfState,
    Entry,
    EntryKind,
    HardState,
    Message,
    MessageKind,
    SnapshotMeta,
)
from rutile_kv.raft.node import RawNode
from rutile_kv.raft.ready import Ready
from rutile_kv.raft.storage import MemoryStorage

STEPS_PER_TICK = 10
START_INDEX = 5
"""The log begins behind a snapshot, so that newcomers learn the first configuration from one."""


class Disk(MemoryStorage):
    """A log and a state machine in one atomic file; `Peer` keeps a copy of what was synced."""

    def __init__(self) -> None:
        super().__init__()
        self.applied = 0
        self.machine: tuple[bytes, ...] = ()
        self.made: dict[int, tuple[SnapshotMeta, tuple[bytes, ...]]] = {}

    def snapshot(self, request_index: int) -> SnapshotMeta:
        """Made on the spot, but only at every other question."""
        self.questions = getattr(self, "questions", 0) + 1
        if self.questions % 2 or self.applied < request_index:
            raise SnapshotTemporarilyUnavailable()
        meta = SnapshotMeta(self.applied, self.term(self.applied), self.conf_state)
        self.made[meta.index] = (meta, self.machine)
        return meta

    def install_data(self, meta: SnapshotMeta, machine: tuple[bytes, ...]) -> None:
        self.install(meta)
        self.applied, self.machine = meta.index, machine


@dataclass
class Peer:
    """One peer's process and what survives it."""

    id: int
    disk: Disk
    tick_steps: int
    next_tick: int
    synced: Disk = field(init=False)
    node: RawNode | None = None
    writing: Ready | None = None
    to_apply: deque[Entry] = field(default_factory=deque)
    reads: dict[bytes, int] = field(default_factory=dict)
    life: int = 0
    """Counts restarts, so that what was scheduled for an earlier life does not happen in this one."""

    def __post_init__(self) -> None:
        self.synced = copy.deepcopy(self.disk)


class Simulation:
    """`run` lets the world happen, then mends it and waits for everybody to agree."""

    def __init__(self, seed: int, world: World | None = None) -> None:
        self.random = random.Random(seed)
        self.world = world or World.draw(self.random)
        self.now = 0
        self.queue: list[tuple[int, int, str, tuple[object, ...]]] = []
        self.sequence = 0
        self.checker = Checker(START_INDEX)
        self.trace: list[str] = []
        self.snapshots: dict[tuple[int, int], tuple[bytes, ...]] = {}
        self.cut: set[int] = set()
        """The peers on the smaller side of a partition."""
        self.cut_links: set[tuple[int, int]] = set()
        self.proposals = 0
        self.reads_confirmed = 0
        self.calm = False
        conf_state = ConfState(tuple(range(1, self.world.voters + 1)))
        self.peers = {peer_id: self._make_peer(peer_id, conf_state) for peer_id in range(1, self.world.peers + 1)}
        for peer in self.peers.values():
            self._start(peer, fresh=True)

    def _make_peer(self, peer_id: int, conf_state: ConfState) -> Peer:
        disk = Disk()
        if peer_id in conf_state.voters:
            disk.install_data(SnapshotMeta(START_INDEX, 1, conf_state), ())
            disk.hard_state = HardState(1, 0, START_INDEX)
        drift = self.random.randint(-self.world.drift, self.world.drift)
        return Peer(peer_id, disk, STEPS_PER_TICK + drift, self.random.randint(1, STEPS_PER_TICK))

    # --- the world ----------------------------------------------------------------------------------------------------

    def run(self, steps: int) -> None:
        for _ in range(steps):
            self._step()
        self._mend()

    def _step(self) -> None:
        self.now += 1
        while self.queue and self.queue[0][0] <= self.now:
            _, _, name, arguments = heapq.heappop(self.queue)
            getattr(self, "_on_" + name)(*arguments)
        for peer in self.peers.values():
            self._let_live(peer)
        if not self.calm:
            self._misfortune()
            self._clients()
        live = [peer.node for peer in self.peers.values() if peer.node]
        self.checker.observe_roles(live)
        self.checker.observe_leases(live)

    def _let_live(self, peer: Peer) -> None:
        if peer.node is None:
            return
        if self.now >= peer.next_tick:
            peer.next_tick = self.now + peer.tick_steps
            peer.node.tick()
        if peer.to_apply and self.random.random() < (self.world.apply if not self.calm else 1):
            self._apply(peer, self.random.randint(1, 4))
        if peer.node.has_ready() and self.random.random() < 0.7:
            self._take_ready(peer)

    def _later(self, delay: int, name: str, *arguments: object) -> None:
        self.sequence += 1
        heapq.heappush(self.queue, (self.now + delay, self.sequence, name, arguments))

    def _note(self, text: str) -> None:
        self.trace.append(f"{self.now} {text}")

    # --- a peer's work ------------------------------------------------------------------------------------------------

    def _take_ready(self, peer: Peer) -> None:
        assert peer.node is not None
        ready = peer.node.ready()
        self.checker.observe_entries(peer.node, ready.entries)
        for read in ready.read_states:
            self.reads_confirmed += 1
            self.checker.observe_read(peer.reads.pop(read.context, 0), read.index)
        for message in ready.messages:
            self._send(peer, message)
        peer.writing = ready
        delay = self.random.randint(0, self.world.max_sync_steps) if ready.must_sync else 0
        self._later(delay, "written", peer, peer.life)

    def _on_written(self, peer: Peer, life: int) -> None:
        if peer.life != life or peer.node is None or peer.writing is None:
            return
        ready, peer.writing = peer.writing, None
        disk = peer.disk
        if ready.snapshot is not None:
            disk.install_data(ready.snapshot, self.snapshots[ready.snapshot.index, ready.snapshot.term])
            self.checker.observe_conf_state(ready.snapshot.index, ready.snapshot.conf_state)
            peer.to_apply.clear()
        disk.append(ready.entries)
        disk.hard_state = ready.hard_state or disk.hard_state
        if ready.must_sync:
            peer.synced = _copy(disk)
        for message in ready.persisted_messages:
            self._send(peer, message)
        peer.node.advance(ready)
        peer.to_apply.extend(ready.committed_entries)

    def _apply(self, peer: Peer, count: int) -> None:
        node, disk = peer.node, peer.disk
        assert node is not None
        for _ in range(min(count, len(peer.to_apply))):
            entry = peer.to_apply.popleft()
            self.checker.observe_apply(node, entry)
            if entry.kind is EntryKind.CONF_CHANGE:
                disk.conf_state = node.apply_conf_change(ConfChange.from_bytes(entry.data))
                self._note(f"{peer.id} now {disk.conf_state}")
            disk.machine += (entry.data,)
            disk.applied = entry.index
            self.checker.observe_conf_state(entry.index, disk.conf_state)
            node.advance_apply(entry.index)

    # --- the network --------------------------------------------------------------------------------------------------

    def _send(self, sender: Peer, message: Message) -> None:
        if message.kind is MessageKind.SNAPSHOT and message.snapshot is not None:
            meta, machine = sender.disk.made[message.snapshot.index]
            self.snapshots[meta.index, meta.term] = machine
        copies = 2 if self._chance(self.world.duplicate) else 1
        for _ in range(copies):
            delay = self.random.randint(1, self.world.max_delay_steps)
            if self._chance(self.world.late):
                delay = self.random.randint(1, 60 * STEPS_PER_TICK)
            self._later(delay, "arrived", message, sender.life, self._chance(self.world.loss))

    def _on_arrived(self, message: Message, life: int, lost: bool) -> None:
        target = self.peers[message.to]
        through = not lost and target.node is not None and not self._separated(message.sender, message.to)
        if through:
            self._note(f"{message.kind.name} {message.sender}>{message.to} t{message.term} i{message.index}")
            assert target.node is not None
            target.node.step(message)
        if message.kind is MessageKind.SNAPSHOT:
            self._later(self.random.randint(1, 20), "reported", self.peers[message.sender], life, message.to, through)

    def _on_reported(self, peer: Peer, life: int, to: int, ok: bool) -> None:
        if peer.life == life and peer.node is not None:
            peer.node.report_snapshot(to, ok)

    def _separated(self, one: int, other: int) -> bool:
        return (one in self.cut) != (other in self.cut) or (min(one, other), max(one, other)) in self.cut_links

    def _chance(self, probability: float) -> bool:
        return not self.calm and self.random.random() < probability

    # --- misfortune ---------------------------------------------------------------------------------------------------

    def _misfortune(self) -> None:
        if self._chance(self.world.crash):
            self._crash(self.random.choice(list(self.peers.values())))
        if self._chance(self.world.partition):
            self.cut = set(self.random.sample(sorted(self.peers), self.random.randint(1, len(self.peers) // 2)))
            self._note(f"cut off {sorted(self.cut)}")
        if self._chance(self.world.cut_link):
            one, other = sorted(self.random.sample(sorted(self.peers), 2))
            self.cut_links.add((one, other))
            self._note(f"cut {one}-{other}")
        if self._chance(self.world.heal):
            self._heal()

    def _heal(self) -> None:
        self.cut, self.cut_links = set(), set()

    def _crash(self, peer: Peer) -> None:
        """Lose the process, and what was written but not synced; come back after a while."""
        if peer.node is None:
            return
        self._note(f"crash {peer.id}")
        peer.life += 1
        peer.node = peer.writing = None
        peer.to_apply.clear()
        peer.reads.clear()
        made = peer.disk.made
        peer.disk = _copy(peer.synced)
        peer.disk.made = made
        self._later(self.random.randint(1, self.world.max_down_steps), "restart", peer)

    def _on_restart(self, peer: Peer) -> None:
        if peer.node is None:
            self._start(peer)

    def _start(self, peer: Peer, *, fresh: bool = False) -> None:
        config = Config(
            peer.id,
            applied=peer.disk.applied,
            fresh=fresh,
            pre_vote=self.world.pre_vote,
            check_quorum=self.world.check_quorum,
            defer_commit_news=self.world.defer_commit_news,
            max_entry_bytes=64,
            max_inflight=3,
            max_committed_bytes=200,
            max_uncommitted_bytes=400,
        )
        peer.node = RawNode(config, peer.disk, random.Random(self.random.getrandbits(32)))
        peer.next_tick = self.now + self.random.randint(1, peer.tick_steps)

    # --- clients ------------------------------------------------------------------------------------------------------

    def _clients(self) -> None:
        """Each kind of client has its chance at some peer, whether that leads or not."""
        world = self.world
        for chance, action in (
            (world.propose, self._propose),
            (world.read, self._read),
            (world.compact, self._compact),
            (world.campaign, lambda peer, node: node.campaign()),
            (world.transfer, lambda peer, node: node.transfer_leader(self.random.choice(sorted(self.peers)))),
            (world.transfer, lambda peer, node: node.report_unreachable(self.random.choice(sorted(self.peers)))),
            (world.change, lambda peer, node: node.propose_conf_change(self._random_change())),
        ):
            peer = self.random.choice(list(self.peers.values()))
            if peer.node is not None and self._chance(chance):
                try:
                    action(peer, peer.node)
                except (ProposalDropped, InvalidConfChange) as error:
                    self._note(f"{peer.id} dropped {error}")

    def _read(self, peer: Peer, node: RawNode) -> None:
        context = b"read %d" % self.now
        node.read_index(context)
        peer.reads[context] = self.checker.max_commit

    def _propose(self, peer: Peer, node: RawNode) -> None:
        self.proposals += 1
        node.propose(b"p%d" % self.proposals * self.random.choice((1, 1, 1, 9)))

    def _compact(self, peer: Peer, node: RawNode) -> None:
        low, high = peer.disk.first_index(), min(peer.disk.applied, peer.synced.applied)
        if low <= high:
            peer.disk.compact(self.random.randint(low, high))

    def _random_change(self) -> ConfChange:
        peers = self.random.sample(sorted(self.peers), self.random.choice((0, 1, 1, 2, 3)))
        changes = tuple(ConfChangeSingle(self.random.choice(list(ConfChangeKind)), peer_id) for peer_id in peers)
        return ConfChange(changes, self.random.choice(list(ConfChangeTransition)))

    # --- the end ------------------------------------------------------------------------------------------------------

    def _mend(self) -> None:
        """Mend everything, and see that the group elects a leader and takes everybody along."""
        self.calm = True
        self._heal()
        for peer in self.peers.values():
            self._on_restart(peer)
        last: tuple[int, int] | None = None
        for _ in range(400 * STEPS_PER_TICK):
            self._step()
            if self.now % STEPS_PER_TICK == 0:
                last = self._propose_last(last)
                if last is not None and self._everybody_has(last[1]):
                    return
        states = [peer.node.status() for peer in self.peers.values() if peer.node]
        raise AssertionError(f"the mended group does not agree: {states}")

    def _propose_last(self, last: tuple[int, int] | None) -> tuple[int, int] | None:
        """Propose something last, again with each new leader, as the old one's may be lost. Returns its term and
        index."""
        for peer in self.peers.values():
            if peer.node is not None and peer.node.is_leader and (last is None or peer.node.term > last[0]):
                try:
                    last = peer.node.term, peer.node.propose(b"last")
                except ProposalDropped:
                    continue  # handing over, or full: at the next tick
        return last

    def _everybody_has(self, index: int) -> bool:
        """True if `index` is applied by all members of the newest configuration; who was removed may never hear of
        it."""
        if index not in self.checker.applied:
            return False
        members = self.checker.conf_states[max(self.checker.conf_states)].members()
        return all(self.peers[peer_id].disk.applied >= index for peer_id in members)


def _copy(disk: Disk) -> Disk:
    """What would be read back after a crash right now."""
    twin = copy.copy(disk)
    twin._entries = list(disk._entries)
    return twin
