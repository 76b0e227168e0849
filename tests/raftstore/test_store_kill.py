"""A real process on a real disk, killed with -9 in the middle of its writes."""

import asyncio
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

from rutile_kv.engine.rocks import RocksEngine
from rutile_kv.env.clock import SystemClock
from rutile_kv.raftstore.bootstrap import bootstrap_first_region, bootstrap_store, first_region, load_ident
from rutile_kv.raftstore.config import StoreConfig
from rutile_kv.raftstore.driver import StoreDriver
from rutile_kv.raftstore.store import Store
from rutile_proto import kvrpcpb_pb2 as kvrpcpb
from rutile_proto.errors import EpochNotMatch, NotLeader

CLIENTS = 4


class Alone:
    """Transport and PD of a store without company."""

    def send(self, messages):
        assert not messages, "there is nobody to talk to"

    async def send_snapshot(self, message, chunks):
        raise AssertionError("there is nobody to talk to")

    def region_heartbeat(self, request):
        return

    def regions_split(self, regions):
        return

    async def region_by_id(self, region_id):
        return None

    async def ask_split(self, region, count):
        return [(100, [101])]


async def leading(directory):
    """(engine, driver) of the store in `directory`, leading its regions."""
    engine = RocksEngine.open(directory)
    if load_ident(engine) is None:
        bootstrap_store(engine, 1, 1)
        bootstrap_first_region(engine, first_region(1, 2, 1))
    store = Store(1, engine, StoreConfig(log_gap_entries=16), random.Random(1))
    driver = StoreDriver(store, engine, Alone(), Alone(), SystemClock(), tick_seconds=0.01)
    await driver.start()
    while not all(info.is_leader for info in driver.region_infos()):
        await asyncio.sleep(0.005)
    return engine, driver


def context(driver, key):
    region = driver.store.find_region(key)
    info = driver.store.region_info(region.id)
    return kvrpcpb.Context(region_id=region.id, region_epoch=region.region_epoch, peer=info.peer)


async def write_until_killed(directory):
    """Print each number once its write is acknowledged; split on the way."""
    _, driver = await leading(directory)

    async def client(number):
        turn = 0
        while True:
            key = b"%d-%06d" % (number, turn)
            try:
                await driver.write(context(driver, key), [("default", key, b"v"), ("write", key, b"w" * 50)])
            except (EpochNotMatch, NotLeader):
                await asyncio.sleep(0)
                continue
            print(key.decode(), flush=True)
            turn += 1

    clients = [asyncio.create_task(client(number)) for number in range(CLIENTS)]
    if len(driver.region_infos()) == 1:
        await driver.split(context(driver, b"2"), [b"2"])
    await asyncio.gather(*clients)


def acknowledged_before_the_kill(directory, lines):
    process = subprocess.Popen(
        [sys.executable, __file__, str(directory)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    seen = [process.stdout.readline().strip() for _ in range(lines)]
    os.kill(process.pid, signal.SIGKILL)
    rest, errors = process.communicate()
    assert all(seen), errors
    return [*seen, *(line for line in rest.split("\n")[:-1] if line)]


def test_acknowledged_writes_survive_kill_9(tmp_path):
    directory = tmp_path / "store"
    for lines in (400, 2000):
        expected = acknowledged_before_the_kill(directory, lines)

        async def check(expected=expected):
            engine, driver = await leading(directory)
            for key in expected:
                view = await driver.read_view(context(driver, key.encode()))
                assert (view.get("default", key.encode()), view.get("write", key.encode())) == (b"v", b"w" * 50)
            assert len(driver.region_infos()) == 2
            await driver.stop()
            engine.close()

        asyncio.run(check())


if __name__ == "__main__":
    asyncio.run(write_until_killed(Path(sys.argv[1])))
