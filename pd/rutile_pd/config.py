"""What can be set about a placement driver."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PdConfig:
    """Durations in seconds. The defaults suit a cluster on a few machines."""

    name: str = "pd"
    """The member's name in GetMembers."""
    advertise_address: str = ""
    """host:port that clients are told; empty: where the server listens."""
    cluster_id: int = 0
    """0: a new cluster gets a random one; anything else must be what an existing directory holds."""
    max_replicas: int = 3
    """Voters wanted for each region."""
    max_store_down_s: float = 1800.0
    """A store silent for so long has its peers replaced."""
    store_disconnected_s: float = 9.0
    """A store silent for so long gets no new peers and no leaders."""
    operator_timeout_s: float = 600.0
    """An operator that adds a peer, and is not finished by then, is given up; checkers may make a new one."""
    quick_operator_timeout_s: float = 60.0
    """The same for operators that send no snapshot."""
    max_operators_per_store: int = 8
    """Operators at a time that bring a peer to one store: each means sending a snapshot."""
    leader_tolerance: int = 1
    """Leaders a store may have over the least loaded one before one is moved."""
    leader_wait_s: float = 1.5
    """How long GetRegion waits for a region's first leader before it answers UNAVAILABLE."""
    tick_s: float = 0.5
    """How often the patrol runs and the timestamp window is looked at."""
