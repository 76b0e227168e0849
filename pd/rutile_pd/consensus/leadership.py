"""One term of leading: what its servicer may say, and when.

Two rules make answers of the placement driver linearizable over any number of leaders.

* Nothing is heard of before it is committed: before an answer leaves, everything promised so far (`PdStorage`) is on a
  majority. So the next leader knows it.
* Nothing is said on old knowledge: an answer leaves only when it is certain that this member led while the question was
  there (`confirm`). So the next leader was not yet there when the answer was true. For timestamps that is made sure
  before each one is taken.

A leadership ends once and for all. What it knew is thrown away with it; the next one, here or elsewhere, loads its own
from the state that was committed.
"""

import asyncio

from rutile_kv.raft import ConfChange
from rutile_kv.raft.ready import ProgressStatus
from rutile_pd.consensus.members import NotLeading
from rutile_pd.consensus.replica import ELECTION_TICKS
from rutile_pd.consensus.replication import Replication
from rutile_pd.consensus.storage import PdStorage

HINT_BYTES = 256 << 10
"""Hints in one log entry."""


class Leadership:
    """Leading in `term`. `storage` is what its cores stage their changes in."""

    def __init__(self, replication: Replication, storage: PdStorage, term: int) -> None:
        self.term = term
        self.storage = storage
        self._replication = replication
        self._last: asyncio.Future[None] | None = None
        """Done when the newest promises are committed, and with them all before."""

    def is_certain(self) -> bool:
        """Whether nobody else can lead now."""
        return self._replication.is_certain(self.term)

    async def confirm(self) -> None:
        """Make sure that nobody else led when this was called. NotLeading if that cannot be known.

        The lease says so at once. A leader without one asks the others (ReadIndex, thesis §6.4): one that has just
        begun, or one that called upon another to take over, who did not: it has no lease for the rest of its term."""
        if not self.is_certain():
            await self._replication.read_barrier()
            if not self._replication.leads(self.term):
                raise NotLeading("not leader: another member leads, or nobody does yet")

    async def settle(self) -> None:
        """Wait until all that was promised so far is committed. NotLeading if that cannot be known any more."""
        promises = self.storage.promises()
        if promises:
            self._last = self._replication.propose(self.term, promises)
            self.storage.promises_taken()
        if self._last is not None:
            await asyncio.shield(self._last)

    async def change_members(self, change: ConfChange) -> None:
        """Have a change of the group committed. Raises NotLeading, InvalidConfChange."""
        await self._replication.propose_members(self.term, change)

    def hand_over(self) -> None:
        """Ask another member to lead. NotLeading if there is none."""
        self._replication.hand_over()

    def leads_as(self, member_id: int) -> bool:
        """Whether this is the leadership of that member."""
        return self._replication.replica.node.id == member_id

    def progress(self) -> tuple[ProgressStatus, ...]:
        """What every member has of the log."""
        return self._replication.replica.node.status().progress

    def is_heard(self, member: ProgressStatus) -> bool:
        """Whether the member has answered lately."""
        return member.silent_ticks < ELECTION_TICKS

    def committed_index(self) -> int:
        """The last entry that is committed."""
        return self._replication.replica.node.commit

    async def give_hints(self) -> None:
        """Commit what was staged without a promise. Raises NotLeading."""
        while hints := self.storage.hints(HINT_BYTES):
            committed = self._replication.propose(self.term, hints)
            self.storage.hints_taken(hints)
            await committed
