"""Bugs planted on purpose, each a small change to the shipped code, and which ring has to find it.

A mutation is a context manager: inside it the code is wrong. Each is a mistake that somebody could make.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from typing import Any
from unittest.mock import patch

from group_simulation import World
from region_world import RegionWorld
from shell_stories import LostLock, ReadBeforeCommit, Story
from shell_world import ShellWorld

from rutile.testing.network import Conditions
from rutile_kv.raft import log as raft_log
from rutile_kv.raft import quorum, voting
from rutile_kv.raft.core import Core
from rutile_kv.raft.leader import Leader
from rutile_kv.raft.read_index import ReadIndexQueue
from rutile_kv.raftstore import apply, registry
from rutile_kv.raftstore.apply import Applier
from rutile_kv.raftstore.events import StoreReady
from rutile_kv.raftstore.peer_storage import PeerStorage
from rutile_kv.raftstore.registry import Registry
from rutile_kv.raftstore.store import Store
from rutile_kv.txn.commands.prewrite import Prewrite
from rutile_kv.txn.max_ts import MaxTs
from rutile_kv.txn.memory_locks import LockView, MemoryLocks
from rutile_pd.consensus.storage import PdStorage

GOLDEN = -1
"""No ring, but the golden scripts of Raft: Figure 8 needs more coincidences than chance will give it."""
STORY = -2
"""No ring either, but a story told to ring 2's cluster (`shell_stories`), for the same reason."""


@dataclass(frozen=True)
class Mutation:
    """A planted bug. `ring` finds it within `seeds` seeds, in `world` if the drawn ones are too kind to it."""

    name: str
    plant: Callable[[], AbstractContextManager[object]]
    ring: int
    seeds: int
    world: World | RegionWorld | ShellWorld | None = None
    story: type[Story] = ReadBeforeCommit
    slow: bool = False
    """Only in the long run: it takes many seeds."""


def _any_one(voters: tuple[int, ...], acknowledged: Callable[[int], int]) -> int:
    return max(map(acknowledged, voters), default=quorum.EVERYTHING)


def skip_the_quorum() -> Any:
    """Commit what any one voter has."""
    return patch.object(quorum, "majority_acknowledged", _any_one)


def vote_twice() -> Any:
    """A vote is given to whoever asks."""
    return patch.object(voting, "_may_vote_for", lambda core, message: True)


def vote_for_a_shorter_log() -> Any:
    """A candidate that lacks committed entries is elected."""
    return patch.object(raft_log.Log, "is_up_to_date", lambda self, index, term: True)


def commit_an_old_term_by_counting() -> Any:
    """Figure 8 of the Raft paper."""

    def commit(self: Leader) -> None:
        log = self.core.log
        index = self.core.quorum.acknowledged(self.replication.match_of)
        if index > log.committed:
            log.commit_to(index)
            self._committed_in_term = True
            self.uncommitted.committed(index)

    return patch.object(Leader, "_commit", commit)


def acknowledge_before_the_sync() -> Any:
    """What says that something is durable leaves before it is."""
    taken = Store.ready

    def ready(self: Store) -> StoreReady | None:
        found = taken(self)
        if found is not None:
            found.messages += found.persisted_messages
            found.persisted_messages = []
        return found

    return patch.object(Store, "ready", ready)


def trust_an_old_lease() -> Any:
    """A lease never ends."""
    return patch.object(Leader, "lease_valid", lambda self, now_tick: self._committed_in_term)


def confirm_reads_without_asking() -> Any:
    """A ReadIndex is confirmed by nobody."""
    confirmed = ReadIndexQueue.take_confirmed
    return patch.object(ReadIndexQueue, "take_confirmed", lambda self, number: confirmed(self, quorum.EVERYTHING))


def date_contacts_by_ticks() -> Any:
    """Who stood still dates what it hears by the ticks it has counted, not by the clock."""
    step = Core.step
    return patch.object(Core, "step", lambda self, message, late_ticks=0: step(self, message))


def forget_the_epoch() -> Any:
    """An entry takes effect whatever the region has become since it was proposed."""
    return patch.object(Applier, "_check_epoch", lambda self, epoch, with_members: None)


def apply_twice() -> Any:
    """The applied index on disk is one behind the data."""
    save = PeerStorage.save_apply_state

    def behind(self: PeerStorage, batch: Any) -> None:
        self.applied_index -= 1
        save(self, batch)
        self.applied_index += 1

    return patch.object(PeerStorage, "save_apply_state", behind)


@contextmanager
def lose_tombstones() -> Iterator[None]:
    """A destroyed peer is forgotten."""
    bury = Registry._bury

    def forget(self: Registry, peer: Any, *rest: Any) -> None:
        bury(self, peer, *rest)
        self.tombstones.pop(peer.region_id, None)

    with patch.object(Registry, "_bury", forget):
        yield


def split_without_a_new_version() -> Any:
    """What a split makes looks like what it was."""
    split = apply.split_region

    def same_version(region: Any, requests: Sequence[Any]) -> Any:
        children, rest = split(region, requests)
        for each in (*children, rest):
            each.region_epoch.version = region.region_epoch.version
        return children, rest

    return patch.object(apply, "split_region", same_version)


def merge_without_waiting() -> Any:
    """The target takes the source over as it is here, whatever its log had yet to bring."""
    return patch.object(registry, "finish_source", lambda registry, command, round_: registry.peers[command.source.id])


def forget_ids() -> Any:
    """PD's ids are not kept: after a restart it gives them out again."""
    return patch.object(PdStorage, "save_id_end", lambda self, end: None)


def forget_timestamps() -> Any:
    """PD's timestamps are not kept ahead."""
    return patch.object(PdStorage, "save_timestamp_limit", lambda self, limit_ms: None)


@contextmanager
def read_past_locks() -> Iterator[None]:
    """A reader does not look whether somebody is about to commit below it."""
    from rutile_kv.mvcc import bulk, reader

    with (
        patch.object(reader, "blocks_read", lambda *args: False),
        patch.object(bulk, "blocks_read", lambda *args: False),
    ):
        yield


def commit_below_reads() -> Any:
    """Async commit does not look at what was read: a transaction may commit below a read that has not seen it."""
    floor = Prewrite._commit_floor
    return patch.object(Prewrite, "_commit_floor", lambda self, max_ts: floor(self, min(max_ts, 1)))


@contextmanager
def trust_a_new_leader_with_old_reads() -> Iterator[None]:
    """A store that begins to lead a region takes what it has let read itself for all that was read there."""
    with (
        patch.object(MaxTs, "sync_region", lambda self, region_id, fresh_ts: None),
        patch.object(MaxTs, "for_region", lambda self, region_id: max(1, self.newest)),
    ):
        yield


@contextmanager
def keep_locks_of_lost_leadership() -> Iterator[None]:
    """A store that leads a region again takes the locks in its memory for good, whoever led in between."""

    def over(self: MemoryLocks, reader: Any, leadership: Any) -> LockView:
        table = self._tables.get(leadership.region_id)
        if table is None:
            return LockView(reader, leadership, {})
        table.term, table.version = leadership.term, leadership.version
        return LockView(reader, leadership, table.locks)

    with (
        patch.object(MemoryLocks, "over", over),
        patch.object(MemoryLocks, "forget_region", lambda self, region_id: None),
    ):
        yield


FORGETFUL = RegionWorld(
    chaos_ms=15_000,
    crash=2.0,
    max_sync_ms=300,
    max_down_ms=50,
    max_delay_ms=1,
    loss=0.3,
    late=0.1,
    pause=1.0,
    partition=1.0,
    heal=2.0,
    clients=8,
    one_way=0,
    disk_error=0,
    pd_crash=0,
    transfer=0,
    split=0,
    merge=0,
    change=0,
)
"""Syncs take long, and those who should have synced crash while others lag."""
RESTARTS = RegionWorld(stores=4, crash=1.5, power_cut=0.02, max_down_ms=200, split=3.0, merge=2.0, change=1.0)
CUT_OFF = RegionWorld(stores=5, partition=1.0, heal=0.5, pause=1.0, clients=6, split=0.0, merge=0.0)
BORDERS = RegionWorld(split=3.0, merge=2.0, transfer=2.0, late=0.1)
MERGES = RegionWorld(split=3.0, merge=4.0, transfer=1.0, late=0.1, loss=0.05)
MOVES = RegionWorld(stores=5, change=1.0, late=0.1, kill_store=0.2, max_delay_ms=40)
STANDS = RegionWorld(
    chaos_ms=20_000,
    loss=0.1,
    partition=3.0,
    one_way=3.0,
    heal=3.0,
    pause=4.0,
    clients=6,
    crash=0,
    disk_error=0,
    split=0,
    merge=0,
    change=0,
    transfer=0,
)
"""Machines stand still and links break, both for about an election timeout."""
CLOCKS = ShellWorld(skew=3.0, kill_pd=1.5, max_down_s=0.3, kill_store=0, pause=0)
CROWD = ShellWorld(conditions=Conditions(delay_s=(0.0002, 0.03)), kill_store=0.1, split=1.0)

MUTATIONS = (
    Mutation("commit what any one voter has", skip_the_quorum, 0, 10),
    Mutation("vote twice in a term", vote_twice, 0, 10),
    Mutation("vote for a candidate with a shorter log", vote_for_a_shorter_log, 0, 20),
    Mutation("commit an entry of an old term by counting", commit_an_old_term_by_counting, GOLDEN, 1),
    Mutation("acknowledge before the sync", acknowledge_before_the_sync, 1, 40, replace(FORGETFUL, clients=4)),
    Mutation("trust an old lease", trust_an_old_lease, 1, 30, CUT_OFF),
    Mutation("confirm reads without asking", confirm_reads_without_asking, GOLDEN, 1),
    Mutation("date contacts by the ticks counted", date_contacts_by_ticks, 1, 60, STANDS, slow=True),
    Mutation("forget the epoch", forget_the_epoch, 1, 30, BORDERS),
    Mutation("apply twice", apply_twice, 1, 10, RESTARTS),
    Mutation("lose a tombstone", lose_tombstones, 1, 30, MOVES),
    Mutation("split without raising the version", split_without_a_new_version, 1, 5, BORDERS),
    Mutation("merge without waiting for the source's entries", merge_without_waiting, 1, 60, MERGES),
    Mutation("forget which ids were given out", forget_ids, 1, 20, RegionWorld(pd_crash=1.0, split=2.0)),
    Mutation("timestamps not persisted ahead", forget_timestamps, 2, 12, CLOCKS, slow=True),
    Mutation("read past locks", read_past_locks, 2, 6, CROWD),
    Mutation("commit below reads", commit_below_reads, STORY, 2),
    Mutation("trust a new leader with old reads", trust_a_new_leader_with_old_reads, STORY, 2),
    Mutation("keep locks of lost leadership", keep_locks_of_lost_leadership, STORY, 1, story=LostLock),
)
