"""Operators: what PD is doing to a region, as a few steps that each change one thing.

Nobody tells PD that a step was done. It sees it in the next heartbeat, which is also what carries the step that is due
now; so a lost message, a changed leader or a restarted PD cost one repetition. A step knows three things of a region:
whether it is done, whether it has changed the members (each change raises conf_ver by one), and how to ask for it.

An operator ends when its last step is done, and is given up when it is overdue or when the epoch shows a change that it
did not make: then the checkers look at the region afresh.
"""

from dataclasses import dataclass
from typing import Protocol

from rutile_pd.regions import RegionInfo
from rutile_proto import eraftpb_pb2 as eraftpb
from rutile_proto import metapb_pb2 as metapb
from rutile_proto import pdpb_pb2 as pdpb


class Step(Protocol):
    """One change to a region."""

    def done(self, region: RegionInfo) -> bool:
        """Whether the next step may follow."""

    def conf_changes(self, region: RegionInfo) -> int:
        """By how much this step has raised conf_ver so far."""

    def order(self, region: RegionInfo) -> pdpb.RegionHeartbeatResponse | None:
        """What to ask of the leader (header, region, epoch and target are filled in by the caller); None to wait."""


@dataclass(frozen=True, slots=True)
class AddLearner:
    """A new peer that receives data but has no vote; done when it has caught up."""

    store_id: int
    peer_id: int

    def done(self, region: RegionInfo) -> bool:
        peer = region.peer(self.peer_id)
        return peer is not None and (peer.role != metapb.Learner or not region.is_pending(peer.id))

    def conf_changes(self, region: RegionInfo) -> int:
        return int(region.peer(self.peer_id) is not None)

    def order(self, region: RegionInfo) -> pdpb.RegionHeartbeatResponse | None:
        if region.peer(self.peer_id) is not None:
            return None  # it is there and catches up
        peer = metapb.Peer(id=self.peer_id, store_id=self.store_id, role=metapb.Learner)
        return _change(peer, eraftpb.AddLearnerNode)

    def __str__(self) -> str:
        return f"add learner {self.peer_id} on store {self.store_id}"


@dataclass(frozen=True, slots=True)
class Promote:
    """A learner becomes a voter."""

    store_id: int
    peer_id: int

    def done(self, region: RegionInfo) -> bool:
        peer = region.peer(self.peer_id)
        return peer is not None and peer.role == metapb.Voter

    def conf_changes(self, region: RegionInfo) -> int:
        return int(self.done(region))

    def order(self, region: RegionInfo) -> pdpb.RegionHeartbeatResponse | None:
        if region.is_down(self.peer_id) or region.is_pending(self.peer_id):
            return None  # a voter that does not answer could cost the majority
        return _change(metapb.Peer(id=self.peer_id, store_id=self.store_id, role=metapb.Voter), eraftpb.AddNode)

    def __str__(self) -> str:
        return f"promote {self.peer_id} on store {self.store_id}"


@dataclass(frozen=True, slots=True)
class Remove:
    """A peer leaves."""

    store_id: int
    peer_id: int

    def done(self, region: RegionInfo) -> bool:
        return region.peer(self.peer_id) is None

    def conf_changes(self, region: RegionInfo) -> int:
        return int(self.done(region))

    def order(self, region: RegionInfo) -> pdpb.RegionHeartbeatResponse:
        return _change(metapb.Peer(id=self.peer_id, store_id=self.store_id), eraftpb.RemoveNode)

    def __str__(self) -> str:
        return f"remove {self.peer_id} from store {self.store_id}"


@dataclass(frozen=True, slots=True)
class TransferLeader:
    """Another voter leads."""

    to_store_id: int

    def done(self, region: RegionInfo) -> bool:
        return region.leader is not None and region.leader.store_id == self.to_store_id

    def conf_changes(self, region: RegionInfo) -> int:
        return 0

    def order(self, region: RegionInfo) -> pdpb.RegionHeartbeatResponse:
        return pdpb.RegionHeartbeatResponse(
            transfer_leader=pdpb.TransferLeader(peer=region.peer_on(self.to_store_id)),
        )

    def __str__(self) -> str:
        return f"transfer the leader to store {self.to_store_id}"


@dataclass(frozen=True, slots=True)
class LeaveJoint:
    """End a joint configuration that somebody left standing."""

    def done(self, region: RegionInfo) -> bool:
        return not in_joint(region)

    def conf_changes(self, region: RegionInfo) -> int:
        return 0  # how much it raises conf_ver is the store's affair: nothing follows this step

    def order(self, region: RegionInfo) -> pdpb.RegionHeartbeatResponse:
        return pdpb.RegionHeartbeatResponse(change_peer_v2=pdpb.ChangePeerV2())

    def __str__(self) -> str:
        return "leave the joint configuration"


def in_joint(region: RegionInfo) -> bool:
    """Whether the region has two sets of voters at the moment."""
    return any(peer.role in (metapb.IncomingVoter, metapb.DemotingVoter) for peer in region.meta.peers)


def _change(peer: metapb.Peer, kind: eraftpb.ConfChangeType) -> pdpb.RegionHeartbeatResponse:
    return pdpb.RegionHeartbeatResponse(change_peer=pdpb.ChangePeer(peer=peer, change_type=kind))


@dataclass(frozen=True, slots=True)
class Operator:
    """Steps for one region, made for the epoch it had then."""

    reason: str
    region_id: int
    version: int
    conf_ver: int
    steps: tuple[Step, ...]
    created_ms: int

    @classmethod
    def on(cls, region: RegionInfo, reason: str, steps: tuple[Step, ...], now_ms: int) -> "Operator":
        """An operator for the region as it is."""
        return cls(reason, region.id, region.version, region.conf_ver, steps, now_ms)

    def next_step(self, region: RegionInfo) -> Step | None:
        """The step that is due; None when all are done."""
        return next((step for step in self.steps if not step.done(region)), None)

    def explains(self, region: RegionInfo) -> bool:
        """Whether everything that has happened to the region's epoch is this operator's doing."""
        made = sum(step.conf_changes(region) for step in self.steps)
        return region.version == self.version and region.conf_ver - self.conf_ver <= made

    def new_leader_store(self) -> int | None:
        """The store that is to lead, if that is what this is about."""
        return next((step.to_store_id for step in self.steps if isinstance(step, TransferLeader)), None)

    def target_stores(self) -> tuple[int, ...]:
        """Stores that get a peer."""
        return tuple(step.store_id for step in self.steps if isinstance(step, AddLearner))

    def __str__(self) -> str:
        return f"{self.reason}: {', '.join(map(str, self.steps))}"


class OperatorController:
    """At most one operator per region."""

    def __init__(self, timeout_ms: int, quick_timeout_ms: int) -> None:
        self._timeout_ms = timeout_ms
        self._quick_timeout_ms = quick_timeout_ms
        self._running: dict[int, Operator] = {}
        self._finished: dict[int, tuple[Operator, pdpb.OperatorStatus]] = {}

    def __len__(self) -> int:
        return len(self._running)

    def get(self, region_id: int) -> Operator | None:
        """What is being done to the region."""
        return self._running.get(region_id)

    def last(self, region_id: int) -> tuple[Operator, pdpb.OperatorStatus] | None:
        """What is being done, or was done last, and how it stands."""
        running = self._running.get(region_id)
        return (running, pdpb.RUNNING) if running is not None else self._finished.get(region_id)

    def coming_to(self, store_id: int) -> int:
        """Operators that bring a peer to the store."""
        return sum(operator.target_stores().count(store_id) for operator in self._running.values())

    def running(self) -> list[Operator]:
        """All that is being done, oldest first."""
        return list(self._running.values())

    def add(self, operator: Operator) -> None:
        """Begin; whatever was being done to the region is replaced."""
        self._running[operator.region_id] = operator

    def order_for(self, region: RegionInfo, now_ms: int) -> pdpb.RegionHeartbeatResponse | None:
        """What to ask of the region's leader now; None when there is nothing to do but to wait, or nothing any more."""
        operator = self._running.get(region.id)
        if operator is None:
            return None
        step = operator.next_step(region)
        if step is None:
            self._finish(operator, pdpb.SUCCESS)
        elif not operator.explains(region):
            self._finish(operator, pdpb.CANCEL)
        elif self._is_overdue(operator, now_ms):
            self._finish(operator, pdpb.TIMEOUT)
        else:
            return step.order(region)
        return None

    def drop_overdue(self, now_ms: int) -> None:
        """Give up the operators of regions that do not report any more."""
        for operator in list(self._running.values()):
            if self._is_overdue(operator, now_ms):
                self._finish(operator, pdpb.TIMEOUT)

    def forget(self, region_id: int) -> None:
        """The region is no more."""
        self._running.pop(region_id, None)
        self._finished.pop(region_id, None)

    def _is_overdue(self, operator: Operator, now_ms: int) -> bool:
        limit_ms = self._timeout_ms if operator.target_stores() else self._quick_timeout_ms
        return now_ms - operator.created_ms > limit_ms

    def _finish(self, operator: Operator, status: pdpb.OperatorStatus) -> None:
        del self._running[operator.region_id]
        self._finished[operator.region_id] = (operator, status)
