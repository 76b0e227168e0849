"""Readers and the locks of transactions that have ended: the store finds out before it answers "locked"."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from direct_kv import make_region
from server_tools import Served, serving, until

from rutile_kv.client.backoff import Pace
from rutile_kv.client.cluster import Cluster
from rutile_proto import kvrpcpb_pb2 as kvrpcpb
from rutile_proto import metapb_pb2 as metapb
from rutile_proto.errors import RetriesExhausted
from rutile_proto.keys import storage_key

Scenario = Callable[[Served], Awaitable[None]]
BORDER = storage_key(b"m")


def run(scenario: Scenario, *regions: metapb.Region, others: Cluster | None = None) -> None:
    async def main() -> None:
        async with asyncio.timeout(20), serving("local", *regions, others=others) as served:
            await scenario(served)

    asyncio.run(main())


def two_regions() -> tuple[metapb.Region, metapb.Region]:
    return make_region(1, b"", BORDER), make_region(2, BORDER, b"")


async def left_behind(served: Served, commit_ts: int, *, start_ts: int = 30) -> None:
    """A transaction on a (primary, region 1) and z (region 2) that was decided at a alone; 0: rolled back."""
    for key, region_id in ((b"a", 1), (b"z", 2)):
        mutation = kvrpcpb.Mutation(op=kvrpcpb.Put, key=key, value=b"new")
        request = kvrpcpb.PrewriteRequest(
            context=served.context(region_id),
            mutations=[mutation],
            primary_lock=b"a",
            start_version=start_ts,
            lock_ttl=3000,
        )
        assert (await served.tikv.KvPrewrite(request)) == kvrpcpb.PrewriteResponse()
    if commit_ts:
        commit = kvrpcpb.CommitRequest(
            context=served.context(1), start_version=start_ts, keys=[b"a"], commit_version=commit_ts
        )
        assert not (await served.tikv.KvCommit(commit)).HasField("error")
    else:
        rollback = kvrpcpb.BatchRollbackRequest(context=served.context(1), start_version=start_ts, keys=[b"a"])
        assert not (await served.tikv.KvBatchRollback(rollback)).HasField("error")


async def get(served: Served, version: int) -> kvrpcpb.GetResponse:
    return await served.tikv.KvGet(kvrpcpb.GetRequest(context=served.context(2), key=b"z", version=version))


async def locks(served: Served) -> list[bytes]:
    request = kvrpcpb.ScanLockRequest(context=served.context(2), max_version=1 << 60)
    return [lock.key for lock in (await served.tikv.KvScanLock(request)).locks]


@pytest.mark.parametrize(("version", "value"), [(35, b"old"), (39, b"old"), (40, b"new"), (99, b"new")])
def test_a_reader_gets_what_a_committed_transaction_left(version: int, value: bytes) -> None:
    async def scenario(served: Served) -> None:
        await served.put(10, 20, {b"z": b"old"}, 2)
        await left_behind(served, commit_ts=40)
        assert (await get(served, version)).value == value
        batch = kvrpcpb.BatchGetRequest(context=served.context(2), keys=[b"y", b"z"], version=version)
        assert [(pair.key, pair.value) for pair in (await served.tikv.KvBatchGet(batch)).pairs] == [(b"z", value)]

    run(scenario, *two_regions())


def test_a_reader_does_not_see_what_was_rolled_back() -> None:
    async def scenario(served: Served) -> None:
        await served.put(10, 20, {b"z": b"old"}, 2)
        await left_behind(served, commit_ts=0)
        assert (await get(served, 99)).value == b"old"

    run(scenario, *two_regions())


def test_scans_look_past_ended_transactions_too() -> None:
    async def scenario(served: Served) -> None:
        await served.put(10, 20, {b"x": b"1", b"z": b"old"}, 2)
        await left_behind(served, commit_ts=40)
        for reverse in (False, True):
            scan = kvrpcpb.ScanRequest(context=served.context(2), limit=10, version=50, reverse=reverse)
            pairs = [(pair.key, pair.value) for pair in (await served.tikv.KvScan(scan)).pairs]
            assert pairs == [(b"x", b"1"), (b"z", b"new")][:: -1 if reverse else 1]

    run(scenario, *two_regions())


@pytest.mark.parametrize("commit_ts", [40, 0])
def test_the_locks_are_settled_behind_the_reader(commit_ts: int) -> None:
    async def scenario(served: Served) -> None:
        await left_behind(served, commit_ts=commit_ts)
        assert await locks(served) == [b"z"]
        assert (await get(served, 99)).not_found == (commit_ts == 0)

        async def is_settled() -> bool:
            return not await locks(served)

        await until(is_settled)
        assert (await get(served, 99)).not_found == (commit_ts == 0)

    run(scenario, *two_regions())


def test_a_running_transaction_is_told_and_left_alone() -> None:
    async def scenario(served: Served) -> None:
        await served.lock(30, {b"z": b"new"}, 2)
        assert (await get(served, 99)).error.locked.lock_version == 30
        batch = kvrpcpb.BatchGetRequest(context=served.context(2), keys=[b"z"], version=99)
        assert (await served.tikv.KvBatchGet(batch)).pairs[0].error.locked.lock_version == 30
        assert await locks(served) == [b"z"]

    run(scenario, *two_regions())


def test_a_primary_that_was_never_written_says_nothing() -> None:
    """Its prewrite may still be on the way: secondaries can arrive first (wire.md 7.5)."""

    async def scenario(served: Served) -> None:
        mutation = kvrpcpb.Mutation(op=kvrpcpb.Put, key=b"z", value=b"new")
        request = kvrpcpb.PrewriteRequest(
            context=served.context(2), mutations=[mutation], primary_lock=b"a", start_version=30, lock_ttl=3000
        )
        await served.tikv.KvPrewrite(request)
        assert (await get(served, 99)).error.locked.primary_lock == b"a"

    run(scenario, *two_regions())


def test_a_page_tells_of_those_that_run_and_shows_what_the_others_left() -> None:
    async def scenario(served: Served) -> None:
        await left_behind(served, commit_ts=1000, start_ts=100)
        keys = [b"z%02d" % number for number in range(40)]
        for number, key in enumerate(keys):
            await served.lock(2000 + number, {key: b"v"}, 2)
        scan = kvrpcpb.ScanRequest(context=served.context(2), limit=100, version=1 << 50)
        pairs = (await served.tikv.KvScan(scan)).pairs
        assert [pair.key for pair in pairs] == [b"z", *keys]
        assert pairs[0].value == b"new"
        assert all(pair.error.locked.lock_version for pair in pairs[1:])

    run(scenario, *two_regions())


class Elsewhere:
    """The other stores: what they say of a primary."""

    def __init__(self, answer: kvrpcpb.CheckTxnStatusResponse | None) -> None:
        self.pace = Pace()
        self.locks = self
        self.asked: list[tuple[bytes, int]] = []
        self._answer = answer

    async def ask_primary(
        self, primary: bytes, start_ts: int, _backoff: object, *, now: int, rollback_if_missing: bool
    ) -> kvrpcpb.CheckTxnStatusResponse:
        assert (now, rollback_if_missing) == (0, False), "the question changes nothing"
        self.asked.append((primary, start_ts))
        if self._answer is None:
            raise RetriesExhausted("ask a primary", 300, OSError("no answer"))
        return self._answer


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (kvrpcpb.CheckTxnStatusResponse(commit_version=40), "new"),
        (kvrpcpb.CheckTxnStatusResponse(), "old"),
        (kvrpcpb.CheckTxnStatusResponse(lock_ttl=3000), "locked"),
        (None, "locked"),
    ],
)
def test_a_primary_led_elsewhere_is_asked_about_once(
    answer: kvrpcpb.CheckTxnStatusResponse | None, outcome: str
) -> None:
    others = Elsewhere(answer)

    async def scenario(served: Served) -> None:
        await served.put(10, 20, {b"z": b"old"}, 2)
        await left_behind(served, commit_ts=40)
        served.kv.followers.add(1)
        for _ in range(2):
            found = await get(served, 99)
            assert found.value == (b"" if outcome == "locked" else outcome.encode())
            assert found.HasField("error") == (outcome == "locked")
        assert others.asked == [(b"a", 30)] * (2 if outcome == "locked" else 1)

    run(scenario, *two_regions(), others=others)  # type: ignore[arg-type]
