"""Raft: how a few machines keep one log, so that any majority of them can go on (the paper: Ongaro and Ousterhout, "In
Search of an Understandable Consensus Algorithm", extended version, 2014; the thesis: Ongaro's dissertation, 2014).

The idea. One peer at a time leads a *term*. It appends entries to its log and sends them to the others; what a majority
has stored is *committed* and will never be taken back; every peer applies committed entries in order, so all state
machines go through the same states. When a leader falls silent, another peer asks for votes in the next term, and gets
them only if its log misses nothing that is committed.

The properties (paper Figure 3), checked at every step of the simulation in `tests/raft`:

* Election Safety: a term has at most one leader.
* Leader Append-Only: a leader never changes its own log but by adding to it (`Log.append` asserts it).
* Log Matching: logs with an entry of the same index and term are the same up to there.
* Leader Completeness: what is committed is in the log of every later leader.
* State Machine Safety: no two peers apply different entries at one index.
* and for readers: a confirmed read index, or a valid lease, never misses what was committed before it was asked for.

This core is *sans-io*: synchronous, without clock, socket, disk or chance of its own. Time comes as ticks, randomness
as an argument, and what is to be done goes out as a `Ready`, whose fields say when each part may be done.

    messages, ticks, proposals ─▶ RawNode ─▶ Ready: entries and state to write, messages to send, entries to apply
                                     │
                                    Core ─ role: Follower │ PreCandidate │ Candidate │ Leader
                                     ├─ Log: Unstable, Storage                         ├─ Replication: Progress
                                     └─ Quorum, conf_change                            ├─ HeartbeatRounds
                                                                                       ├─ ReadIndexQueue
                                                                                       └─ Transfer

Where things are: `node.py` the door, `ready.py` what comes out of it, `messages.py` the values, `storage.py` what it
reads; `core.py` terms and transitions; `follower.py`, `candidate.py`, `leader.py` the roles; `voting.py` answering
candidates; `log.py` and `unstable.py`; `replication.py` and `progress.py` sending entries; `quorum.py` majorities;
`conf_change.py` members; `read_index.py`, `lease.py` reads; `transfer.py`; `codec.py` to the wire and back.
`docs/raft.md` goes by section of the paper.

Two things differ from the papers. A configuration counts from when its entry is applied, as in etcd (`conf_change.py`
says why that is safe). And a leader sends entries while it is still writing them, its own copy counting only once it is
durable (thesis §10.2.1).

Not here, on purpose: the data of snapshots (the caller moves it, Raft sees metadata only); forwarding proposals to the
leader (the caller knows better what to do); witnesses, priorities and commit groups; leases that trust a clock instead
of counted ticks; pulling entries from peers other than the leader.
"""

from rutile_kv.raft.config import Config, Randomness
from rutile_kv.raft.messages import (
    NO_PEER,
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
from rutile_kv.raft.ready import ReadState, Ready, Role, SoftState, Status
from rutile_kv.raft.storage import MemoryStorage, Storage

__all__ = [
    "NO_PEER",
    "ConfChange",
    "ConfChangeKind",
    "ConfChangeSingle",
    "ConfChangeTransition",
    "ConfState",
    "Config",
    "Entry",
    "EntryKind",
    "HardState",
    "MemoryStorage",
    "Message",
    "MessageKind",
    "Randomness",
    "RawNode",
    "ReadState",
    "Ready",
    "Role",
    "SnapshotMeta",
    "SoftState",
    "Status",
    "Storage",
]
