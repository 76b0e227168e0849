"""Operators that somebody asks for: transfer a leader, add, remove or move a peer, split, merge, scatter.

They are urgent: they take the place of what PD does by itself, and limits do not hold them up. What a region cannot do
is refused with InvalidRequest, or UnknownStore.
"""

from rutile_pd.cluster import Cluster, IdsExhausted
from rutile_pd.operators.moves import Wanted
from rutile_pd.operators.operator import Kind, Operator
from rutile_pd.operators.range_steps import SplitAt
from rutile_pd.operators.steps import TransferLeader
from rutile_pd.regions.tree import Peer, RegionInfo
from rutile_pd.schedulers import View, merge_checker
from rutile_pd.schedulers.targets import reshape
from rutile_proto import metapb_pb2 as metapb
from rutile_proto import pdadminpb_pb2 as pdadminpb
from rutile_proto.errors import InvalidRequest

MOST_IDS = 16
"""At least as many as the peers of a merge's source that may have to move."""


class Wishes:
    """Begins operators on request."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    def begin(self, request: pdadminpb.AddOperatorRequest, now_ms: int) -> Operator | None:
        """The operator that runs now; None if there is nothing to do. Raises IdsExhausted, InvalidRequest."""
        if not self._cluster.ids.has(MOST_IDS):
            raise IdsExhausted(f"{MOST_IDS} ids are not at hand")
        region, view = self._region(request.region_id), self._cluster.conductor.view(now_ms)
        if request.WhichOneof("what") == "scatter":
            return self._scattered(region, request.scatter.group, now_ms)
        made = self._made(region, request, view)
        for operator in made:
            if not self._cluster.conductor.begin(operator):
                raise InvalidRequest(f"region {operator.region_id} is busy with what was asked for: cancel it first")
        return made[0] if made else None

    def _region(self, region_id: int) -> RegionInfo:
        region = self._cluster.regions.by_id(region_id)
        if region is None or region.leader is None or region.in_joint:
            state = "unknown" if region is None else "without a leader" if region.leader is None else "changing members"
            raise InvalidRequest(f"region {region_id} is {state}: nothing can be done to it now")
        return region

    def _made(self, region: RegionInfo, request: pdadminpb.AddOperatorRequest, view: View) -> list[Operator]:
        match request.WhichOneof("what"):
            case "transfer_leader":
                return self._transfer_leader(region, request.transfer_leader.store_id, view)
            case "add_peer":
                added: int = metapb.Learner if request.add_peer.learner else metapb.Voter
                return self._reshape(region, {request.add_peer.store_id: added}, None, view)
            case "remove_peer":
                return self._reshape(region, {}, request.remove_peer.store_id, view)
            case "transfer_peer":
                move = request.transfer_peer
                role = self._peer(region, move.from_store_id).role
                return self._reshape(region, {move.to_store_id: role}, move.from_store_id, view)
            case "split":
                return self._split(region, list(request.split.keys), view)
            case "merge":
                return self._merge(region, self._region(request.merge.target_region_id), view)
        raise InvalidRequest("the request does not say what is to be done")

    @staticmethod
    def _peer(region: RegionInfo, store_id: int) -> Peer:
        peer = region.peer_on(store_id)
        if peer is None:
            raise InvalidRequest(f"region {region.id} has no peer on store {store_id}: it has on {region.stores}")
        return peer

    def _transfer_leader(self, region: RegionInfo, store_id: int, view: View) -> list[Operator]:
        peer = self._peer(region, store_id)
        if peer.role != metapb.Voter or not region.is_well(peer):
            raise InvalidRequest(f"the peer on store {store_id} cannot lead: it is a learner, down or behind")
        if region.leads(peer):
            return []
        return [view.operator(region, "asked for", (TransferLeader(store_id),), Kind.ADMIN)]

    def _reshape(self, region: RegionInfo, added: dict[int, int], removed: int | None, view: View) -> list[Operator]:
        roles = Wanted.like(region)
        for store_id, role in added.items():
            if not view.is_connected(view.stores.get(store_id)) or store_id in roles:
                raise InvalidRequest(f"store {store_id} is not up, or has a peer of region {region.id} already")
            roles[store_id] = role
        if removed is not None:
            del roles[self._peer(region, removed).store_id]
        if metapb.Voter not in roles.values():
            raise InvalidRequest(f"region {region.id} needs a voter")
        operator = reshape(region, roles, "asked for", Kind.ADMIN, view, newcomers=tuple(added))
        if operator is None:
            raise InvalidRequest(f"nobody of region {region.id} could lead afterwards")
        return [operator]

    @staticmethod
    def _split(region: RegionInfo, keys: list[bytes], view: View) -> list[Operator]:
        outside = [key.hex() for key in keys if key == region.start_key or not region.contains(key)]
        if outside:
            raise InvalidRequest(f"region {region.id} cannot be split at {', '.join(outside)}: not within it")
        step = SplitAt(tuple(sorted(dict.fromkeys(keys))), region.version)
        return [view.operator(region, "asked for", (step,), Kind.ADMIN)]

    def _merge(self, source: RegionInfo, target: RegionInfo, view: View) -> list[Operator]:
        neighbours = (view.regions.left_of(source), view.regions.right_of(source))
        if target.id not in [each.id for each in neighbours if each is not None]:
            raise InvalidRequest(f"regions {source.id} and {target.id} do not touch")
        if view.rules_of(source) != view.rules_of(target):
            raise InvalidRequest(f"regions {source.id} and {target.id} are under different placement rules")
        made = merge_checker.operators(source, target, "asked for", Kind.ADMIN, view)
        busy = [each.region_id for each in made if (going := view.operators.get(each.region_id)) and going.is_urgent]
        if busy or not made:
            raise InvalidRequest(f"regions {busy or [source.id]} cannot be merged now: ask again, or cancel what runs")
        return made

    def _scattered(self, region: RegionInfo, group: str, now_ms: int) -> Operator | None:
        failed, _ = self._cluster.conductor.scatter([region.id], group, now_ms)
        if failed:
            raise InvalidRequest(f"region {region.id} is busy or has sick peers: ask again later")
        return self._cluster.operators.get(region.id)
