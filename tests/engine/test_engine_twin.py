"""Engines against a plain dict per family, under random operations and snapshots."""

import tempfile
from typing import TypeAlias

from hypothesis import given, settings
from hypothesis import strategies as st

from rutile_kv.engine.api import Cf, Engine, Snapshot
from rutile_kv.engine.memory import MemoryEngine
from rutile_kv.engine.rocks import RocksEngine

Twin: TypeAlias = dict[Cf, dict[bytes, bytes]]

CFS: tuple[Cf, ...] = ("default", "write")
KEYS = st.binary(max_size=2)
FAMILY = st.sampled_from(CFS)
CHANGE = st.one_of(
    st.tuples(st.just("put"), FAMILY, KEYS, KEYS),
    st.tuples(st.just("delete"), FAMILY, KEYS, st.just(b"")),
    st.tuples(st.just("delete_range"), FAMILY, KEYS, KEYS),
)
STEP = st.one_of(
    st.tuples(st.just("write"), st.lists(CHANGE, max_size=6)),
    st.tuples(st.just("snapshot"), st.just([])),
    st.tuples(st.just("forget"), st.just([])),
)


def apply(engine: Engine, twin: Twin, changes: list[tuple[str, Cf, bytes, bytes]]) -> None:
    batch = engine.batch()
    for verb, cf, key, other in changes:
        family = twin[cf]
        if verb == "put":
            batch.put(cf, key, other)
            family[key] = other
        elif verb == "delete":
            batch.delete(cf, key)
            family.pop(key, None)
        else:
            batch.delete_range(cf, key, other)
            twin[cf] = {k: v for k, v in family.items() if not key <= k < other}
    engine.write(batch)


def check(reader: Engine | Snapshot, twin: Twin) -> None:
    for cf in CFS:
        ordered = sorted(twin[cf].items())
        assert list(reader.scan(cf, b"", None)) == ordered
        assert list(reader.scan(cf, b"", None, reverse=True)) == ordered[::-1]
        middle = [(key, value) for key, value in ordered if b"\x10" <= key < b"\x80"]
        assert list(reader.scan(cf, b"\x10", b"\x80")) == middle
        assert all(reader.get(cf, key) == value for key, value in ordered)


def run(engine: Engine, steps: list[tuple[str, list[tuple[str, Cf, bytes, bytes]]]]) -> None:
    twin: Twin = {cf: {} for cf in CFS}
    open_snapshots: list[tuple[Snapshot, Twin]] = []
    for verb, changes in steps:
        if verb == "write":
            apply(engine, twin, changes)
        elif verb == "snapshot":
            open_snapshots.append((engine.snapshot(), {cf: dict(twin[cf]) for cf in CFS}))
        elif open_snapshots:
            open_snapshots.pop(len(open_snapshots) // 2)[0].close()
        check(engine, twin)
        for snapshot, then in open_snapshots:
            check(snapshot, then)


@settings(max_examples=60, deadline=None)
@given(st.lists(STEP, max_size=12))
def test_memory_engine_equals_a_dict(steps: list[tuple[str, list[tuple[str, Cf, bytes, bytes]]]]) -> None:
    engine = MemoryEngine()
    run(engine, steps)
    engine.write(engine.batch())
    for cf in CFS:  # with no reader left, nothing but the newest versions remains
        family = engine._families[cf]
        assert family.keys == sorted(family.versions)
        assert all(older is None for _, _, older in family.versions.values())


@settings(max_examples=25, deadline=None)
@given(st.lists(STEP, max_size=12))
def test_rocks_engine_equals_a_dict(steps: list[tuple[str, list[tuple[str, Cf, bytes, bytes]]]]) -> None:
    with tempfile.TemporaryDirectory() as directory:
        engine = RocksEngine.open(directory)
        run(engine, steps)
        engine.close()
