"""What an operator has said about a store: kept by PD, whatever the store says when it starts."""

import dataclasses
import json
from dataclasses import dataclass, field

from rutile_proto import metapb_pb2 as metapb
from rutile_proto.errors import InvalidRequest


@dataclass(frozen=True, slots=True)
class StoreSettings:
    """Nothing set: what the store registered with, equal weights, the cluster's limits."""

    labels: dict[str, str] = field(default_factory=dict)
    """Instead of the store's own of that name; an empty value takes a label away."""
    leader_weight: float = 1.0
    """A store of weight 2 is to lead twice as many regions as one of weight 1; one of weight 0 none."""
    region_weight: float = 1.0
    """The same for what is to lie on it."""
    add_limit_per_minute: float | None = None
    """Peers it may be given in a minute; None: the cluster's store_limit_per_minute."""
    remove_limit_per_minute: float | None = None

    def over(self, store: metapb.Store) -> dict[str, str]:
        """The labels that count for the store."""
        labels = {label.key: label.value for label in store.labels} | self.labels
        return {key: value for key, value in labels.items() if value}

    def checked(self) -> "StoreSettings":
        """These settings; InvalidRequest if a weight or limit is negative or a label has no name."""
        for name in ("leader_weight", "region_weight", "add_limit_per_minute", "remove_limit_per_minute"):
            value = getattr(self, name)
            if value is not None and not 0 <= value < float("inf"):
                raise InvalidRequest(f"{name} must be 0 or more, not {value}")
        if not all(self.labels):
            raise InvalidRequest("a label needs a name")
        return self

    def to_json(self) -> bytes:
        return json.dumps(dataclasses.asdict(self)).encode()

    @classmethod
    def from_json(cls, saved: bytes) -> "StoreSettings":
        return cls(**json.loads(saved))
