"""Leadership transfer: the leader stops taking proposals, brings its heir up to date, and tells it to campaign at once
(thesis §3.10).

The heir's election overrides the stickiness of voters, so from TIMEOUT_NOW on no lease may be trusted, and as a message
can be late by any time, not for the rest of the term either.
"""

from __future__ import annotations

from rutile_kv.raft.messages import NO_PEER


class Transfer:
    """A leadership being handed over, or not."""

    __slots__ = ("_elapsed_ticks", "_timeout_ticks", "told", "transferee")

    def __init__(self, timeout_ticks: int) -> None:
        self.transferee = NO_PEER
        self.told = False
        """Whether anybody was told to campaign in this term."""
        self._timeout_ticks = timeout_ticks
        self._elapsed_ticks = 0

    @property
    def is_running(self) -> bool:
        return self.transferee != NO_PEER

    @property
    def endangers_lease(self) -> bool:
        """True if somebody may be elected although voters hear us."""
        return self.told or self.is_running

    def begin(self, peer_id: int) -> None:
        """Hand over to `peer_id`; another transfer under way is given up."""
        self.transferee, self._elapsed_ticks = peer_id, 0

    def give_up(self) -> None:
        self.transferee = NO_PEER

    def tick(self) -> None:
        """Give up after an election timeout, so that the group does not stand still for a heir that cannot."""
        self._elapsed_ticks += 1
        if self.is_running and self._elapsed_ticks >= self._timeout_ticks:
            self.give_up()
