"""What a voter promises by answering a leader: to help nobody replace it for an election timeout (thesis §6.4.1).

A leader's lease rests on it. A lease that is broken shows only if somebody happens to read there in the moment between,
so the promise itself is looked at, by the voter's own clock.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rutile_proto import eraftpb_pb2 as eraftpb
from rutile_proto import raft_serverpb_pb2 as raft_serverpb

if TYPE_CHECKING:
    from region_machine import Machine

LEASE_MS = 700
"""An election timeout less the lease's margin, of ticks of 100 ms."""
RELEASED_MS = 10_000
"""For so long after a leader told somebody to take over anybody may vote for that one."""
LONG_AGO_MS = -1e9
_OF_LEADERS = (eraftpb.MsgHeartbeat, eraftpb.MsgAppend)
_REQUESTS = {
    eraftpb.MsgRequestVoteResponse: eraftpb.MsgRequestVote,
    eraftpb.MsgRequestPreVoteResponse: eraftpb.MsgRequestPreVote,
}


class BrokenPromise(AssertionError):
    """A voter helped to replace a leader that it had answered just before."""


class Promises:
    """When who last heard a leader, and when who was asked for a vote: a vote leaves only when it is synced."""

    def __init__(self) -> None:
        self._contacts: dict[tuple[int, int, int, int], float] = {}
        """(store, life, region, peer) -> when, by the store's clock. A store may have had another peer there before."""
        self._silence_ms: dict[tuple[int, int, int, int], float] = {}
        """(voter's peer, kind, candidate's peer, term) -> how long the leader had been silent when the vote was asked
        for."""
        self._released: dict[int, int] = {}
        """region -> when its leader last told somebody else to take over."""

    def taken(self, machine: Machine, message: raft_serverpb.RaftMessage) -> None:
        """A store has stepped a message."""
        inner, place = message.message, (machine.id, machine.life, message.region_id, message.to_peer.id)
        peer = machine.store._registry.peers.get(message.region_id)
        if inner.msg_type in _OF_LEADERS and peer is not None and peer.node.leader_id == message.from_peer.id:
            self._contacts[place] = machine.clock_ms()
        elif inner.msg_type in _REQUESTS.values():
            question = (message.to_peer.id, inner.msg_type, message.from_peer.id, inner.term)
            self._silence_ms[question] = machine.clock_ms() - self._contacts.get(place, LONG_AGO_MS)

    def sent(self, machine: Machine, message: raft_serverpb.RaftMessage) -> None:
        """A store sends a message."""
        inner, now_ms = message.message, machine.simulation.now_ms
        if inner.msg_type == eraftpb.MsgTimeoutNow:
            self._released[message.region_id] = now_ms
        request = _REQUESTS.get(inner.msg_type)
        if request is None or inner.reject:
            return
        silence_ms = self._silence_ms.get((message.from_peer.id, request, message.to_peer.id, inner.term))
        released_ms = self._released.get(message.region_id, LONG_AGO_MS)
        if silence_ms is not None and silence_ms < LEASE_MS and now_ms - released_ms > RELEASED_MS:
            raise BrokenPromise(
                f"store {machine.id} voted in region {message.region_id}, {silence_ms:.0f} ms after it heard its leader"
            )
