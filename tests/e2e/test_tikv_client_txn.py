"""The PyPI wheel tikv_client 0.0.4 (CPython 3.11) makes transactions on a playground, unmodified, sync and async."""

from __future__ import annotations

import asyncio
import contextlib
import random
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

pytest.importorskip("tikv_client", reason="its wheels exist for CPython 3.11 only")

from e2e_tools import leader_index, regions, wait_for_replicas, wait_until
from wheel_tools import CALL_SECONDS, FACES, Direct, Wheel, methods_of_the_wheel, snapshot, transaction

from rutile.nodes.playground import Playground
from rutile_proto import pdpb_pb2 as pdpb

LARGE_BYTES = int(3.9 * (1 << 20))
"""The wheel's responses may have 4 MiB (wire.md 2)."""
ROWS = 3000
ACCOUNTS, INITIAL = 6, 1000


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    """The thread's own loop, as the sync face wants it."""
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    yield loop
    asyncio.set_event_loop(None)
    loop.close()


@pytest.fixture(params=FACES)
def wheel(request: pytest.FixtureRequest, loop: asyncio.AbstractEventLoop) -> Wheel:
    return Wheel(request.param, loop)


@pytest.fixture
def client(wheel: Wheel, playground: Playground) -> Any:
    return wheel.transactions(playground)


@pytest.fixture
def plain(loop: asyncio.AbstractEventLoop, playground: Playground) -> Any:
    """A client of one face, for tests in which the faces do not differ."""
    return Wheel("sync", loop).transactions(playground)


@pytest.fixture
def direct(playground: Playground) -> Iterator[Direct]:
    with Direct(playground) as direct:
        yield direct


@pytest.fixture
def space(request: pytest.FixtureRequest) -> bytes:
    """A prefix of this test's own."""
    return b"z/" + request.node.name.encode() + b"/"


def fill(client: Any, pairs: dict[bytes, bytes]) -> None:
    with transaction(client) as txn:
        for key, value in pairs.items():
            txn.put(key, value)


# --- every method -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pessimistic", [False, True])
def test_every_method(wheel: Wheel, client: Any, space: bytes, pessimistic: bool) -> None:
    a, b, c, d = (space + name for name in (b"a", b"b", b"c", b"d"))
    fill(client, {a: b"1", b: b"2", c: b""})
    with transaction(client, pessimistic=pessimistic) as txn:
        assert txn.get(a) == b"1"
        assert txn.get_for_update(b) == b"2"
        assert sorted(txn.batch_get([c, a, d])) == [(a, b"1"), (c, b"")]
        assert sorted(txn.batch_get_for_update([a, d])) == [(a, b"1")]
        assert txn.key_exists(c)
        assert not txn.key_exists(d)
        assert list(txn.scan(space, space + b"\xff", 10)) == [(a, b"1"), (b, b"2"), (c, b"")]
        assert list(txn.scan_keys(space, space + b"\xff", 2)) == [a, b]
        txn.lock_keys([c])
        txn.put(a, b"one")
        txn.delete(b)
        assert list(txn.scan(space, space + b"\xff", 10)) == [(a, b"one"), (c, b"")]
        txn.insert(d, b"4")  # its own scans do not show the wheel what it has inserted, but gets do
        assert txn.get(d) == b"4"
    forgotten = client.begin(pessimistic=pessimistic)
    forgotten.put(a, b"never")
    forgotten.rollback()
    seen = snapshot(client)
    assert seen.get(a) == b"one"
    assert seen.get(b) is None
    assert seen.key_exists(d)
    assert sorted(seen.batch_get([a, b, d])) == [(a, b"one"), (d, b"4")]
    assert list(seen.scan(space, space + b"\xff", 10)) == [(a, b"one"), (c, b""), (d, b"4")]
    assert list(seen.scan_keys(space, space + b"\xff", 10)) == [a, c, d]
    assert wheel.called == methods_of_the_wheel()


def test_bounds_of_scans(client: Any, space: bytes) -> None:
    keys = [space + b"%d" % number for number in range(5)]
    fill(client, dict.fromkeys(keys, b"v"))
    seen = snapshot(client)
    first, last = keys[0], keys[4]
    assert list(seen.scan_keys(first, last, 10)) == keys[:4]
    assert list(seen.scan_keys(first, last, 10, include_end=True)) == keys
    assert list(seen.scan_keys(first, last, 10, include_start=False)) == keys[1:4]
    assert list(seen.scan_keys(first, last, 10, include_start=False, include_end=True)) == keys[1:]
    assert list(seen.scan_keys(first, None, 3)) == keys[:3]
    assert list(seen.scan_keys(first, first, 10)) == []
    assert list(seen.scan_keys(first, last, 0)) == []


# --- conflicts --------------------------------------------------------------------------------------------------------


def test_the_later_of_two_optimistic_writers_fails(client: Any, space: bytes) -> None:
    late = client.begin(pessimistic=False)
    late.put(space, b"late")
    fill(client, {space: b"early"})
    with pytest.raises(Exception, match="WriteConflict"):
        late.commit()
    late.rollback()
    assert snapshot(client).get(space) == b"early"


@pytest.mark.parametrize("pessimistic", [False, True])
def test_insert_of_what_is_there_fails(client: Any, space: bytes, pessimistic: bool) -> None:
    fill(client, {space: b"there"})
    with pytest.raises(Exception, match="AlreadyExist"), transaction(client, pessimistic=pessimistic) as txn:
        txn.insert(space, b"again")
    assert snapshot(client).get(space) == b"there"


def test_a_locked_key_is_a_conflict_for_optimistic_writers(client: Any, space: bytes) -> None:
    """lock_keys writes nothing, yet two transactions that lock the same key cannot both commit."""
    fill(client, {space: b"v"})
    late = client.begin(pessimistic=False)
    late.lock_keys([space])
    late.put(space + b"other", b"late")
    with transaction(client) as early:
        early.put(space, b"changed")
    with pytest.raises(Exception, match="WriteConflict"):
        late.commit()
    late.rollback()
    assert snapshot(client).get(space + b"other") is None


def test_write_skew_is_prevented_by_reading_for_update(plain: Any, space: bytes) -> None:
    x, y = space + b"x", space + b"y"
    fill(plain, {x: b"1", y: b"1"})
    with transaction(plain, pessimistic=True) as txn:
        assert len(txn.batch_get_for_update([x, y])) == 2
        rival = plain.begin(pessimistic=False)
        assert rival.get(x) == rival.get(y) == b"1"
        rival.put(y, b"0")
        txn.put(x, b"0")
    with pytest.raises(Exception, match="WriteConflict"):
        rival.commit()
    rival.rollback()


def test_pessimistic_writers_wait_for_each_other(plain: Any, playground: Playground, space: bytes) -> None:
    """Three threads, each with a client and a loop of its own, count one number up."""
    failures: list[BaseException] = []
    threads = [threading.Thread(target=_count_up, args=(playground, space, failures)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not failures, failures
    assert snapshot(plain).get(space) == b"30"


def _count_up(playground: Playground, key: bytes, failures: list[BaseException]) -> None:
    with closing(asyncio.new_event_loop()) as loop:
        asyncio.set_event_loop(loop)
        try:
            client = Wheel("sync", loop).transactions(playground)
            for _ in range(10):
                _count_one(client, key)
        except BaseException as error:
            failures.append(error)
        finally:
            asyncio.set_event_loop(None)


def _count_one(client: Any, key: bytes) -> None:
    """The lock may come with news of a commit after the transaction asked for it: begin again, as with TiKV."""
    while True:
        try:
            with transaction(client, pessimistic=True) as txn:
                value = int(txn.get_for_update(key) or b"0")
                txn.put(key, b"%d" % (value + 1))
            return
        except Exception as error:
            if "WriteConflict" not in str(error):
                raise


# --- sizes ------------------------------------------------------------------------------------------------------------


def test_values_as_large_as_the_wheel_can_read(client: Any, space: bytes) -> None:
    large = random.Random(7).randbytes(LARGE_BYTES)
    fill(client, {space: large})
    assert snapshot(client).get(space) == large
    with transaction(client, pessimistic=True) as txn:
        assert txn.get_for_update(space) == large
        txn.put(space, large[::-1])
    assert snapshot(client).get(space) == large[::-1]


def test_a_transaction_of_many_batches(client: Any, space: bytes) -> None:
    """The wheel sends 16 KiB a prewrite, all at once, secondaries before the primary."""
    values = {space + b"%03d" % number: bytes([number]) * 1024 for number in range(200)}
    fill(client, values)
    assert dict(snapshot(client).batch_get(list(values))) == values
    assert dict(snapshot(client).scan(space, space + b"\xff", 1000)) == values


# --- locks that others left -------------------------------------------------------------------------------------------


def test_the_lock_of_a_dead_client_is_cleaned_up(client: Any, direct: Direct, space: bytes) -> None:
    """KvCleanup at the primary, KvResolveLock where the lock was met, for readers and for writers."""
    fill(client, {space + b"p": b"old", space + b"s": b"old"})
    dead = client.current_timestamp() - (5000 << 18)
    direct.prewrite(dead, {space + b"q": b"new", space + b"r": b"new"}, ttl_ms=100, primary=space + b"q")
    assert snapshot(client).get(space + b"r") is None
    assert not [key for key in direct.locks(space) if key.startswith(space)]
    dead = client.current_timestamp()
    direct.prewrite(dead, {space + b"t": b"new", space + b"u": b"new"}, ttl_ms=100, primary=space + b"t")
    fill(client, {space + b"u": b"mine"})
    assert snapshot(client).get(space + b"u") == b"mine"
    assert snapshot(client).get(space + b"t") is None


def test_a_committed_primary_is_enough_for_readers(client: Any, direct: Direct, space: bytes) -> None:
    """The client died right after the commit of its primary: readers see all of it at once, not after the lock's time
    to live, and leave no lock."""
    primary, others = space + b"p", [space + b"s%d" % number for number in range(5)]
    start_ts = client.current_timestamp()
    direct.prewrite(start_ts, {primary: b"new", **dict.fromkeys(others, b"new")}, ttl_ms=60_000, primary=primary)
    before = client.current_timestamp()
    direct.commit(start_ts, client.current_timestamp(), primary)
    started = time.monotonic()
    assert snapshot(client).get(others[0]) == b"new"
    assert sorted(snapshot(client).batch_get(others[1:3])) == [(key, b"new") for key in others[1:3]]
    assert dict(snapshot(client).scan(space, space + b"\xff", 10)) == dict.fromkeys([primary, *others], b"new")
    assert list(client.snapshot(before, pessimistic=False).scan(space, space + b"\xff", 10)) == []
    assert time.monotonic() - started < 1.0
    wait_until("no locks are left", lambda: not [key for key in direct.locks(space) if key.startswith(space)])


def test_a_primary_led_by_another_store_is_asked_too(plain: Any, direct: Direct, space: bytes) -> None:
    primary, other = space + b"a", space + b"m"
    direct.split([other])
    _move_leader_away(direct, primary, other)
    start_ts = plain.current_timestamp()
    direct.prewrite(start_ts, {primary: b"new", other: b"new"}, ttl_ms=60_000, primary=primary)
    direct.commit(start_ts, plain.current_timestamp(), primary)
    started = time.monotonic()
    assert snapshot(plain).get(other) == b"new"
    assert time.monotonic() - started < 1.0


def _move_leader_away(direct: Direct, key: bytes, from_key: bytes) -> None:
    """Scatter the regions until the two keys are led by different stores; PD's balance does the same in its time."""

    def apart() -> bool:
        (one, one_leader), (two, two_leader) = direct.region(key), direct.region(from_key)
        if 0 in (one_leader.store_id, two_leader.store_id):
            return False  # an election is under way
        if one_leader.store_id != two_leader.store_id:
            return True
        request = pdpb.ScatterRegionRequest(header=direct.header, regions_id=[one.id, two.id], group=key.hex())
        direct.pd.ScatterRegion(request, timeout=5)
        return False

    wait_until("two regions are led by different stores", apart)


# --- garbage collection -----------------------------------------------------------------------------------------------


def test_gc_by_the_wheel(
    client: Any, wheel: Wheel, loop: asyncio.AbstractEventLoop, direct: Direct, space: bytes
) -> None:
    """Only reachable inside: it resolves all locks below the safe point, asynchronous commits too, then tells PD."""
    dead = client.current_timestamp() - (5000 << 18)
    direct.prewrite(dead, {space + b"q": b"new", space + b"r": b"new"}, ttl_ms=60_000, primary=space + b"q")
    inner = client.target.inner if hasattr(client.target.inner, "gc") else client.target.inner.inner
    safe_point = client.current_timestamp() - (1000 << 18)

    async def collect() -> None:
        await inner.gc(safe_point)

    loop.run_until_complete(asyncio.wait_for(collect(), CALL_SECONDS))
    assert not [key for key in direct.locks(space) if key.startswith(space)]
    answer = direct.pd.GetGCSafePoint(pdpb.GetGCSafePointRequest(header=direct.header), timeout=5)
    assert answer.safe_point == safe_point


# --- regions that move under a client ---------------------------------------------------------------------------------


def test_no_row_is_lost_while_regions_split_under_scans(plain: Any, direct: Direct, space: bytes) -> None:
    keys = [space + b"%05d" % number for number in range(ROWS)]
    for first in range(0, ROWS, 500):
        fill(plain, dict.fromkeys(keys[first : first + 500], b"v"))
    seen = snapshot(plain)
    before = len(regions_of(direct))
    splitting = threading.Thread(target=lambda: [direct.split([key]) for key in keys[200::200]])
    splitting.start()
    scans = 0
    while splitting.is_alive() or scans < 3:
        assert list(seen.scan_keys(space, space + b"\xff", 10_000)) == keys
        scans += 1
    splitting.join()
    assert len(regions_of(direct)) >= before + ROWS // 200 - 1
    assert len(seen.batch_get(keys[::7])) == len(keys[::7])
    fill(plain, dict.fromkeys(keys[::50], b"w"))
    assert len(list(snapshot(plain).scan_keys(space, space + b"\xff", 10_000))) == ROWS


def regions_of(direct: Direct) -> list[pdpb.Region]:
    return list(direct.pd.ScanRegions(pdpb.ScanRegionsRequest(header=direct.header, limit=1000), timeout=5).regions)


@pytest.mark.slow
@pytest.mark.parametrize("pessimistic", [False, True])
def test_money_is_kept_while_the_leader_is_killed(
    tmp_path_factory: pytest.TempPathFactory, loop: asyncio.AbstractEventLoop, pessimistic: bool
) -> None:
    """kill -9 of the store that leads, again and again: calls may fail, none may hang, and no coin is lost or made."""
    with Playground(3, tmp_path_factory.mktemp("killed")) as cluster:
        wait_for_replicas(cluster, 3)
        client = Wheel("sync", loop).transactions(cluster)
        accounts = [b"z/bank/%d" % number for number in range(ACCOUNTS)]
        fill(client, dict.fromkeys(accounts, b"%d" % INITIAL))
        stop = threading.Event()
        killer = threading.Thread(target=_kill_leaders, args=(cluster, stop, 3))
        killer.start()
        done, chance = 0, random.Random(5)
        slowest = 0.0
        while killer.is_alive():
            started = time.monotonic()
            with contextlib.suppress(Exception):
                _transfer(client, chance.sample(accounts, 2), chance.randrange(1, 50), pessimistic)
                done += 1
            slowest = max(slowest, time.monotonic() - started)
        killer.join()
        assert slowest < CALL_SECONDS
        assert done > 20, "work went on between the failures"
        wait_until("the books are readable", lambda: _total(client, accounts) == ACCOUNTS * INITIAL)


def _transfer(client: Any, pair: list[bytes], amount: int, pessimistic: bool) -> None:
    source, target = pair
    with transaction(client, pessimistic=pessimistic) as txn:
        read = txn.get_for_update if pessimistic else txn.get
        left, there = int(read(source)), int(read(target))
        txn.put(source, b"%d" % (left - amount))
        txn.put(target, b"%d" % (there + amount))


def _total(client: Any, accounts: list[bytes]) -> int | None:
    try:
        return sum(int(value) for _, value in snapshot(client).batch_get(accounts))
    except Exception:  # a lock of a transaction that a kill ended is not expired yet
        return None


def _kill_leaders(cluster: Playground, stop: threading.Event, times: int) -> None:
    for _ in range(times):
        stop.wait(2.0)
        index = leader_index(cluster)
        assert index is not None
        cluster.stores[index].kill()
        stop.wait(4.0)
        cluster.restart_store(index)
        stop.wait(2.0)


@pytest.mark.slow
def test_scans_and_reads_go_on_while_the_leader_is_down(
    tmp_path_factory: pytest.TempPathFactory, loop: asyncio.AbstractEventLoop
) -> None:
    with Playground(3, tmp_path_factory.mktemp("down")) as cluster:
        wait_for_replicas(cluster, 3)
        client = Wheel("sync", loop).transactions(cluster)
        keys = [b"z/%04d" % number for number in range(1000)]
        fill(client, dict.fromkeys(keys, b"v"))
        with Direct(cluster) as direct:
            direct.split([b"z/0250", b"z/0500", b"z/0750"])
        index = leader_index(cluster)
        assert index is not None
        cluster.stores[index].kill()

        def scanned() -> bool:
            try:
                return list(snapshot(client).scan_keys(b"z/", b"z0", 5000)) == keys
            except Exception:  # leaders are being elected: the wheel gives up after 1.6 s
                return False

        wait_until("the rows are read from the stores that live", scanned, 30)
        fill(client, {b"z/0100": b"w"})
        assert snapshot(client).get(b"z/0100") == b"w"
        cluster.restart_store(index)
        assert len(regions(cluster)) == 4
