"""Clients die between any two steps of their commits, requests arrive in any order, late, or never. Whatever happens,
every transaction is all there or not at all, at one timestamp, and as its client was told."""

import asyncio
from dataclasses import dataclass, replace

import pytest
from client_atomic_twin import Deed, Told, twin_of
from client_slow_network import Lively, Parcel, SlowWorld, settle, slow_world
from hypothesis import example, given, settings
from hypothesis import strategies as st

from rutile_kv.mvcc.reader import MvccReader
from rutile_proto import kvrpcpb_pb2 as kvrpcpb
from rutile_proto.errors import RutileError, UndeterminedResult
from rutile_proto.timestamps import MAX_TIMESTAMP

KEYS = (b"a", b"b", b"c", b"d", b"e")
SPLITS = (b"b", b"d")
"""a | b c | d e"""
MAX_STEPS = 3_000
LONGER_THAN_ANY_LOCK_S = 120.0


@dataclass(frozen=True)
class Plan:
    """What a transaction sets out to do."""

    puts: frozenset[bytes]
    deletes: frozenset[bytes] = frozenset()
    pessimistic: bool = False
    async_commit: bool = True
    reads: bool = True


async def live(lively: Lively, plan: Plan, deed: Deed) -> None:
    """The transaction, from its begin to its client's death or its end."""
    try:
        if plan.pessimistic:
            locker = await lively.client.begin(pessimistic=True)
            txn, deed.start_ts = locker, locker.start_ts
            found = await locker.batch_get_for_update(sorted(deed.writes), wait_s=0)
            deed.locked = {key: value for key, value in found.items() if value is not None}
        else:
            txn = await lively.client.begin()
            deed.start_ts = txn.start_ts
        if plan.reads:
            deed.seen = dict(await txn.scan())
        for key, value in deed.writes.items():
            if value is None:
                txn.delete(key)
            else:
                txn.put(key, value)
        deed.commit_ts = await txn.commit()
        deed.told = Told.COMMITTED
    except UndeterminedResult:
        deed.told = Told.NOTHING
    except RutileError:
        deed.told = Told.REFUSED


class Run:
    """Plans carried out under a schedule."""

    def __init__(self, world: SlowWorld) -> None:
        self.world = world
        self.deeds: list[Deed] = []
        self.lives: dict[Lively, asyncio.Task[None]] = {}

    async def begin(self, plan: Plan) -> Lively:
        """Start a client on its plan."""
        lively = self.world.new_client(async_commit=plan.async_commit)
        value = b"of %d" % lively.id
        deed = Deed({key: value if key in plan.puts else None for key in sorted(plan.puts | plan.deletes)})
        self.deeds.append(deed)
        self.lives[lively] = asyncio.ensure_future(live(lively, plan, deed))
        await settle()
        return lively

    async def crash(self, lively: Lively) -> None:
        """Whatever the client is just doing, it does no more."""
        lively.alive = False
        while not self.lives[lively].done():  # a life may want to tidy up before it ends: it must not
            self.lives[lively].cancel()
            await settle()
        await lively.die()

    @property
    def waiting(self) -> list[Parcel]:
        return self.world.network.waiting

    async def arrive(self, parcel: Parcel, *, lose_answer: bool = False) -> None:
        self.world.network.arrive(parcel, lose_answer=lose_answer)
        await settle()

    async def finish(self) -> None:
        """Let the living come to their end, background work included. The requests of the dead stay where they are."""
        for _ in range(MAX_STEPS):
            parcel = next((each for each in self.waiting if each.sender.alive), None)
            if parcel is not None:
                await self.arrive(parcel)
            elif all(life.done() for life in self.lives.values()):
                return
            else:
                await self.pass_time(2.0)
        raise AssertionError(f"not at an end after {MAX_STEPS} steps")

    async def pass_time(self, seconds: float) -> None:
        self.world.cluster.time.advance(seconds)
        await settle()

    async def check(self) -> None:
        """Readers settle every fate; nothing that arrives after that changes what they saw."""
        reader = self.world.new_client(quick=True).client
        ts = await reader.timestamp()
        found = dict(await reader.snapshot(ts).scan())
        while self.waiting:
            await self.arrive(self.waiting[0])
        assert dict(await reader.snapshot(ts).scan()) == found
        await self.pass_time(LONGER_THAN_ANY_LOCK_S)
        await reader.snapshot(await reader.timestamp()).scan()  # for locks that arrived late, or were let live
        mvcc = MvccReader(self.world.kv.engine)
        locks = mvcc.scan_locks(b"", b"", MAX_TIMESTAMP, 100)
        assert [lock for lock in locks if lock.lock_type != kvrpcpb.PessimisticLock] == []  # those stop no reader
        twin = twin_of(mvcc, self.deeds)
        assert found == twin.at(ts)
        for moment in twin.moments():
            assert dict(await reader.snapshot(moment).scan()) == twin.at(moment)
        for deed in self.deeds:
            assert deed.seen is None or deed.seen == twin.at(deed.start_ts)


# --- one transaction, cut off everywhere ----------------------------------------------------------------------------

WIDE = Plan(frozenset({b"a", b"c", b"e"}), frozenset({b"b"}), reads=False)
MODES = {
    "two phases": replace(WIDE, async_commit=False),
    "async commit": WIDE,
    "one phase": replace(WIDE, puts=frozenset({b"b", b"c"}), deletes=frozenset()),
    "pessimistic": replace(WIDE, pessimistic=True, async_commit=False),
    "pessimistic, async commit": replace(WIDE, pessimistic=True),
}
LEFT = ("lost", "before the reader", "after the reader")
"""What becomes of the requests that were on their way when the client died."""


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("left", LEFT)
@pytest.mark.parametrize("newest_first", [False, True])
def test_a_commit_cut_off_after_any_step(mode: str, left: str, newest_first: bool) -> None:
    """A first transaction writes all keys; the second dies after 0, 1, 2, ... requests have arrived, until it does not
    die any more. Parallel requests arrive oldest or newest first."""

    async def cut_off_after(steps: int) -> bool:
        async with slow_world(*SPLITS) as world:
            run = Run(world)
            await run.begin(Plan(frozenset(KEYS)))
            await run.finish()
            victim = await run.begin(MODES[mode])
            for _ in range(steps):
                if not run.waiting:
                    await run.check()
                    return False
                await run.arrive(run.waiting[-1 if newest_first else 0])
            await run.crash(victim)
            if left == "lost":
                run.waiting.clear()
            elif left == "before the reader":
                while run.waiting:
                    await run.arrive(run.waiting[0])
            await run.check()
            return True

    async def main() -> int:
        steps = 0
        while await cut_off_after(steps):
            steps += 1
        return steps

    assert asyncio.run(main()) >= 2


# --- many, at random ------------------------------------------------------------------------------------------------

PLANS = st.builds(
    Plan,
    puts=st.frozensets(st.sampled_from(KEYS), max_size=4),
    deletes=st.frozensets(st.sampled_from(KEYS), max_size=1),
    pessimistic=st.booleans(),
    async_commit=st.booleans(),
    reads=st.booleans(),
).map(lambda plan: replace(plan, deletes=plan.deletes - plan.puts, pessimistic=plan.pessimistic and bool(plan.puts)))

ARRIVE, LOSE, LOSE_ANSWER, CRASH, BEGIN, WAIT = "arrive", "lose", "lose answer", "crash", "begin", "wait"
STEPS = st.tuples(st.sampled_from([ARRIVE] * 8 + [LOSE, LOSE_ANSWER, CRASH, BEGIN, BEGIN, WAIT]), st.integers(0, 5))


async def follow(run: Run, plans: list[Plan], schedule: list[tuple[str, int]]) -> None:
    """Carry the schedule out; the number says which of the requests on their way, or of the living, or how long."""
    to_begin = list(plans)
    await run.begin(to_begin.pop(0))
    for what, which in schedule:
        living = [lively for lively in run.lives if lively.alive]
        if what == BEGIN and to_begin:
            await run.begin(to_begin.pop(0))
        elif what == CRASH and living:
            await run.crash(living[which % len(living)])
        elif what == WAIT:
            await run.pass_time(which * 0.7)
        elif run.waiting:
            parcel = run.waiting[which % len(run.waiting)]
            if what == LOSE:
                run.world.network.lose(parcel)
                await settle()
            else:
                await run.arrive(parcel, lose_answer=what == LOSE_ANSWER)
    for plan in to_begin:
        await run.begin(plan)
    await run.finish()


LOCKER = Plan(frozenset({b"a"}), pessimistic=True, async_commit=False, reads=False)
OVERTAKER = Plan(frozenset({b"a"}), frozenset({b"b"}), async_commit=False, reads=False)


@example([LOCKER, OVERTAKER], [(ARRIVE, 0), (LOSE_ANSWER, 0), (BEGIN, 0), *[(ARRIVE, 0)] * 7])
@given(st.lists(PLANS, min_size=2, max_size=5), st.lists(STEPS, min_size=10, max_size=80))
@settings(max_examples=150, deadline=None)
def test_any_interleaving_equals_atomic_transactions(plans: list[Plan], schedule: list[tuple[str, int]]) -> None:
    async def main() -> None:
        async with slow_world(*SPLITS) as world:
            run = Run(world)
            await follow(run, plans, schedule)
            await run.check()

    asyncio.run(main())
