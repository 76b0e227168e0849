"""What the lock-wait core hears (events) and asks for (effects). `token` names one waiting request from beginning to
end, however often it tries."""

from typing import TypeAlias

from rutile_kv.txn.deadlock import Cycle, WaitFor
from rutile_proto.errors import LockFacts
from rutile_proto.values import valueclass

# --- events ---


@valueclass
class Blocked:
    """A request met `lock`, the first time or again; its queue place is that of the first time."""

    token: int
    start_ts: int
    """The transaction that asks."""
    lock: LockFacts
    deadline_ms: int
    now_ms: int
    detect: bool = True
    """False for a transaction that holds no lock yet: nobody can wait for it."""


@valueclass
class Released:
    """These keys have no lock any more: committed, rolled back, or given up."""

    keys: tuple[bytes, ...]
    now_ms: int


@valueclass
class Taken:
    """`lock` stands on its key now."""

    lock: LockFacts


@valueclass
class TimePassed:
    now_ms: int


@valueclass
class DeadlockFound:
    """The detector says that these waits go round in a circle."""

    cycle: Cycle


@valueclass
class Left:
    """The request is over, whatever came of it, or nobody wants its answer any more."""

    token: int


WaitEvent: TypeAlias = Blocked | Released | Taken | TimePassed | DeadlockFound | Left

# --- effects ---


@valueclass
class TryAgain:
    """Run the request's command again. It ends in Blocked or Left."""

    token: int


@valueclass
class GiveUp:
    """Its time is over, or too many wait: answer with the lock that stands in the way. The request is forgotten."""

    token: int
    lock: LockFacts


@valueclass
class Refuse:
    """Answer that waiting on would be a deadlock. The request is forgotten."""

    token: int
    lock: LockFacts
    cycle: Cycle


@valueclass
class BeginWait:
    """Tell the detector that somebody waits."""

    wait: WaitFor


@valueclass
class EndWait:
    """Tell the detector that this wait, told before, is over."""

    wait: WaitFor


WaitEffect: TypeAlias = TryAgain | GiveUp | Refuse | BeginWait | EndWait
