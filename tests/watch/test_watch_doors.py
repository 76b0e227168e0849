"""The other ways in: over gRPC, from plain threads, and the example."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from pathlib import Path

from raw_world import world
from watch_cluster import gathering, put, told

from rutile_kv.client.sync import SyncClient
from rutile_kv.client.watch import Change
from rutile_kv.client.watch_raw import RawChange

ROOT = Path(__file__).parents[2]


def test_over_grpc_and_from_threads() -> None:
    async def main() -> None:
        async with world("grpc") as cluster:
            client = cluster.client
            start_ts = await client.timestamp()
            expected = await put(client, {b"a": b"1", b"b": b"v" * 1000})
            await client.raw.put(b"r", b"1")
            address = cluster.pd.address
            async with gathering(client.watch(from_ts=start_ts, progress=True)) as seen:
                threads = asyncio.get_running_loop().run_in_executor(None, _from_a_thread, address, start_ts)
                await client.split_regions([b"b"])
                expected += await put(client, {b"a": b"2"})
                await seen.reaches(await client.timestamp())
                assert sorted(told(seen.changes)) == sorted(expected)
                await threads

    asyncio.run(asyncio.wait_for(main(), 60))


def _from_a_thread(address: str, start_ts: int) -> None:
    with SyncClient.connect([address]) as client:
        with client.watch(b"a", b"b", from_ts=start_ts) as watched:
            assert next(watched).value == b"1"
            change: Change = next(watched)
            assert (change.key, change.value) == (b"a", b"2")
        assert list(watched) == []
        with client.raw.watch(with_state=True) as raw:
            first = next(item for item in raw if isinstance(item, RawChange))
            assert (first.key, first.value, first.is_state) == (b"r", b"1", True)
    assert "rutile client" not in [thread.name for thread in threading.enumerate()]


def test_the_example_runs() -> None:
    environment = {**os.environ, "PYTHONWARNINGS": "error"}
    run = subprocess.run(
        [sys.executable, "examples/watch.py"], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout.splitlines() == [
        "stock/apple = 10",
        "stock/apple = 9",
        "stock/pear = 3",
        "stock/apple is gone",
    ]
