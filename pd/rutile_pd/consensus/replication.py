"""A replica as it lives: rounds, ticks, messages, and those who wait for entries.

    propose ─► Replica ─► a round: write, send, sync in a thread, send, apply ─► the proposer's future
                 ▲  │
       messages ─┘  └─► the observer hears who leads

Time. Ticks are counted by the clock, and before a message is taken or a lease is asked for, the ticks that are due are
made up for. So a member that was stopped for a while believes in no lease of its own when it goes on, and dates what it
hears to when it hears it, never earlier.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Protocol

from rutile_kv.engine.api import Snapshot
from rutile_kv.env.clock import Clock
from rutile_kv.raft import Message, MessageKind, Ready
from rutile_kv.raft.errors import ProposalDropped
from rutile_kv.raft.messages import ConfChange
from rutile_pd.consensus.members import NotLeading
from rutile_pd.consensus.replica import ELECTION_TICKS, Applied, Replica
from rutile_pd.consensus.storage import Changes

log = logging.getLogger(__name__)

TICK_S = 0.05
MAX_TICKS_AT_ONCE = 4 * ELECTION_TICKS
"""After a long pause this many ticks are made up for: enough to end every lease and leadership."""
BARRIER_S = 2.0
"""A read barrier not passed by then is given up."""


class PeerTransport(Protocol):
    """Takes messages to other members; it may lose them. It tells of losses through the `Replication` it serves."""

    def send(self, message: Message) -> None: ...

    def send_snapshot(self, message: Message, state: Snapshot) -> None:
        """Closes `state`, and reports what became of it with `snapshot_sent`."""

    async def close(self) -> None: ...


class Replication:
    """Runs a replica. Belongs to one event loop."""

    def __init__(
        self,
        replica: Replica,
        clock: Clock,
        sync: Callable[[], Awaitable[None]],
        observe: Callable[[], None],
    ) -> None:
        """`sync` makes everything written to the engine durable. `observe` is called when who leads has changed."""
        self.replica = replica
        self.leading_term = 0
        """The term in which this member leads and knows all that was committed before; 0 if it does not."""
        self.failure: Exception | None = None
        """Why it stopped by itself, if it did: most likely its disk."""
        self._clock, self._sync, self._observe = clock, sync, observe
        self._transport: PeerTransport | None = None
        self._origin_s = 0.0
        self._wake = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._waiting: dict[int, tuple[int, asyncio.Future[None]]] = {}
        """Entries proposed here and not yet applied: (term, whoever waits), by index."""
        self._barriers: dict[bytes, asyncio.Future[int]] = {}
        self._barrier_count = 0
        self._progress = asyncio.Event()
        """Set, and replaced by another, when anything was applied."""

    # --- life ---------------------------------------------------------------------------------------------------------

    def start(self, transport: PeerTransport | None) -> None:
        """Begin. Without a transport the group must be this member alone."""
        self._transport = transport
        self._origin_s = self._clock.monotonic()
        if self.replica.is_alone:
            self.replica.node.campaign()
        self._tasks = [
            asyncio.create_task(self._guarded(self._rounds), name="placement driver rounds"),
            asyncio.create_task(self._guarded(self._ticks), name="placement driver ticks"),
        ]
        self._wake.set()

    async def stop(self) -> None:
        """End; whoever still waits gets NotLeading."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._transport is not None:
            await self._transport.close()
        self._give_up_waiting()
        self._give_up_barriers()

    # --- the leader's side --------------------------------------------------------------------------------------------

    def leads(self, term: int) -> bool:
        """Whether this member leads in `term`, as far as it knows."""
        node = self.replica.node
        return self.failure is None and self.leading_term == term == node.term and node.is_leader

    def is_certain(self, term: int) -> bool:
        """Whether nobody else can lead now, so that what this member knows is the truth (a lease, thesis §6.4.1)."""
        self._catch_up()
        node = self.replica.node
        return self.leads(term) and (self.replica.is_alone or node.lease_valid())

    def propose(self, term: int, changes: Changes) -> asyncio.Future[None]:
        """Have changes committed and applied: the future is done then, or fails with NotLeading."""
        return self._append(term, lambda: self.replica.propose(changes))

    def propose_members(self, term: int, change: ConfChange) -> asyncio.Future[None]:
        """The same for a change of the group. Raises InvalidConfChange."""
        return self._append(term, lambda: self.replica.node.propose_conf_change(change))

    def transfer_leader(self, member_id: int) -> None:
        """Ask another voter to take over. NotLeading if this member cannot."""
        try:
            self.replica.node.transfer_leader(member_id)
        except ProposalDropped as dropped:
            raise NotLeading(f"not leader: {dropped}") from dropped
        self._wake.set()

    def hand_over(self) -> None:
        """Ask the voter that has most of the log to take over. NotLeading if there is no other."""
        node = self.replica.node
        others = [each for each in node.status().progress if each.peer_id != node.id and not each.is_learner]
        if not others or self.failure is not None:
            raise NotLeading("not leader, or there is nobody to hand over to")
        self.transfer_leader(max(others, key=lambda each: (-each.silent_ticks // ELECTION_TICKS, each.match)).peer_id)

    def _append(self, term: int, propose: Callable[[], int]) -> asyncio.Future[None]:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        future.add_done_callback(_look_at_exception)
        if not self.leads(term):
            raise NotLeading(f"not leader: the leadership of term {term} is over")
        try:
            index = propose()
        except ProposalDropped as dropped:
            raise NotLeading(f"not leader: {dropped}") from dropped
        self._waiting[index] = term, future
        self._wake.set()
        return future

    # --- everybody's side ---------------------------------------------------------------------------------------------

    async def read_barrier(self) -> None:
        """Wait until this member has applied all that was committed when it was asked (thesis §6.4). NotLeading if the
        leader does not answer."""
        self._barrier_count += 1
        context = self._barrier_count.to_bytes(8, "big")
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._barriers[context] = future
        try:
            async with asyncio.timeout(BARRIER_S):
                self.replica.node.read_index(context)
                self._wake.set()
                index = await future
                while self.replica.log.applied_index < index:
                    await self._progress.wait()
        except (TimeoutError, ProposalDropped) as error:
            raise NotLeading("not leader, and no leader confirms what is committed: ask again") from error
        finally:
            self._barriers.pop(context, None)

    def receive(self, message: Message) -> None:
        """A message from another member."""
        self._catch_up()
        self.replica.node.step(message)
        self._wake.set()

    def receive_snapshot(self, message: Message, pairs: Sequence[tuple[bytes, bytes]]) -> None:
        """A SNAPSHOT message with its state."""
        self._catch_up()
        self.replica.step_snapshot(message, pairs)
        self._wake.set()

    def unreachable(self, member_id: int) -> None:
        """Messages to the member were lost."""
        self.replica.node.report_unreachable(member_id)

    def snapshot_sent(self, member_id: int, ok: bool) -> None:
        """What became of the snapshot to the member."""
        self.replica.node.report_snapshot(member_id, ok)
        self._wake.set()

    # --- rounds -------------------------------------------------------------------------------------------------------

    async def _rounds(self) -> None:
        node = self.replica.node
        while True:
            await self._wake.wait()
            self._wake.clear()
            while node.has_ready():
                await self._round()
                self._notice()

    async def _round(self) -> None:
        ready = self.replica.begin()
        self._send(ready.messages)
        if ready.soft_state is not None:
            self._give_up_barriers()
            self._notice()
        if ready.must_sync:
            await self._sync()
        self._send(ready.persisted_messages)
        self._settle(self.replica.finish(ready))
        self._pass_barriers(ready)
        self._progress.set()
        self._progress = asyncio.Event()

    def _send(self, messages: Sequence[Message]) -> None:
        for message in messages:
            assert self._transport is not None, "a member alone has nobody to talk to"
            if message.kind is MessageKind.SNAPSHOT:
                self._transport.send_snapshot(*self.replica.outgoing_snapshot(message))
            else:
                self._transport.send(message)

    def _settle(self, applied: Sequence[Applied]) -> None:
        for entry in applied:
            term, future = self._waiting.pop(entry.index, (0, None))
            if future is None or future.done():
                continue
            if term == entry.term:
                future.set_result(None)
            else:
                future.set_exception(NotLeading("not leader: another leader took the place in the log"))

    def _pass_barriers(self, ready: Ready) -> None:
        for state in ready.read_states:
            future = self._barriers.get(state.context)
            if future is not None and not future.done():
                future.set_result(state.index)

    def _give_up_barriers(self) -> None:
        """Who leads has changed: what the last leader was asked is forgotten."""
        for future in self._barriers.values():
            if not future.done():
                future.set_exception(NotLeading("not leader: the leader has changed meanwhile"))

    def _notice(self) -> None:
        """Look who leads. Whoever waits for entries of a leadership that is over learns it at once."""
        node = self.replica.node
        term = node.term if self.replica.knows_the_past else 0
        if not node.is_leader:
            self._give_up_waiting()
        if term != self.leading_term:
            self.leading_term = term
        self._observe()

    def _give_up_waiting(self) -> None:
        waiting, self._waiting = self._waiting, {}
        for _, future in waiting.values():
            if not future.done():
                future.set_exception(NotLeading("not leader: the leadership ended; what was asked for may yet be done"))

    # --- time ---------------------------------------------------------------------------------------------------------

    async def _ticks(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            self._catch_up()
            self.replica.cut_log()

    def _catch_up(self) -> None:
        node = self.replica.node
        due = int((self._clock.monotonic() - self._origin_s) / TICK_S) - node.tick_count
        if due <= 0 or not self._tasks:
            return
        for _ in range(min(due, MAX_TICKS_AT_ONCE)):
            node.tick()
        self._origin_s += max(0, due - MAX_TICKS_AT_ONCE) * TICK_S
        self._wake.set()

    async def _guarded(self, work: Callable[[], Awaitable[None]]) -> None:
        """A member whose disk or state fails leads no more, and says why to whoever asks."""
        try:
            await work()
        except Exception as error:
            log.exception("this member of the placement driver stops")
            self.failure = error
            self.leading_term = 0
            self._give_up_waiting()
            self._observe()
            for task in self._tasks:
                if task is not asyncio.current_task():
                    task.cancel()


def _look_at_exception(future: asyncio.Future[None]) -> None:
    """Nobody need wait for an entry; that its leadership ended is not news then."""
    with suppress(asyncio.CancelledError):
        future.exception()
