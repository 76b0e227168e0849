"""Where syncs happen: on the spot only for a lone round on a quick disk."""

import asyncio
import threading

import pytest

from rutile_kv.engine.memory import MemoryEngine
from rutile_kv.raftstore.driver_sync import Sync
from rutile_proto.errors import StorageError

QUICK_SECONDS = 0.001


class Disk(MemoryEngine):
    """Takes its time, by its own clock, and notes which thread it was synced in. Also the clock."""

    def __init__(self) -> None:
        super().__init__()
        self.sync_seconds = 0.0
        self.threads: list[bool] = []
        self.now = 0.0

    def sync(self) -> None:
        self.threads.append(threading.current_thread() is threading.main_thread())
        if self.sync_seconds < 0:
            raise StorageError("the disk is gone")
        self.now += self.sync_seconds

    def monotonic(self) -> float:
        return self.now

    def wall_ms(self) -> int:
        return 0


def syncs(disk: Disk, *rounds: tuple[bool, float]) -> list[bool]:
    """For each (alone, seconds it takes): whether it was done on the spot."""

    async def main() -> None:
        sync = Sync(disk, disk, QUICK_SECONDS)
        sync._in_memory = False
        try:
            for alone, seconds in rounds:
                disk.sync_seconds = seconds
                await sync.run(alone=alone)
        finally:
            sync.close()

    asyncio.run(main())
    return disk.threads


def test_a_lone_round_on_a_quick_disk_is_synced_on_the_spot() -> None:
    quick = QUICK_SECONDS / 2
    assert syncs(Disk(), (True, quick), (True, quick), (False, quick), (True, quick)) == [False, True, False, True]


def test_a_disk_that_becomes_slow_is_left_to_the_thread_until_it_is_quick_again() -> None:
    slow, quick = [(True, QUICK_SECONDS * 30)], [(True, 0.0)]
    assert syncs(Disk(), *quick * 2, *slow, *quick) == [False, True, True, False]
    assert syncs(Disk(), *slow, *quick * 60)[-1]


@pytest.mark.parametrize("before", [0, 1])
def test_a_failure_reaches_the_caller_wherever_it_happens(before: int) -> None:
    disk = Disk()
    with pytest.raises(StorageError):
        syncs(disk, *[(True, 0.0)] * before, (True, -1.0))
    assert disk.threads == [False, True][: before + 1]


def test_no_disk_is_quick_enough_for_nought() -> None:
    async def main() -> None:
        disk = Disk()
        sync = Sync(disk, disk, 0.0)
        sync._in_memory = False
        for _ in range(3):
            await sync.run(alone=True)
        sync.close()
        assert disk.threads == [False] * 3

    asyncio.run(main())
