"""What `hibernation` remembers of one peer."""

from dataclasses import dataclass, field


@dataclass(slots=True)
class Rest:
    """Whether a peer is used, and how far its going to sleep has come."""

    used: bool = True
    """Somebody asked something of it since the last tick."""
    mark: tuple[int, int] = (0, 0)
    """(term, last index) when it was last looked at."""
    since_tick: int = 0
    """Since when nothing has happened."""
    awaited: dict[int, None] = field(default_factory=dict)
    """Members that have not agreed to sleep yet."""
    neighbours: tuple[int, ...] = ()
    """The other stores with a member, while it sleeps."""
    answer_by_tick: int = 0
    """When a leader that fell asleep without them wakes again."""
