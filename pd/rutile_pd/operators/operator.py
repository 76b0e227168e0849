"""Operators: what PD is doing to a region, as a few steps.

An operator ends when its last step is done, and is given up when it is overdue, when the epoch shows a change that it
did not make (then the checkers look at the region afresh), or when something more urgent takes its place.
"""

import enum
from dataclasses import dataclass

from rutile_pd.operators.range_steps import MergeInto, SplitAt, TakeIn
from rutile_pd.operators.steps import AddLearner, Remove, Shape, Step, TransferLeader
from rutile_pd.regions.region_info import RegionInfo


class Kind(enum.StrEnum):
    """What an operator is for; most kinds have a limit of how many may run at a time."""

    LEADER = "leader"
    REGION = "region"
    REPLICA = "replica"
    MERGE = "merge"
    HOT_REGION = "hot-region"
    SPLIT = "split"
    SCATTER = "scatter"
    ADMIN = "admin"


class Priority(enum.IntEnum):
    """A more urgent operator takes the place of a less urgent one."""

    LOW = 0
    MEDIUM = 1
    HIGH = 2
    URGENT = 3


_PRIORITIES = {Kind.REPLICA: Priority.HIGH, Kind.SPLIT: Priority.HIGH, Kind.ADMIN: Priority.URGENT}


@dataclass(frozen=True, slots=True)
class Operator:
    """Steps for one region, made for the epoch it had then."""

    reason: str
    region_id: int
    version: int
    conf_ver: int
    steps: tuple[Step, ...]
    created_ms: int
    kind: Kind = Kind.ADMIN

    @classmethod
    def on(
        cls, region: RegionInfo, reason: str, steps: tuple[Step, ...], now_ms: int, kind: Kind = Kind.REPLICA
    ) -> "Operator":
        """An operator for the region as it is."""
        return cls(reason, region.id, region.version, region.conf_ver, steps, now_ms, kind)

    @property
    def priority(self) -> Priority:
        return _PRIORITIES.get(self.kind, Priority.MEDIUM)

    @property
    def is_urgent(self) -> bool:
        """Whether nothing can take its place."""
        return self.priority is Priority.URGENT

    def next_step(self, region: RegionInfo) -> Step | None:
        """The step that is due; None when all are done."""
        for step in self.steps:
            if not step.done(region):
                return step
        return None

    def explains(self, region: RegionInfo) -> bool:
        """Whether everything that has happened to the region's epoch is this operator's doing.

        A region that merges changes its epoch when it stops taking writes, and again if it thinks better of it.
        """
        if isinstance(self.next_step(region), MergeInto):
            return True
        made = sum(step.conf_changes(region) for step in self.steps)
        return region.version == self.version and region.conf_ver - self.conf_ver <= made

    def shape_after(self, region: RegionInfo) -> Shape:
        """Where peers and leader of the region will be when all is done."""
        shape = Shape(dict.fromkeys(region.stores), 0 if region.leader is None else region.leader.store_id)
        for step in self.steps:
            step.change(shape)
        return shape

    def target_stores(self) -> tuple[int, ...]:
        """Stores that get a peer."""
        return tuple(step.store_id for step in self.steps if isinstance(step, AddLearner))

    def source_stores(self) -> tuple[int, ...]:
        """Stores that lose a peer."""
        return tuple(step.store_id for step in self.steps if isinstance(step, Remove))

    def new_leader_store(self) -> int | None:
        """The store that is to lead, if that is a part of it."""
        return next((step.to_store_id for step in self.steps if isinstance(step, TransferLeader)), None)

    def awaited_stores(self) -> tuple[int, ...]:
        """Stores that have to do something for it beside the region's leader."""
        leader = self.new_leader_store()
        return self.target_stores() if leader is None else (*self.target_stores(), leader)

    @property
    def merges_with(self) -> int | None:
        """The other region, if this is one side of a merge."""
        for step in self.steps:
            if isinstance(step, MergeInto | TakeIn):
                return step.target.id if isinstance(step, MergeInto) else step.source.id
        return None

    @property
    def is_slow(self) -> bool:
        """Whether it may take as long as a snapshot or a merge does."""
        return any(isinstance(step, AddLearner | MergeInto | TakeIn | SplitAt) for step in self.steps)

    def __str__(self) -> str:
        return f"{self.reason}: {', '.join(map(str, self.steps))}"
