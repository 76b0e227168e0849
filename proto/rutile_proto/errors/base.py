"""The root of the error tree, and what a caller does about an error."""

from __future__ import annotations

from enum import Enum, auto
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    pass


class Retry(Enum):
    """What a caller does about an error."""

    NEVER = auto()
    """Report it."""
    NEXT_PEER = auto()
    """Send it to the hinted leader, or to the next peer, at once."""
    REFRESH_REGION = auto()
    """Drop the cached region, look it up again, send it again."""
    BACK_OFF = auto()
    """Wait, then send it to the same place."""
    RESOLVE_LOCK = auto()
    """Find out what became of the lock's owner, then send it again."""
    RESTART_TRANSACTION = auto()
    """Begin again with a new start timestamp."""


class RutileError(Exception):
    """Root of the tree. `str(error)` names the thing and says what to do next where there is something to do."""

    retry: ClassVar[Retry] = Retry.NEVER
