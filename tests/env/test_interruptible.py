"""Work in a thread has ended when the wait for it has, however that ends."""

from __future__ import annotations

import asyncio
import threading

import pytest

from rutile_kv.env.interruptible import interruptible


def test_a_wait_that_is_cancelled_ends_with_its_work() -> None:
    async def run() -> None:
        started, interrupted, let_go, ended = (threading.Event() for _ in range(4))

        def work() -> None:
            started.set()
            interrupted.wait()
            let_go.wait()
            ended.set()

        running = asyncio.get_running_loop().run_in_executor(None, work)
        waiting = asyncio.create_task(interruptible(running, interrupted.set))
        await asyncio.to_thread(started.wait)
        for _ in range(2):  # the second while it waits for the work to end
            waiting.cancel()
            await asyncio.to_thread(interrupted.wait)
            assert not waiting.done()
        let_go.set()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert ended.is_set()

    asyncio.run(run())


def test_what_the_work_returns_or_raises() -> None:
    async def run() -> None:
        loop = asyncio.get_running_loop()
        assert await interruptible(loop.run_in_executor(None, lambda: 7), lambda: None) == 7
        with pytest.raises(ZeroDivisionError):
            await interruptible(loop.run_in_executor(None, lambda: 1 // 0), lambda: None)

    asyncio.run(run())
