"""What a peer is, and what it proposes when it leads: writes, admin commands, changes of members, another leader.

Everything proposed is told to `proposals`, which knows who waits for it. What hands keys to another region, and what
merges, is remembered: until it is applied here, reads and requests must wait for it.
"""

from collections.abc import Sequence

from rutile_kv.engine.api import Modify
from rutile_kv.raft.config import Config as RaftConfig
from rutile_kv.raft.config import Randomness
from rutile_kv.raft.errors import DropReason, ProposalDropped
from rutile_kv.raft.node import RawNode
from rutile_kv.raftstore.commands import conf_change_of, encode_admin, encode_write
from rutile_kv.raftstore.config import StoreConfig
from rutile_kv.raftstore.outbox import Outbox
from rutile_kv.raftstore.peer_storage import PeerStorage
from rutile_kv.raftstore.proposals import ProposalQueue
from rutile_kv.raftstore.region_change import is_joint
from rutile_kv.raftstore.round import Round
from rutile_proto import metapb_pb2 as metapb
from rutile_proto import rutilepb_pb2 as rutilepb
from rutile_proto.errors import NotLeader, RaftEntryTooLarge, RegionError, ServerIsBusy


class ProposingPeer:
    """The part of a `Peer` that Raft hears of."""

    def __init__(self, meta: metapb.Peer, storage: PeerStorage, config: StoreConfig, random: Randomness) -> None:
        self.id = meta.id
        self.region_id = storage.region.id
        self.storage = storage
        self.outbox = Outbox(meta, storage)
        self.node = RawNode(raft_config(meta.id, storage, config), storage, random)
        self.proposals = ProposalQueue()
        self._config = config
        self._border_index = 0
        """The newest entry proposed that hands keys to another region."""
        self._merge_proposal = (0, 0)
        """(term, index) of the newest PrepareMerge, CommitMerge or RollbackMerge proposed."""

    @property
    def meta(self) -> metapb.Peer:
        return self.outbox.sender

    @meta.setter
    def meta(self, meta: metapb.Peer) -> None:
        self.outbox.sender = meta

    @property
    def region(self) -> metapb.Region:
        return self.storage.region

    @property
    def is_initialised(self) -> bool:
        return self.storage.is_initialised

    @property
    def is_leader(self) -> bool:
        return self.node.is_leader

    @property
    def term(self) -> int:
        return self.node.term

    @property
    def leader(self) -> metapb.Peer | None:
        """Whom this peer takes for the leader."""
        return self.outbox.find_peer(self.node.leader_id)

    @property
    def is_merging(self) -> bool:
        """True if the region takes no requests: it is prepared to merge, or about to be."""
        return self.storage.merge_state is not None or self._proposes_prepare()

    def awaits_merge_entry(self) -> bool:
        """True while an entry about a merge that this leader proposed is not applied yet."""
        term, index = self._merge_proposal
        return self.is_leader and term == self.term and index > self.storage.applied_index

    def propose_admin(self, tokens: Sequence[object], command: rutilepb.AdminCommand) -> None:
        """Raises NotLeader, ServerIsBusy or RaftEntryTooLarge."""
        data = encode_admin(self.region.region_epoch, self.term, command)
        if len(data) > self._config.max_entry_bytes:
            raise RaftEntryTooLarge(self.region_id, len(data), self._config.max_entry_bytes)
        try:
            index = self.node.propose(data)
        except ProposalDropped as dropped:
            raise self._refusal(dropped) from dropped
        self.proposals.add(index, self.term, tokens)
        kind = command.WhichOneof("cmd")
        if kind in ("batch_split", "prepare_merge"):
            self._border_index = index
        if kind in ("prepare_merge", "commit_merge", "rollback_merge"):
            self._merge_proposal = (self.term, index)

    def propose_conf_change(self, tokens: Sequence[object], command: rutilepb.ConfChangeV2Cmd) -> None:
        """Raises NotLeader, ServerIsBusy (another change is under way) or raft's InvalidConfChange."""
        change = conf_change_of(self.region.region_epoch, self.term, command)
        try:
            index = self.node.propose_conf_change(change)
        except ProposalDropped as dropped:
            raise self._refusal(dropped) from dropped
        self.proposals.add(index, self.term, tokens)

    def transfer_leader(self, peer_id: int) -> None:
        """Raises NotLeader or ServerIsBusy.

        Not to a peer that is silent: the group would take no writes until the transfer is given up.
        """
        silent = next((p.silent_ticks for p in self.node.status().progress if p.peer_id == peer_id), 0)
        if silent >= self._config.election_timeout_ticks:
            raise ServerIsBusy(f"peer {peer_id} has been silent for {silent} ticks: it cannot lead now")
        try:
            self.node.transfer_leader(peer_id)
        except ProposalDropped as dropped:
            raise self._refusal(dropped) from dropped

    def propose_hash(self, index: int, value: bytes) -> None:
        """Have the others compare; if it cannot be proposed now, the next check will."""
        try:
            self.propose_admin((), rutilepb.AdminCommand(verify_hash=rutilepb.VerifyHash(index=index, hash=value)))
        except (NotLeader, ServerIsBusy):
            return

    def leave_joint(self) -> None:
        """Close a joint configuration as soon as Raft lets us; asked again until it is done."""
        if self.is_leader and is_joint(self.region):
            try:
                self.propose_conf_change((), rutilepb.ConfChangeV2Cmd(leave_joint=True))
            except (NotLeader, ServerIsBusy):
                return

    def _proposes_prepare(self) -> bool:
        return self.awaits_merge_entry() and self._border_index == self._merge_proposal[1]

    def _propose_write(self, tokens: list[object], modifies: list[Modify], round_: Round) -> None:
        try:
            index = self.node.propose(encode_write(self.region.region_epoch, self.term, modifies))
        except ProposalDropped as dropped:
            round_.fail(tokens, self._refusal(dropped))
        else:
            self.proposals.add(index, self.term, tokens)

    def _refusal(self, dropped: ProposalDropped) -> RegionError:
        """Raft's reason as the error a client understands."""
        match dropped.reason:
            case DropReason.NOT_LEADER:
                return NotLeader(self.region_id, self.leader)
            case DropReason.NO_LEADER | DropReason.TRANSFERRING:
                return NotLeader(self.region_id, None)
            case _:
                return ServerIsBusy(f"region {self.region_id}: {dropped.reason.value}")


def raft_config(peer_id: int, storage: PeerStorage, config: StoreConfig) -> RaftConfig:
    return RaftConfig(
        id=peer_id,
        applied=storage.applied_index,
        election_timeout_ticks=config.election_timeout_ticks,
        heartbeat_ticks=config.heartbeat_ticks,
        max_committed_bytes=config.max_apply_bytes,
        defer_commit_news=True,
        fresh=storage.is_fresh,
    )
