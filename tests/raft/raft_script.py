"""The verbs of the Raft golden scripts: a small group whose every message can be seen, held back or lost.

    group voters=1,2,3 [learners=4] [outsiders=5] [NAME=VALUE of Config ...]   start the group; outsiders begin empty
                         start=INDEX: all but outsiders begin behind a snapshot, as real groups do
    log ID terms=1,1,4 [term=4] [commit=0]   before `group`: the peer starts with entries of these terms
    campaign|tick|propose|read|transfer|change|ping|unreachable|snapshot|...   see the methods below
    stabilize            let everybody write, send and apply until nothing happens; prints what travels
    take ID, persist ID  the two halves of a Ready, for what may happen between them
    isolate ID, cut A B, lose KIND, heal     what the network does not deliver
    status, log, progress, lease             what is printed only when asked for

Messages print as `sender>receiver KIND tTERM ...`; positions in a log as index/term.
"""

from __future__ import annotations

import dataclasses
from collections import deque

from goldenscript import Command
from raft_printing import CHANGES, show_conf_state, show_entries, show_message, show_snapshot

from rutile_kv.raft.config import Config
from rutile_kv.raft.errors import RaftError
from rutile_kv.raft.messages import (
    ConfChange,
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


class FixedTimeouts:
    """Draws the low end plus a fixed number: peer 1 times out first, unless a script says otherwise."""

    def __init__(self, extra: int) -> None:
        self.extra = extra

    def randint(self, low: int, high: int, /) -> int:
        return min(low + self.extra, high)


class ScriptPeer:
    """A peer, its disk, and the entries it was given to apply."""

    def __init__(self, storage: MemoryStorage, config: Config) -> None:
        self.storage, self.config = storage, config
        self.applied = config.applied
        self.timeouts = FixedTimeouts(config.id - 1)
        self.node = RawNode(config, storage, self.timeouts)
        self.outstanding: Ready | None = None
        self.applies = True
        self.pending: list[Entry] = []


class RaftScript:
    """Runs the commands of one script."""

    errors = (RaftError,)

    def __init__(self) -> None:
        self.peers: dict[int, ScriptPeer] = {}
        self.logs: dict[int, MemoryStorage] = {}
        self.network: deque[Message] = deque()
        self.isolated: set[int] = set()
        self.cuts: set[frozenset[int]] = set()
        self.lost: set[MessageKind] = set()
        self.output: list[str] = []

    def run(self, command: Command) -> str:
        self.output = []
        getattr(self, "do_" + command.name)(command)
        return "\n".join(self.output)

    def say(self, line: str) -> None:
        self.output.append(line)

    def peer(self, command: Command, position: int = 0) -> ScriptPeer:
        return self.peers[int(command.word(position))]

    # --- the stage ----------------------------------------------------------------------------------------------------

    def do_log(self, command: Command) -> None:
        """Before `group`: give a peer a log. After: print it."""
        peer_id = int(command.word(0))
        if peer_id in self.peers:
            self._print_log(self.peers[peer_id])
            return
        storage = MemoryStorage()
        terms = [int(term) for term in command.option("terms").split(",") if term]
        storage.append([Entry(term, index, data=b"e%d" % index) for index, term in enumerate(terms, 1)])
        term = command.number("term", max(terms, default=0))
        storage.hard_state = HardState(term, 0, command.number("commit", 0))
        self.logs[peer_id] = storage

    def do_group(self, command: Command) -> None:
        options = dict(command.options)
        voters, learners, outsiders = (_ids(options.pop(name, "")) for name in ("voters", "learners", "outsiders"))
        start = int(options.pop("start", "0"))
        settings = {name: _setting(value) for name, value in options.items()}
        for peer_id in (*voters, *learners, *outsiders):
            conf_state = ConfState() if peer_id in outsiders else ConfState(voters, learners)
            storage = self.logs.get(peer_id, MemoryStorage())
            storage.conf_state = conf_state
            if start and peer_id not in outsiders:
                storage.install(SnapshotMeta(start, 1, conf_state))
                storage.hard_state = HardState(1, 0, start)
            config = Config(peer_id, fresh=True)
            self.peers[peer_id] = ScriptPeer(storage, dataclasses.replace(config, **settings))  # type: ignore[arg-type]

    def do_isolate(self, command: Command) -> None:
        self.isolated |= {int(word) for word in command.words}

    def do_cut(self, command: Command) -> None:
        self.cuts.add(frozenset((int(command.word(0)), int(command.word(1)))))

    def do_lose(self, command: Command) -> None:
        self.lost |= {MessageKind[word.upper()] for word in command.words}

    def do_heal(self, command: Command) -> None:
        self.isolated, self.cuts, self.lost = set(), set(), set()

    def do_restart(self, command: Command) -> None:
        """Lose everything that was not written."""
        peer_id = int(command.word(0))
        old = self.peers[peer_id]
        config = dataclasses.replace(old.config, applied=old.applied, fresh=False)
        self.peers[peer_id] = ScriptPeer(old.storage, config)

    def do_timeout(self, command: Command) -> None:
        """From its next draw on the peer's election timeout is `ticks`."""
        peer = self.peer(command)
        peer.timeouts.extra = command.number("ticks") - peer.config.election_timeout_ticks

    def do_hold_apply(self, command: Command) -> None:
        self.peer(command).applies = False

    def do_apply(self, command: Command) -> None:
        """Apply again, beginning with what was held."""
        peer = self.peer(command)
        peer.applies = True
        self._apply(peer)

    # --- input --------------------------------------------------------------------------------------------------------

    def do_campaign(self, command: Command) -> None:
        self.peer(command).node.campaign()

    def do_tick(self, command: Command) -> None:
        """`tick ID [count]`; `tick all [count]`. Nothing travels meanwhile."""
        peers = list(self.peers.values()) if command.word(0) == "all" else [self.peer(command)]
        for _ in range(int(command.words[1]) if len(command.words) > 1 else 1):
            for peer in peers:
                peer.node.tick()

    def do_run(self, command: Command) -> None:
        """`run COUNT`: that many ticks for everybody, and after each what follows from it, silently."""
        for _ in range(int(command.word(0))):
            for peer in self.peers.values():
                peer.node.tick()
            self._stabilize()
        self.output = [line for line in self.output if " is " in line]

    def do_propose(self, command: Command) -> None:
        for data in command.words[1:]:
            self.say(f"proposed {self.peer(command).node.propose(data.encode())}")

    def do_change(self, command: Command) -> None:
        """`change ID +4 -1 ~2 [transition=explicit]`: add voter 4, remove 1, make 2 a learner; without any: leave
        joint."""
        changes = tuple(ConfChangeSingle(CHANGES[word[0]], int(word[1:])) for word in command.words[1:])
        transition = ConfChangeTransition[command.option("transition", "auto").upper()]
        self.say(f"proposed {self.peer(command).node.propose_conf_change(ConfChange(changes, transition))}")

    def do_read(self, command: Command) -> None:
        self.peer(command).node.read_index(command.word(1).encode())

    def do_transfer(self, command: Command) -> None:
        self.peer(command).node.transfer_leader(int(command.word(1)))

    def do_announce(self, command: Command) -> None:
        self.peer(command).node.announce_commit()

    def do_ping(self, command: Command) -> None:
        self.peer(command).node.ping()

    def do_unreachable(self, command: Command) -> None:
        self.peer(command).node.report_unreachable(int(command.word(1)))

    def do_sent_snapshot(self, command: Command) -> None:
        """`sent_snapshot ID TO ok=true`"""
        self.peer(command).node.report_snapshot(int(command.word(1)), command.flag("ok"))

    def do_snapshot(self, command: Command) -> None:
        """`snapshot ID index=5`: the peer can give a snapshot up to there."""
        peer = self.peer(command)
        peer.storage.make_snapshot(command.number("index"), peer.node.conf_state)

    def do_compact(self, command: Command) -> None:
        self.peer(command).storage.compact(command.number("index"))

    def do_step(self, command: Command) -> None:
        """`step KIND from=1 to=2 term=3 ... [entries=2/1:a,3/1] [snapshot=5/1]`: a message from nowhere."""
        special = ("from", "to", "reject", "entries", "snapshot")
        fields = {name: int(value) for name, value in command.options.items() if name not in special}
        receiver = self.peers[command.number("to")]
        message = Message(
            MessageKind[command.word(0).upper()],
            command.number("to"),
            command.number("from"),
            fields.pop("term"),
            entries=tuple(_parse_entry(text) for text in command.option("entries", "").split(",") if text),
            reject=command.flag("reject"),
            **fields,  # type: ignore[arg-type]
        )
        if "snapshot" in command.options:
            index, term = map(int, command.option("snapshot").split("/"))
            message = dataclasses.replace(message, snapshot=SnapshotMeta(index, term, receiver.node.conf_state))
        receiver.node.step(message)

    # --- work ---------------------------------------------------------------------------------------------------------

    def do_stabilize(self, command: Command) -> None:
        """`stabilize [quiet=true]`; quiet prints only changes of role."""
        self._stabilize()
        if command.flag("quiet"):
            self.output = [line for line in self.output if " is " in line]

    def do_take(self, command: Command) -> None:
        self._take(int(command.word(0)))

    def do_persist(self, command: Command) -> None:
        self._persist(int(command.word(0)))

    def do_deliver(self, command: Command) -> None:
        """Let what is on its way arrive, and nothing more happen."""
        for _ in range(len(self.network)):
            self._deliver(self.network.popleft())

    def _stabilize(self) -> None:
        for _ in range(200):
            busy = bool(self.network)
            for peer_id, peer in self.peers.items():
                if peer.node.has_ready():
                    busy = True
                    self._take(peer_id)
                    self._persist(peer_id)
            for _ in range(len(self.network)):
                self._deliver(self.network.popleft())
            if not busy:
                return
        raise AssertionError("the group never comes to rest")

    def _take(self, peer_id: int) -> None:
        peer = self.peers[peer_id]
        peer.outstanding = ready = peer.node.ready()
        if ready.soft_state is not None:
            leader = f", follows {ready.soft_state.leader_id}" if ready.soft_state.leader_id not in (0, peer_id) else ""
            self.say(f"{peer_id} is {ready.soft_state.role.value} in term {peer.node.term}{leader}")
        for read in ready.read_states:
            self.say(f"{peer_id} may read {read.context.decode()} at {read.index}")
        self.network.extend(ready.messages)

    def _persist(self, peer_id: int) -> None:
        peer = self.peers[peer_id]
        ready, peer.outstanding = peer.outstanding, None
        assert ready is not None, "take first"
        if ready.snapshot is not None:
            peer.storage.install(ready.snapshot)
            peer.applied = ready.snapshot.index
            self.say(f"{peer_id} installs {show_snapshot(ready.snapshot)}")
        peer.storage.append(ready.entries)
        peer.storage.hard_state = ready.hard_state or peer.storage.hard_state
        self.network.extend(ready.persisted_messages)
        peer.node.advance(ready)
        peer.pending += ready.committed_entries
        self._apply(peer)

    def _apply(self, peer: ScriptPeer) -> None:
        if not peer.pending or not peer.applies:
            return
        self.say(f"{peer.config.id} applies {show_entries(peer.pending)}")
        for entry in peer.pending:
            if entry.kind is EntryKind.CONF_CHANGE:
                peer.storage.conf_state = peer.node.apply_conf_change(ConfChange.from_bytes(entry.data))
                self.say(f"{peer.config.id} has {show_conf_state(peer.storage.conf_state)}")
            peer.applied = entry.index
            peer.node.advance_apply(entry.index)
        peer.pending = []

    def _deliver(self, message: Message) -> None:
        pair = {message.sender, message.to}
        lost = pair & self.isolated or frozenset(pair) in self.cuts or message.kind in self.lost
        lost = lost or message.to not in self.peers
        self.say(f"{show_message(message)}{' (lost)' if lost else ''}")
        if not lost:
            self.peers[message.to].node.step(message)

    # --- looking ------------------------------------------------------------------------------------------------------

    def _print_log(self, peer: ScriptPeer) -> None:
        first, last = peer.storage.first_index(), peer.storage.last_index()
        entries = peer.storage.entries(first, last + 1, None)
        self.say(f"{peer.config.id} log {show_entries(entries)} commit {peer.node.commit}")

    def do_status(self, command: Command) -> None:
        """`status [ID ...]`: of these peers, or of all."""
        for peer_id in [int(word) for word in command.words] or list(self.peers):
            status = self.peers[peer_id].node.status()
            role = f"{status.role.value}" + (f" of {status.leader_id}" if status.leader_id not in (0, peer_id) else "")
            self.say(
                f"{peer_id} {role}, term {status.term}, vote {status.vote}, last {status.last_index},"
                f" commit {status.commit}, applied {status.applied}"
            )

    def do_progress(self, command: Command) -> None:
        for progress in self.peer(command).node.status().progress:
            notes = [name for name in ("is_learner", "paused") if getattr(progress, name)]
            if progress.pending_snapshot:
                notes.append(f"snapshot {progress.pending_snapshot}")
            line = f"{progress.peer_id} {progress.state} match {progress.match} next {progress.next}"
            self.say(" ".join((line, *notes)))

    def do_conf(self, command: Command) -> None:
        for peer_id, peer in self.peers.items():
            self.say(f"{peer_id} {show_conf_state(peer.node.conf_state)}")

    def do_lease(self, command: Command) -> None:
        """`lease ID [late=ticks]`: as a caller sees it whose clock is that many ticks ahead."""
        node = self.peer(command).node
        now = node.tick_count + command.number("late", 0)
        self.say(f"{node.id} {'may' if node.lease_valid(now) else 'may not'} read by its lease")

    def do_quiet(self, command: Command) -> None:
        node = self.peer(command).node
        self.say(f"{node.id} {'is' if node.is_quiet() else 'is not'} quiet")


def _ids(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(",") if part)


def _parse_entry(text: str) -> Entry:
    position, _, data = text.partition(":")
    index, term = map(int, position.split("/"))
    return Entry(term, index, data=data.encode())


def _setting(value: str) -> int | bool:
    return {"true": True, "false": False}[value] if value in ("true", "false") else int(value)
