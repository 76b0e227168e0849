"""Random raw operations against dicts: over both wires, over several regions, with a calendar that is moved by hand."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from raw_world import WIRES, World, world

from rutile_kv.client.raw import RawClient
from rutile_kv.raw.checksum import crc64
from rutile_proto.codec import encode_bytes

BORDERS = (b"b", b"c", b"long key 1")
"""Regions begin at their encodings."""
KEYS = (b"", b"\0", b"a", b"b", b"b\0", encode_bytes(b"b"), encode_bytes(b"b") + b"\0", b"bb", b"c", b"c\0\0\0\0\0\0\0")
LATER_KEYS = (encode_bytes(b"c"), b"d", b"long key 0", b"long key 1", encode_bytes(b"long key 1"), b"z", b"\xff" * 40)

key = st.sampled_from(KEYS + LATER_KEYS)
value = st.sampled_from((b"", b"1", b"2", b"\0", b"\x01" * 9))
maybe = st.one_of(st.none(), value)
ttl = st.sampled_from((0, 0, 1, 2, 3))
limit = st.sampled_from((None, 0, 1, 3, 100))
cf = st.sampled_from(("default", "default", "lock", "write"))
pairs = st.dictionaries(key, value, max_size=6)
bounds = st.tuples(key, key)

operation = st.one_of(
    st.tuples(st.just("put"), cf, key, value, ttl),
    st.tuples(st.just("batch_put"), cf, pairs, ttl),
    st.tuples(st.just("delete"), cf, key),
    st.tuples(st.just("batch_delete"), cf, st.lists(key, max_size=5)),
    st.tuples(st.just("delete_range"), cf, key, key),
    st.tuples(st.just("compare_and_swap"), cf, key, maybe, maybe, ttl),
    st.tuples(st.just("get"), cf, key),
    st.tuples(st.just("get_key_ttl"), cf, key),
    st.tuples(st.just("batch_get"), cf, st.lists(key, max_size=8)),
    st.tuples(st.just("scan"), cf, key, key, limit, st.booleans(), st.booleans()),
    st.tuples(st.just("batch_scan"), cf, st.lists(bounds, max_size=3), st.sampled_from((0, 1, 3)), st.booleans()),
    st.tuples(st.just("checksum"), st.just("default"), key, key),
    st.tuples(st.just("later"), st.just("default"), st.integers(1, 2)),
    st.tuples(st.just("later"), st.just("write"), st.integers(1, 2)),
)


class Twin:
    """The same operations on a dict a family: key to (value, second of its end or 0)."""

    def __init__(self, now_s: int) -> None:
        self.now_s = now_s
        self.families: dict[str, dict[bytes, tuple[bytes, int]]] = {"default": {}, "lock": {}, "write": {}}

    def live(self, cf: str) -> dict[bytes, bytes]:
        held = self.families[cf].items()
        return {key: value for key, (value, end_s) in sorted(held) if not 0 < end_s <= self.now_s}

    def put(self, cf: str, key: bytes, value: bytes, ttl_s: int) -> None:
        self.families[cf][key] = (value, self.now_s + ttl_s if ttl_s else 0)

    def batch_put(self, cf: str, pairs: dict[bytes, bytes], ttl_s: int) -> None:
        for key, value in pairs.items():
            self.put(cf, key, value, ttl_s)

    def delete(self, cf: str, key: bytes) -> None:
        self.families[cf].pop(key, None)

    def batch_delete(self, cf: str, keys: list[bytes]) -> None:
        for key in keys:
            self.delete(cf, key)

    def delete_range(self, cf: str, start: bytes, end: bytes) -> None:
        self.batch_delete(cf, [key for key, _ in self.scan(cf, start, end, None, False, False)])

    def compare_and_swap(
        self, cf: str, key: bytes, expected: bytes | None, value: bytes | None, ttl_s: int
    ) -> tuple[bool, bytes | None]:
        previous = self.get(cf, key)
        if previous == expected:
            if value is None:
                self.delete(cf, key)
            else:
                self.put(cf, key, value, ttl_s)
        return previous == expected, previous

    def get(self, cf: str, key: bytes) -> bytes | None:
        return self.live(cf).get(key)

    def get_key_ttl(self, cf: str, key: bytes) -> int | None:
        if self.get(cf, key) is None:
            return None
        end_s = self.families[cf][key][1]
        return end_s - self.now_s if end_s else 0

    def batch_get(self, cf: str, keys: list[bytes]) -> dict[bytes, bytes]:
        return {key: value for key, value in self.live(cf).items() if key in keys}

    def scan(
        self, cf: str, start: bytes, end: bytes, limit: int | None, reverse: bool, key_only: bool
    ) -> list[tuple[bytes, bytes]]:
        rows = [(k, b"" if key_only else v) for k, v in self.live(cf).items() if start <= k and (not end or k < end)]
        return (rows[::-1] if reverse else rows)[:limit]

    def batch_scan(
        self, cf: str, ranges: list[tuple[bytes, bytes]], limit: int, reverse: bool
    ) -> list[list[tuple[bytes, bytes]]]:
        return [self.scan(cf, start, end, limit, reverse, False) for start, end in ranges]

    def checksum(self, cf: str, start: bytes, end: bytes) -> tuple[int, int, int]:
        rows = self.scan(cf, start, end, None, False, False)
        total = 0
        for key, value in rows:
            total ^= crc64(key + value)
        return total, len(rows), sum(len(key) + len(value) for key, value in rows)


async def perform(raw: RawClient, verb: str, args: tuple[Any, ...]) -> Any:
    """The operation for real, its answer in the twin's form."""
    match verb:
        case "scan":
            start, end, limit, reverse, key_only = args
            return await raw.scan(start, end, limit, reverse=reverse, key_only=key_only)
        case "batch_scan":
            ranges, limit, reverse = args
            return await raw.batch_scan(ranges, limit, reverse=reverse)
        case "checksum":
            found = await raw.checksum(*args)
            return found.checksum, found.total_kvs, found.total_bytes
        case _:
            return await getattr(raw, verb)(*args)


async def compare(place: World, operations: list[tuple[Any, ...]]) -> None:
    twin = Twin(place.clock.now_s)
    for name in twin.families:
        await place.client.raw.with_cf(name).delete_range(b"", b"")
    for verb, name, *args in operations:
        if verb == "later":
            place.clock.now_s += args[0]
            twin.now_s += args[0]
            verb, args = "scan", [b"", b"", None, False, False]
        expected = getattr(twin, verb)(name, *args)
        assert await perform(place.client.raw.with_cf(name), verb, tuple(args)) == expected, (verb, name, args)
    for name in twin.families:
        assert dict(await place.client.raw.with_cf(name).scan()) == twin.live(name)


@pytest.fixture(scope="module", params=WIRES)
def place(request: pytest.FixtureRequest) -> Iterator[tuple[asyncio.Runner, World]]:
    with asyncio.Runner() as runner:
        opened = world(request.param)
        made = runner.run(opened.__aenter__())
        runner.run(made.client.split_regions(BORDERS))
        yield runner, made
        runner.run(opened.__aexit__(None, None, None))


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(operations=st.lists(operation, max_size=25))
def test_raw_operations_equal_a_dict(place: tuple[asyncio.Runner, World], operations: list[tuple[Any, ...]]) -> None:
    runner, made = place
    runner.run(compare(made, operations))
