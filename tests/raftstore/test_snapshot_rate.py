"""Snapshots keep to a rate: the bucket on injected time, and the transfer on a clock that only sleeping moves."""

import asyncio
import random
from concurrent.futures import ThreadPoolExecutor

from rutile_kv.engine.memory import MemoryEngine
from rutile_kv.env.clock import ManualClock
from rutile_kv.raftstore.events import SendSnapshot
from rutile_kv.raftstore.rate_limit import RateLimit
from rutile_kv.raftstore.snapshot_transfer import SnapshotTransfer
from rutile_proto import metapb_pb2 as metapb
from rutile_proto import raft_serverpb_pb2 as raft_serverpb


def test_the_bucket_keeps_its_rate_whatever_the_pieces():
    chance = random.Random(3)
    limit, now, passed = RateLimit(1_000), 100.0, 0
    for _ in range(500):
        size = chance.choice((1, 30, 700, 5_000))
        now += limit.delay_seconds(now, size)
        passed += size
        assert passed <= 1_000 * (now - 100.0) + 1_001, "never more than a second's worth ahead"
    assert passed >= 1_000 * (now - 100.0), "and no slower than asked"


def test_a_pause_saves_up_a_second_and_no_more():
    limit = RateLimit(1_000)
    assert limit.delay_seconds(50.0, 1_000) == 0.0
    assert limit.delay_seconds(50.0, 500) == 0.5
    assert limit.delay_seconds(5_000.0, 1_000) == 0.0
    assert limit.delay_seconds(5_000.0, 1_000) == 1.0


def test_no_limit_never_waits():
    assert [RateLimit(0).delay_seconds(1.0, 1 << 40) for _ in range(3)] == [0.0] * 3


class Sink:
    """A Transport that takes snapshots and counts."""

    def __init__(self):
        self.received = 0

    def send(self, messages):
        assert not messages, "only snapshots here"

    async def send_snapshot(self, message, chunks):
        async for chunk in chunks:
            self.received += len(chunk)


def test_a_snapshot_is_sent_at_the_rate():
    async def run():
        engine, sink, clock = MemoryEngine(), Sink(), ManualClock()
        began = clock.monotonic()

        async def sleep(seconds):
            clock.advance(seconds)

        batch = engine.batch()
        for n in range(8):
            batch.put("default", b"%d" % n, bytes(1 << 20))
        engine.write(batch)
        with ThreadPoolExecutor(1) as thread:
            steps = []
            transfer = SnapshotTransfer(
                engine, sink, thread, None, 4, 2 << 20, clock, steps.append, lambda region_id, index: True, sleep
            )
            region = metapb.Region(id=1)
            message = raft_serverpb.RaftMessage(region_id=1, to_peer=metapb.Peer(id=12, store_id=2))
            await transfer.send(SendSnapshot(message, region, engine.snapshot()))
        assert sink.received > 8 << 20
        assert 3.0 < clock.monotonic() - began < 4.0, "8 MiB at 2 MiB a second, the first second's worth at once"
        assert [step.ok for step in steps] == [True]

    asyncio.run(run())
