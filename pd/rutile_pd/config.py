"""What can be set about a placement driver: when it starts, and for most of it while it runs (`changed`)."""

import dataclasses
import json
from dataclasses import dataclass
from typing import TypeAlias

from rutile_proto.errors import InvalidRequest

Scalar: TypeAlias = bool | int | float | str | list[str]

MIB = 1 << 20
_FIXED = ("name", "advertise_address", "cluster_id", "leader_wait_s", "tick_s")
"""Settings of one process; all others are the cluster's, and can be changed while it runs."""


@dataclass(frozen=True, slots=True)
class PdConfig:
    """Durations in seconds. The defaults suit a cluster on a few machines; limits are those of TiKV's PD."""

    name: str = "pd"
    """The member's name in GetMembers."""
    advertise_address: str = ""
    """host:port that clients are told; empty: where the server listens."""
    cluster_id: int = 0
    """0: a new cluster gets a random one; anything else must be what an existing directory holds."""
    leader_wait_s: float = 1.5
    """How long GetRegion waits for a region's first leader before it answers UNAVAILABLE."""
    tick_s: float = 0.5
    """How often the patrol runs and the timestamp window is looked at."""

    # --- replicas -------------------------------------------------------------------------------------------------
    max_replicas: int = 3
    """Voters wanted for each region, where no placement rule says otherwise."""
    location_labels: tuple[str, ...] = ()
    """Labels that say where a store is, widest first (zone, rack, host): the default rule spreads replicas by them."""
    isolation_level: str = ""
    """The label two replicas of the default rule must never share; empty: as well as it goes."""
    max_store_down_s: float = 1800.0
    """A store silent for so long has its peers replaced."""
    store_disconnected_s: float = 9.0
    """A store silent for so long gets no new peers and no leaders."""

    # --- operators ------------------------------------------------------------------------------------------------
    operator_timeout_s: float = 600.0
    """An operator that adds a peer or merges, and is not finished by then, is given up; checkers may make a new one."""
    quick_operator_timeout_s: float = 60.0
    """The same for operators that send no snapshot."""
    max_operators_per_store: int = 8
    """Operators at a time that bring a peer to one store: each means sending a snapshot."""
    store_limit_per_minute: float = 60.0
    """Peers a store may be given, and as many that may be taken from it, in a minute; a store can have its own."""
    leader_schedule_limit: int = 4
    """Operators at a time that balance leaders; in a cluster of 64 stores and more, for each 32 of them."""
    region_schedule_limit: int = 2048
    """Operators at a time that balance peers."""
    replica_schedule_limit: int = 64
    """Operators at a time that bring regions to what their rules want."""
    merge_schedule_limit: int = 8
    """Merges at a time."""
    hot_region_schedule_limit: int = 4
    """Operators at a time that spread load."""

    # --- balance --------------------------------------------------------------------------------------------------
    leader_tolerance: int = 1
    """Leaders a store may have over another one before one is moved."""
    tolerant_share: float = 0.02
    """The same as a share of the average, for leaders and sizes: what is that close is even enough."""
    high_space_ratio: float = 0.7
    """While less of its space is used, a store counts by what lies on it alone; above, by the growing lack of space."""
    low_space_ratio: float = 0.9
    """A store with more of its space used gets no peers. (TiKV's PD: 0.8; disks of small machines are fuller.)"""
    hot_byte_rate: float = 128 * 1024.0
    """Bytes a second read or written that make a region hot."""
    hot_key_rate: float = 512.0
    """Keys a second that make a region hot."""
    hot_cpu_percent: float = 10.0
    """CPU, in percent of one core, that makes a region hot."""
    hot_region_cache_hits_threshold: int = 3
    """Reports in a row that must find a region hot before anything is done about it."""

    # --- merges ---------------------------------------------------------------------------------------------------
    max_merge_region_size_mib: int = 20
    """A region that is not larger, and has not more keys, is merged into a neighbour. 0: nothing is merged."""
    max_merge_region_keys: int = 200_000
    split_merge_interval_s: float = 3600.0
    """A region is not merged for so long after a split, nor after the placement driver's start."""
    enable_cross_table_merge: bool = False
    """Whether regions of different tables may become one."""

    @property
    def timeout_ms(self) -> int:
        return round(self.operator_timeout_s * 1000)

    @property
    def quick_timeout_ms(self) -> int:
        return round(self.quick_operator_timeout_s * 1000)

    def changed(self, name: str, value: Scalar) -> "PdConfig":
        """A copy with one setting changed; InvalidRequest for a name that is none or a value that does not fit."""
        if name not in changeable():
            raise InvalidRequest(f"{name!r} cannot be set: the settings are {', '.join(changeable())}")
        settings = dataclasses.asdict(self) | {name: _fitting(name, getattr(self, name), value)}
        return PdConfig(**settings)

    def to_json(self) -> str:
        """The settings that can be changed, as a JSON object."""
        return json.dumps({name: getattr(self, name) for name in changeable()})


def changeable() -> tuple[str, ...]:
    """Names of the settings that `PdConfig.changed` takes."""
    return tuple(field.name for field in dataclasses.fields(PdConfig) if field.name not in _FIXED)


def _fitting(name: str, old: object, value: Scalar) -> object:
    """`value` in the type of the old one. Numbers must not be negative."""
    wrong = InvalidRequest(f"{name} takes a value like {json.dumps(old)}, not {json.dumps(value)}")
    match old, value:
        case (bool(), bool()) | (str(), str()):
            return value
        case tuple(), list() if all(isinstance(each, str) for each in value):
            return tuple(value)
        case (bool() | str() | tuple(), _) | (_, bool() | str() | list()):
            raise wrong
        case int(), int() if value >= 0:
            return value
        case float(), int() | float() if 0 <= value < float("inf"):
            return float(value)
    raise wrong
