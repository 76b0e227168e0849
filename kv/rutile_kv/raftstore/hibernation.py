"""Regions that nobody uses stop ticking: a thousand of them cost no more than a few messages between stores.

    awake ── leader: unused for `hibernate_after_ticks`, everything applied everywhere ──▶ asks all members, asleep
                follower: agrees if it has applied exactly what the leader has          ──▶ answers, asleep
    leader, without an answer of everybody within `hibernate_answer_ticks`              ──▶ awake
    either, by a request, a Raft message, or the silence of a member's store            ──▶ awake

A sleeping leader sends no heartbeats, so its followers must not take its silence for death; and a dead one must be
found out. Both are settled between stores instead of regions: stores with sleeping regions in common ping each other,
and hearing a store counts, for a sleeping follower, as hearing the leader on it. So

* a follower that wakes while the leader's store is alive ignores candidates as it always would (`skip_ticks`), and
  whoever wakes calls the leader, whose heartbeat calls the others;
* when a store falls silent, the regions led by it wake, and their followers count the silence as their leader's: they
  elect another as soon as an awake group would have. The other regions with a member on it wake when it has been silent
  for `down_peer_ticks`: their leaders have to tell PD.

Nothing here is needed for safety. The ticks slept through are counted on waking, so a lease from before is over by
then unless it would be valid in an awake group too; until it wakes a sleeping leader's lease is not asked at all.

A wheel turns once in `asleep_check_ticks`: then a sleeping leader reports to PD, and a sleeping follower asks whether
it still belongs, without waking anybody. What happens on a tick does not depend on how many regions sleep.
"""

from rutile_kv.raft.messages import MessageKind
from rutile_kv.raftstore.config import StoreConfig
from rutile_kv.raftstore.peer import Peer
from rutile_kv.raftstore.region_change import find_peer
from rutile_kv.raftstore.registry import Registry
from rutile_kv.raftstore.round import Round
from rutile_kv.raftstore.upkeep import ask_whether_member
from rutile_proto import eraftpb_pb2 as eraftpb
from rutile_proto import metapb_pb2 as metapb
from rutile_proto import raft_serverpb_pb2 as raft_serverpb

NO_REGION = 0
"""The region id of a ping: it says nothing but that its sender lives."""
QUIET_KINDS = frozenset((MessageKind.HEARTBEAT_RESPONSE, MessageKind.APPEND_RESPONSE))
"""Late answers, which wake nobody."""

_Extra = raft_serverpb.ExtraMessageType
_KINDS = (_Extra.MsgHibernateRequest, _Extra.MsgHibernateResponse, _Extra.MsgRegionWakeUp)


class Hibernation:
    """Sends peers of one store to sleep and wakes them."""

    def __init__(self, registry: Registry, config: StoreConfig) -> None:
        self._registry = registry
        self._config = config
        self._tick = 0
        self._heard: dict[int, int] = {}
        """When each store was last heard."""
        self._sharing: dict[int, int] = {}
        """How many sleeping regions each other store has a member of."""
        self._unconfirmed: dict[int, Peer] = {}
        """Leaders that sleep while some members have not agreed yet."""
        self._wheel: list[dict[int, None]] = [{} for _ in range(config.asleep_check_ticks)]

    # --- time ---------------------------------------------------------------------------------------------------------

    def tick(self, tick: int, round_: Round) -> None:
        """A tick for everybody who sleeps."""
        self._tick = tick
        for peer in list(self._unconfirmed.values()):
            self._confirm(peer, round_)
        for region_id in self._wheel[tick % len(self._wheel)]:
            self._check(self._registry.peers[region_id], round_)
        if tick % self._config.store_ping_ticks == 0:
            silent = [store_id for store_id in self._sharing if self._silence(store_id) >= self._limit]
            for store_id in silent:
                self._wake_those_with(store_id, round_)
            round_.ready.messages.extend(self._ping(store_id) for store_id in self._sharing)

    def stood_still(self, ticks: int) -> None:
        """So many ticks passed in which this store heard nobody: they count for sleep, not for anybody's silence."""
        self._tick += ticks
        self._heard = {store_id: heard + ticks for store_id, heard in self._heard.items()}
        for peer in self._unconfirmed.values():
            peer.rest.answer_by_tick += ticks

    def consider(self, peer: Peer, round_: Round) -> None:
        """A tick of a leader that is awake: ask the others to sleep if nobody needs this region."""
        rest, mark = peer.rest, (peer.term, peer.node.last_index)
        if rest.used or rest.mark != mark:
            rest.used, rest.mark, rest.since_tick = False, mark, self._tick
        if not self._config.hibernate_after_ticks or self._tick - rest.since_tick < self._config.hibernate_after_ticks:
            return
        if peer.may_sleep():  # if not, perhaps at the next tick: at this one, a heartbeat may be about to leave
            rest.awaited = {member.id: None for member in peer.region.peers if member.id != peer.id}
            rest.answer_by_tick = self._tick + self._config.hibernate_answer_ticks
            self._fall_asleep(peer)
            peer.heartbeat_due = peer.heartbeat_due or peer.applier.stats.written_keys > 0  # the next report is far
            if rest.awaited:
                self._unconfirmed[peer.region_id] = peer
            for member in peer.region.peers:
                if member.id != peer.id:
                    round_.ready.messages.append(_extra(peer, member, _Extra.MsgHibernateRequest))

    # --- news ---------------------------------------------------------------------------------------------------------

    def heard_store(self, store_id: int) -> None:
        """Something came from a store."""
        self._heard[store_id] = self._tick

    def take(self, message: raft_serverpb.RaftMessage, round_: Round) -> bool:
        """True if it is a message of this file, which is done with then. Only members talk to each other here."""
        if message.region_id == NO_REGION:
            return True
        if not message.HasField("extra_msg") or message.extra_msg.type not in _KINDS:
            return False
        peer = self._registry.peers.get(message.region_id)
        if peer is not None and peer.id == message.to_peer.id and find_peer(peer.region, message.from_peer.id):
            self._take(peer, message, round_)
        return True

    def _take(self, peer: Peer, message: raft_serverpb.RaftMessage, round_: Round) -> None:
        match message.extra_msg.type:
            case _Extra.MsgHibernateRequest:
                self._asked(peer, message, round_)
            case _Extra.MsgHibernateResponse:
                if (message.message.term, message.message.index) == (peer.term, peer.node.last_index):
                    peer.rest.awaited.pop(message.from_peer.id, None)
            case _Extra.MsgRegionWakeUp:
                self.wake(peer, round_)

    def wake_for(self, peer: Peer, kind: MessageKind, sender_id: int, round_: Round) -> None:
        """A Raft message is about to be stepped into `peer`."""
        if peer.asleep_since is not None and kind not in QUIET_KINDS:
            self.wake(peer, round_, called_by_leader=sender_id == peer.node.leader_id)

    # --- waking -------------------------------------------------------------------------------------------------------

    def wake(self, peer: Peer, round_: Round, called_by_leader: bool = False) -> None:
        """Let `peer` tick again. Does nothing if it does."""
        if peer.asleep_since is None:
            return
        slept_ticks = self._tick - peer.asleep_since
        self.forget(peer)
        self._registry.awake[peer.region_id] = peer
        leader = peer.leader
        silent_ticks = slept_ticks if leader is None else min(slept_ticks, self._silence(leader.store_id))
        peer.node.skip_ticks(slept_ticks, silent_ticks)
        peer.note_contact()
        peer.rest.used = True
        if peer.is_leader:
            peer.node.ping()
        elif leader is not None and not called_by_leader:
            round_.ready.messages.append(_extra(peer, leader, _Extra.MsgRegionWakeUp))
        self._registry.touch(peer.region_id)

    def forget(self, peer: Peer) -> None:
        """A peer goes away for good."""
        if peer.asleep_since is not None:
            self._wheel[peer.region_id % len(self._wheel)].pop(peer.region_id, None)
            self._unconfirmed.pop(peer.region_id, None)
            self._count_neighbours(peer, -1)
            peer.asleep_since = None

    # --- inside -------------------------------------------------------------------------------------------------------

    @property
    def _limit(self) -> int:
        return self._config.election_timeout_ticks

    def _silence(self, store_id: int) -> int:
        return self._tick - self._heard.get(store_id, self._tick)

    def _asked(self, peer: Peer, message: raft_serverpb.RaftMessage, round_: Round) -> None:
        """Sleep if the leader and this peer are at the very same point."""
        asked = message.message
        if peer.node.leader_id != message.from_peer.id or not peer.is_settled_at(asked.term, asked.index):
            return
        if peer.asleep_since is None:
            self._fall_asleep(peer)
        round_.ready.messages.append(_extra(peer, message.from_peer, _Extra.MsgHibernateResponse))

    def _confirm(self, peer: Peer, round_: Round) -> None:
        if not peer.rest.awaited:
            del self._unconfirmed[peer.region_id]
        elif self._tick >= peer.rest.answer_by_tick:
            self.wake(peer, round_)

    def _fall_asleep(self, peer: Peer) -> None:
        peer.asleep_since = self._tick
        self._registry.awake.pop(peer.region_id, None)
        self._wheel[peer.region_id % len(self._wheel)][peer.region_id] = None
        own = self._registry.store_id
        peer.rest.neighbours = tuple(member.store_id for member in peer.region.peers if member.store_id != own)
        self._count_neighbours(peer, 1)

    def _count_neighbours(self, peer: Peer, change: int) -> None:
        for store_id in peer.rest.neighbours:
            count = self._sharing.get(store_id, 0) + change
            if count:
                self._sharing[store_id] = count
                self._heard.setdefault(store_id, self._tick)
            else:
                self._sharing.pop(store_id, None)

    def _wake_those_with(self, store_id: int, round_: Round) -> None:
        """Those that may need another leader now; the others, whose leader will have to report a member as down, when
        that is due. Until then it may turn out that the store was only slow."""
        is_down = self._silence(store_id) >= self._config.down_peer_ticks
        sleeping = [peer for peer in self._registry.peers.values() if peer.asleep_since is not None]
        for peer in sleeping:
            leader = peer.leader
            if store_id in peer.rest.neighbours and (is_down or leader is None or leader.store_id == store_id):
                self.wake(peer, round_)

    def _check(self, peer: Peer, round_: Round) -> None:
        if peer.is_leader:
            peer.heartbeat_due = True
            self._registry.touch(peer.region_id)
        else:
            ask_whether_member(peer, round_)

    def _ping(self, store_id: int) -> raft_serverpb.RaftMessage:
        return raft_serverpb.RaftMessage(
            region_id=NO_REGION,
            from_peer=metapb.Peer(store_id=self._registry.store_id),
            to_peer=metapb.Peer(store_id=store_id),
        )


def _extra(peer: Peer, to_peer: metapb.Peer, kind: raft_serverpb.ExtraMessageType) -> raft_serverpb.RaftMessage:
    """A message of this file: with term and end of the log, which both sides must agree on."""
    return raft_serverpb.RaftMessage(
        region_id=peer.region_id,
        from_peer=peer.meta,
        to_peer=to_peer,
        region_epoch=peer.region.region_epoch,
        message=eraftpb.Message(term=peer.term, index=peer.node.last_index),
        extra_msg=raft_serverpb.ExtraMessage(type=kind),
    )
