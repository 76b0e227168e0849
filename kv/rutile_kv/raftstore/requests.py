"""Requests at the door: whether they came to the right place, and to whom they are handed.

The order of the checks is TiKV's (`checks`); the first that fails names the error the caller gets.
"""

from collections.abc import Callable
from typing import TypeAlias, assert_never

from rutile_kv.raftstore import checks
from rutile_kv.raftstore.events import ChangePeers, CheckConsistency, Merge, ReadIndex, Split, TransferLeader, Write
from rutile_kv.raftstore.merge_proposals import prepare_merge
from rutile_kv.raftstore.peer import Peer
from rutile_kv.raftstore.region_change import change_members, check_split, find_peer
from rutile_kv.raftstore.registry import Registry
from rutile_kv.raftstore.round import Round
from rutile_kv.raftstore.routing import Gate
from rutile_proto import kvrpcpb_pb2 as kvrpcpb
from rutile_proto import metapb_pb2 as metapb
from rutile_proto import rutilepb_pb2 as rutilepb
from rutile_proto.errors import InvalidRequest, ReadIndexNotReady, RegionDamaged, RegionNotFound, RutileError

Request: TypeAlias = Write | ReadIndex | Split | ChangePeers | CheckConsistency | Merge | TransferLeader


class Requests:
    """Checks requests against the store's peers."""

    def __init__(self, registry: Registry, gate: Gate, wake: Callable[[Peer], None]) -> None:
        self._registry = registry
        self._wake = wake
        self._gate = gate

    def take(self, request: Request, round_: Round) -> None:
        """Hand a request to its peer; a refusal is a completion of `round_`."""
        try:
            peer = self._peer(request.context)
            if not (isinstance(request, ReadIndex) and request.context.replica_read):
                checks.check_leader(peer)
            checks.check_term(request.context, peer)
            if not isinstance(request, TransferLeader):
                checks.check_not_merging(peer)
            self._wake(peer)
            peer.rest.used = True
            self._hand_over(request, peer, round_)
            self._registry.touch(peer.region_id)
        except RutileError as error:
            round_.fail([request.token], error)

    def readable_now(self, context: kvrpcpb.Context, lag_ticks: int) -> metapb.Region | None:
        """See `Store.read_now`; the clock is `lag_ticks` ahead of the ticks stepped."""
        peer = self._peer(context)
        if not context.replica_read:
            checks.check_leader(peer)
        checks.check_term(context, peer)
        checks.check_not_merging(peer)
        self._check_version(context, peer)
        return peer.region if peer.may_read_now(lag_ticks) else None

    def readable_again(self, context: kvrpcpb.Context) -> metapb.Region:
        """See `Store.read_again`."""
        peer = self._peer(context)
        if peer.installation is not None:
            raise ReadIndexNotReady(peer.region_id, "a snapshot is being installed")
        checks.check_not_merging(peer)
        self._check_version(context, peer)
        return peer.region

    # --- inside -------------------------------------------------------------------------------------------------------

    def _hand_over(self, request: Request, peer: Peer, round_: Round) -> None:
        match request:
            case Write():
                self._check_version(request.context, peer)
                checks.check_modifies(request.modifies, peer.region)
                peer.queue_write(request.token, request.modifies)
            case ReadIndex():
                self._check_version(request.context, peer)
                peer.reads.fresh.append(request.token)
            case Split():
                self._split(request, peer)
            case ChangePeers():
                self._change_peers(request, peer)
            case CheckConsistency():
                self._check_epoch(request.context, peer)
                peer.propose_admin([request.token], rutilepb.AdminCommand(compute_hash=rutilepb.ComputeHash()))
            case Merge():
                self._merge(request, peer)
            case TransferLeader():
                peer.transfer_leader(request.to_peer_id)
                round_.complete([request.token])
            case _:
                assert_never(request)

    def _split(self, request: Split, peer: Peer) -> None:
        self._check_epoch(request.context, peer)
        check_split(peer.region, request.requests)
        command = rutilepb.AdminCommand(batch_split=rutilepb.BatchSplit(requests=request.requests))
        peer.propose_admin([request.token], command)

    def _change_peers(self, request: ChangePeers, peer: Peer) -> None:
        self._check_epoch(request.context, peer)
        command = rutilepb.ConfChangeV2Cmd(changes=request.changes, leave_joint=not request.changes)
        after = change_members(peer.region, command)
        if find_peer(after, peer.id) is None:
            raise InvalidRequest(f"peer {peer.id} leads region {peer.region_id}: move the leader before removing it")
        peer.propose_conf_change([request.token], command)

    def _merge(self, request: Merge, peer: Peer) -> None:
        """The target's peer here must be where the caller thinks the target is: it is what says whether the merge can
        still come to pass."""
        self._check_epoch(request.context, peer)
        target = self._registry.peers.get(request.target.id)
        if target is None or not target.is_initialised:
            raise RegionNotFound(request.target.id)
        if target.region.region_epoch != request.target.region_epoch:
            raise self._registry.epoch_not_match(target.region)
        peer.propose_admin([request.token], prepare_merge(peer, target.region, self._registry.config))

    def _peer(self, context: kvrpcpb.Context) -> Peer:
        """The peer a request is for; the first half of the checks."""
        checks.check_store(context, self._registry.store_id)
        peer = self._registry.peers.get(context.region_id)
        if peer is None or peer.region_id in self._gate.doomed:
            raise self._registry.region_gone(context.region_id)
        checks.check_peer(context, peer)
        if peer.applier.consistency.damage:
            raise RegionDamaged(peer.region_id, peer.applier.consistency.damage)
        return peer

    def _check_version(self, context: kvrpcpb.Context, peer: Peer) -> None:
        if not checks.is_version_current(context, peer.region):
            raise self._registry.epoch_not_match(peer.region)

    def _check_epoch(self, context: kvrpcpb.Context, peer: Peer) -> None:
        """Whoever changes a region must know it exactly."""
        if context.region_epoch != peer.region.region_epoch:
            raise self._registry.epoch_not_match(peer.region)
