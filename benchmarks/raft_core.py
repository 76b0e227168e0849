"""How fast the Raft core is by itself: a three-peer group in memory, no network, no disk.

    python benchmarks/raft_core.py [proposals]

Prints, for batches of different sizes between two Readys, proposals a second through all three peers together, and the
cost of one proposal on the leader and both followers; then confirmed reads a second. All in one thread: a real store
does a third of it.
"""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Sequence

from rutile_kv.raft import Config, ConfState, MemoryStorage, Message, RawNode

PEERS = (1, 2, 3)
PAYLOAD = b"x" * 128
BATCHES = (1, 8, 64)


class Group:
    """Three peers whose messages arrive at once."""

    def __init__(self) -> None:
        conf_state = ConfState(PEERS)
        self.storages = {peer: MemoryStorage(conf_state) for peer in PEERS}
        self.nodes = {
            peer: RawNode(Config(peer, fresh=True), self.storages[peer], random.Random(peer)) for peer in PEERS
        }
        self.reads = 0
        self.nodes[1].campaign()
        self.settle()

    def settle(self) -> None:
        """Work until nobody has anything to do."""
        busy = True
        while busy:
            busy = False
            for peer, node in self.nodes.items():
                if node.has_ready():
                    busy = True
                    self.work(peer, node)

    def work(self, peer: int, node: RawNode) -> None:
        ready, storage = node.ready(), self.storages[peer]
        self.deliver(ready.messages)
        storage.append(ready.entries)
        storage.hard_state = ready.hard_state or storage.hard_state
        node.advance(ready)
        if ready.committed_entries:
            node.advance_apply(ready.committed_entries[-1].index)
        self.reads += len(ready.read_states)
        self.deliver(ready.persisted_messages)

    def deliver(self, messages: Sequence[Message]) -> None:
        for message in messages:
            self.nodes[message.to].step(message)


def proposals_a_second(count: int, batch: int) -> float:
    group = Group()
    leader = group.nodes[1]
    begin = time.perf_counter()
    for _ in range(count // batch):
        for _ in range(batch):
            leader.propose(PAYLOAD)
        group.settle()
    seconds = time.perf_counter() - begin
    assert {node.applied for node in group.nodes.values()} == {leader.last_index}
    return count // batch * batch / seconds


def reads_a_second(count: int, batch: int) -> float:
    group = Group()
    begin = time.perf_counter()
    for number in range(count // batch):
        for _ in range(batch):
            group.nodes[1].read_index(b"%d" % number)
        group.settle()
    seconds = time.perf_counter() - begin
    assert group.reads == count // batch * batch
    return group.reads / seconds


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000
    print(f"{'batch':>6} {'proposals/s':>12} {'us each':>8} {'reads/s':>12} {'us each':>8}")
    for batch in BATCHES:
        proposals, reads = proposals_a_second(count, batch), reads_a_second(count, batch)
        print(f"{batch:>6} {proposals:>12,.0f} {1e6 / proposals:>8.1f} {reads:>12,.0f} {1e6 / reads:>8.1f}")


if __name__ == "__main__":
    main()
