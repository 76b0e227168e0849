"""The small parts: running side by side, back-off, ranges, background work, the buffer."""

import asyncio
import itertools
import logging
from collections.abc import AsyncGenerator

import pytest
from client_fakes import FakeTime
from hypothesis import given
from hypothesis import strategies as st

from rutile_kv.client.background import Background
from rutile_kv.client.backoff import LEADER_MOVED, STORE_BROKE, STORE_BUSY, Backoff
from rutile_kv.client.heartbeat import lock_ttl_ms
from rutile_kv.client.key_ranges import clip, is_empty, lesser_end, union
from rutile_kv.client.membuffer import ENTRY_OVERHEAD_BYTES, Change, MemBuffer
from rutile_kv.client.parallel import interleave, run_bounded
from rutile_proto.errors import AlreadyExist, RetriesExhausted


def test_run_bounded_keeps_order_and_bound() -> None:
    running, most = 0, 0

    async def job(n: int) -> int:
        nonlocal running, most
        running += 1
        most = max(most, running)
        for _ in range(n % 3):
            await asyncio.sleep(0)
        running -= 1
        return n

    async def main() -> None:
        assert await run_bounded([lambda n=n: job(n) for n in range(20)], 4) == list(range(20))
        assert most == 4
        assert await run_bounded([lambda: job(7)], 4) == [7]
        assert await run_bounded([], 4) == []

    asyncio.run(main())


def test_the_first_failure_cancels_the_rest_before_it_is_raised() -> None:
    async def main() -> None:
        ended: list[str] = []

        async def fail() -> None:
            await asyncio.sleep(0)
            raise ValueError("first")

        async def wait() -> None:
            try:
                await asyncio.Event().wait()
            finally:
                ended.append("cancelled")

        async def never() -> None:
            ended.append("started")

        with pytest.raises(ValueError, match="first"):
            await run_bounded([wait, fail, never], 2)
        assert ended == ["cancelled"]

    asyncio.run(main())


def test_interleave_closes_its_streams_however_it_ends() -> None:
    async def main() -> None:
        closed: list[int] = []

        async def stream(n: int, fails: bool = False) -> AsyncGenerator[int, None]:
            try:
                for item in range(5):
                    yield n * 10 + item
                if fails:
                    raise ValueError("broken")
            finally:
                closed.append(n)

        assert sorted([item async for item in interleave([stream(1), stream(2)], 2)]) == [
            *range(10, 15),
            *range(20, 25),
        ]
        with pytest.raises(ValueError, match="broken"):
            async for _ in interleave([stream(3), stream(4, fails=True)], 2):
                pass
        merged = interleave([stream(5), stream(6)], 2)
        await anext(merged)
        await merged.aclose()
        assert sorted(closed) == [1, 2, 3, 4, 5, 6]

    asyncio.run(main())


def test_backoff_doubles_up_to_its_cap_and_ends_in_time() -> None:
    async def main() -> None:
        time = FakeTime()
        backoff = Backoff("thing", 10.0, time.pace)
        waits = []
        cause = ValueError("why")
        for _ in range(4):
            before = time.clock.monotonic()
            await backoff.wait(LEADER_MOVED, cause)
            waits.append(round((time.clock.monotonic() - before) * 1000, 3))
        assert waits == [0, 1.25, 2.5, 5]
        with pytest.raises(RetriesExhausted, match=r"thing: gave up after .* last: why") as caught:
            for _ in range(100):
                await backoff.wait(STORE_BUSY, cause, at_least_ms=1000)
        assert caught.value.cause is cause
        assert time.clock.monotonic() <= 10.0
        fresh = Backoff("other", 10.0, time.pace)
        with pytest.raises(RetriesExhausted):
            for _ in range(4):
                await fresh.wait(STORE_BROKE, cause)
        assert fresh.spent_ms < 1000
        branch = fresh.fork("branch")
        assert branch.remaining_s == pytest.approx(fresh.remaining_s)
        assert fresh.clip(100.0) == pytest.approx(fresh.remaining_s)
        time.advance(20)
        assert fresh.clip(100.0) == 0.05
        assert (fresh.remaining_s, branch.remaining_s, fresh.renewed().remaining_s) == (0, 0, 10)

    asyncio.run(main())


def test_background_reports_failures_and_ends_in_time(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        background = Background()

        async def fail() -> None:
            raise ValueError("unexpected")

        async def forever() -> None:
            try:
                await asyncio.Event().wait()
            finally:
                background.start(asyncio.sleep(60), "one more")

        background.start(fail(), "doomed")
        background.start(forever(), "endless")
        await background.close(0.02)
        assert len(background) == 0

    with caplog.at_level(logging.ERROR):
        asyncio.run(main())
    assert "doomed failed" in caplog.text


RANGES = st.lists(st.tuples(st.binary(max_size=1), st.binary(max_size=1)), max_size=6)


@given(ranges=RANGES, window=st.tuples(st.binary(max_size=1), st.binary(max_size=1)))
def test_range_arithmetic_equals_sets(ranges: list[tuple[bytes, bytes]], window: tuple[bytes, bytes]) -> None:
    def members(some: list[tuple[bytes, bytes]]) -> set[bytes]:
        every = [bytes([n]) for n in range(256)] + [b"", b"\xff\xff"]
        return {key for key in every for start, end in some if start <= key and (not end or key < end)}

    merged = union(ranges)
    assert members(merged) == members(ranges)
    assert all(a[1] and a[1] < b[0] for a, b in itertools.pairwise(merged))
    assert not any(is_empty(*each) for each in merged)
    if not is_empty(*window):
        assert members(clip(merged, *window)) == members(merged) & members([window])
    assert lesser_end(b"", b"a") == lesser_end(b"a", b"b") == b"a"
    assert lesser_end(b"", b"") == b""


FOLDS = {
    ("put", "insert"): None,
    ("put", "delete"): Change.DELETE,
    ("put", "lock"): Change.PUT,
    ("insert", "put"): Change.INSERT,
    ("insert", "insert"): None,
    ("insert", "delete"): Change.CHECK_NOT_EXISTS,
    ("insert", "lock"): Change.INSERT,
    ("delete", "put"): Change.PUT,
    ("delete", "insert"): Change.PUT,
    ("delete", "lock"): Change.DELETE,
    ("lock", "put"): Change.PUT,
    ("lock", "insert"): Change.INSERT,
    ("lock", "delete"): Change.DELETE,
}


@pytest.mark.parametrize(("first", "second"), FOLDS)
def test_changes_of_one_key_fold(first: str, second: str) -> None:
    buffer = MemBuffer(1000)

    def change(verb: str) -> None:
        getattr(buffer, verb)(*((b"k", b"v") if verb in ("put", "insert") else (b"k",)))

    change(first)
    if FOLDS[first, second] is None:
        with pytest.raises(AlreadyExist):
            change(second)
        return
    change(second)
    entry = buffer.get(b"k")
    assert entry is not None
    assert entry.change is FOLDS[first, second]


@given(
    steps=st.lists(
        st.tuples(st.sampled_from(["put", "delete", "save", "back", "keep", "read"]), st.integers(0, 99)), max_size=60
    )
)
def test_buffer_with_savepoints_equals_copied_dicts(steps: list[tuple[str, int]]) -> None:
    buffer, twin = MemBuffer(1 << 20), dict[bytes, bytes]()
    saved: list[tuple[int, dict[bytes, bytes]]] = []
    for verb, n in steps:
        key = b"%02d" % n
        if verb == "put":
            buffer.put(key, key * 2)
            twin[key] = key * 2
        elif verb == "delete":
            buffer.delete(key)
            twin[key] = b""
        elif verb == "save":
            saved.append((buffer.savepoint(), dict(twin)))
        elif saved and verb == "back":
            mark, twin = saved.pop()
            buffer.rollback_to(mark)
        elif saved and verb == "keep":
            buffer.release(saved.pop()[0])
        assert [(k, e.value) for k, e in buffer.items()] == sorted(twin.items())
    assert buffer.size_bytes == sum(len(k) + len(v) + ENTRY_OVERHEAD_BYTES for k, v in twin.items())
    assert [k for k, _ in buffer.items(b"20", b"60", reverse=True)] == sorted(
        (k for k in twin if b"20" <= k < b"60"), reverse=True
    )


def test_time_to_live_grows_with_the_root_of_the_size() -> None:
    assert lock_ttl_ms(0, 0) == 3000
    assert lock_ttl_ms(1 << 20, 0) == 9000
    assert lock_ttl_ms(1 << 20, 500) == 9500
    assert lock_ttl_ms(1 << 30, 0) == 20_000
