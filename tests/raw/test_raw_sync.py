"""The raw client without await, against a cluster in another thread."""

import asyncio
import threading

from raw_world import world

from rutile_kv.client.raw import RangeChecksum
from rutile_kv.client.sync import SyncClient


def use(address: str) -> None:
    with SyncClient.connect([address]) as client:
        raw = client.raw
        raw.put(b"a", b"1", ttl_s=60)
        raw.batch_put({b"b": b"2", b"c": b"3", b"d": b"4"})
        assert (raw.get(b"a"), raw.get(b"x")) == (b"1", None)
        assert raw.get_key_ttl(b"a") == 60
        assert raw.batch_get([b"c", b"b", b"x"]) == {b"b": b"2", b"c": b"3"}
        assert raw.compare_and_swap(b"a", b"1", None) == (True, b"1")
        assert raw.compare_and_swap(b"a", b"1", b"2", ttl_s=9) == (False, None)
        assert raw.scan(b"b", b"d", reverse=True) == [(b"c", b"3"), (b"b", b"2")]
        assert list(raw.iterate(limit=2, key_only=True)) == [(b"b", b""), (b"c", b"")]
        assert raw.batch_scan([(b"b", b"c"), (b"d", b"")], 5) == [[(b"b", b"2")], [(b"d", b"4")]]
        assert raw.checksum().total_kvs == 3
        raw.with_cf("lock").put(b"b", b"locked")
        raw.delete(b"b")
        raw.batch_delete([b"c"])
        raw.delete_range(b"d", b"")
        assert raw.checksum() == RangeChecksum(0, 0, 0)
        assert raw.with_cf("lock").scan() == [(b"b", b"locked")]


def test_every_method() -> None:
    async def main() -> None:
        async with world("grpc") as place:
            await asyncio.to_thread(use, place.pd.address)

    asyncio.run(main())
    assert not [thread for thread in threading.enumerate() if thread.name == "rutile client"]
