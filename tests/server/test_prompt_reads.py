"""Prompt reads say what KvGet and KvScan say, or nothing."""

import asyncio
import itertools

import pytest
from direct_kv import make_region
from server_tools import Served, serving

from rutile_kv.env.prompt import NotNow
from rutile_proto import kvrpcpb_pb2 as kvrpcpb
from rutile_proto.keys import storage_key
from rutile_proto.timestamps import MAX_TIMESTAMP

KEYS = [b"a", b"b", b"c", b"d"]
VERSIONS = (15, 25, 35, 45, 60, MAX_TIMESTAMP)


async def filled(served: Served) -> None:
    """Versions of a and b, a deleted c, and a lock on d."""
    await served.put(10, 20, {b"a": b"1", b"b": b"x" * 5000, b"c": b"3"})
    await served.put(30, 40, {b"a": b""})
    await served.lock(50, {b"d": b"new"})


def test_gets_are_those_of_kvget_and_what_takes_an_await_is_left_to_it() -> None:
    async def main() -> None:
        async with serving("local") as served:
            await filled(served)
            for key, version in itertools.product(KEYS, VERSIONS):
                answer = await served.get(key, version)
                if answer.HasField("error"):
                    with pytest.raises(NotNow):
                        served.service.get_now(served.context(), key, version)
                else:
                    expected = None if answer.not_found else answer.value
                    assert served.service.get_now(served.context(), key, version) == expected
                request = kvrpcpb.GetRequest(context=served.context(), key=key, version=version)
                assert served.service.get_promptly(request) == (None if answer.HasField("error") else answer)

    asyncio.run(main())


def test_what_a_request_asks_for_besides_is_left_to_kvget() -> None:
    async def main() -> None:
        async with serving("local") as served:
            await filled(served)
            plain = kvrpcpb.GetRequest(context=served.context(), key=b"a", version=45)
            assert served.service.get_promptly(plain) is not None
            for change in (
                {"stale_read": True}, {"replica_read": True}, {"resolved_locks": [7]}, {"committed_locks": [7]},
                {"cluster_id": 1},
            ):  # fmt: skip
                special = kvrpcpb.GetRequest()
                special.CopyFrom(plain)
                special.context.MergeFrom(kvrpcpb.Context(**change))
                assert served.service.get_promptly(special) is None, change
            for key, version in ((b"", 45), (b"a" * 9000, 45), (b"a", 0)):
                assert (
                    served.service.get_promptly(kvrpcpb.GetRequest(context=served.context(), key=key, version=version))
                    is None
                )

    asyncio.run(main())


def test_scans_are_those_of_kvscan() -> None:
    async def main() -> None:
        async with serving("local") as served:
            await filled(served)
            for version, limit in itertools.product(VERSIONS[:4], (1, 2, 10)):
                request = kvrpcpb.ScanRequest(
                    context=served.context(), start_key=b"a", end_key=b"z", version=version, limit=limit
                )
                expected = [(pair.key, pair.value) for pair in (await served.tikv.KvScan(request)).pairs]
                assert served.service.scan_now(served.context(), b"a", b"z", version, limit) == expected
            with pytest.raises(NotNow):
                served.service.scan_now(served.context(), b"a", b"z", 60, 10)

    asyncio.run(main())


def test_a_read_raises_max_ts_whether_it_is_answered_or_not() -> None:
    async def main() -> None:
        async with serving("local") as served:
            await filled(served)
            served.service.get_now(served.context(), b"a", 70)
            assert served.service.scheduler.max_ts.newest == 70
            with pytest.raises(NotNow):
                served.service.get_now(served.context(), b"d", 80)
            assert served.service.scheduler.max_ts.newest == 80
            served.service.get_now(served.context(), b"a", MAX_TIMESTAMP)
            assert served.service.scheduler.max_ts.newest == 80

    asyncio.run(main())


def test_no_answer_in_the_wrong_place_or_when_the_store_stops() -> None:
    border = storage_key(b"m")

    async def main() -> None:
        async with serving("local", make_region(1, b"", border), make_region(2, border, b"")) as served:
            stale = served.context()
            stale.region_epoch.version += 1
            for context, key in ((stale, b"a"), (served.context(), b"x"), (served.context(2), b"a")):
                with pytest.raises(NotNow):
                    served.service.get_now(context, key, 10)
            with pytest.raises(NotNow):  # two regions hold it
                served.service.scan_now(served.context(), b"a", b"z", 10, 5)
            served.kv.stuck = True
            with pytest.raises(NotNow):  # the lease is over
                served.service.get_now(served.context(), b"a", 10)
            served.kv.stuck = False
            served.service.close()
            with pytest.raises(NotNow):
                served.service.get_now(served.context(), b"a", 10)

    asyncio.run(main())
