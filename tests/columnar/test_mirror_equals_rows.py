"""The mirror answers as the row path does, whatever was written and whichever columns, ranges and times are read."""

from hypothesis import given, settings
from hypothesis import strategies as st
from mirror_world import ALL_COLUMNS, WHOLE, MirrorWorld, row_key, rows_of

from rutile_kv.columnar.cache import ArrowCache
from rutile_kv.columnar.mirror import MirrorReader
from rutile_proto import metapb_pb2 as metapb
from rutile_proto.keys import storage_key

HANDLES = st.integers(-3, 6)
TIMES = st.integers(1, 60)
ROWS = st.none() | st.tuples(st.none() | st.text(max_size=6), st.none() | st.integers(0, 99))
COLUMNS = st.sampled_from([ALL_COLUMNS, ("legs",), ("name", "legs"), ("legs", "name")])


@st.composite
def ranges(draw: st.DrawFn) -> tuple[tuple[bytes, bytes], ...]:
    if draw(st.booleans()):
        return WHOLE
    cuts = sorted(draw(st.lists(HANDLES, min_size=2, max_size=4, unique=True)))
    return tuple((row_key(low), row_key(high)) for low, high in zip(cuts[::2], cuts[1::2], strict=False))


STEPS = st.lists(
    st.one_of(st.tuples(st.just("write"), HANDLES, ROWS), st.tuples(st.just("read"), TIMES, COLUMNS, ranges())),
    max_size=40,
)


@settings(max_examples=150, deadline=None)
@given(STEPS)
def test_same_rows_from_both_paths(steps: list[tuple[object, ...]]) -> None:
    world, mirror, twin = MirrorWorld(), MirrorReader(ArrowCache()), MirrorReader(None)
    clock = 1
    for step in steps:
        if step[0] == "write":
            clock += 2
            world.write(step[1], clock, step[2])
        else:
            _, ts, columns, spans = step
            assert rows_of(world.read(mirror, ts, columns, spans)) == rows_of(world.read(twin, ts, columns, spans))


def test_the_second_scan_decodes_nothing() -> None:
    world, reader = MirrorWorld(), MirrorReader(ArrowCache())
    for handle in range(5):
        world.write(handle, 10 + handle, (f"cat {handle}", 4))
    first, second = world.read(reader, 20), world.read(reader, 30)
    assert (first.path, first.rows_decoded) == ("rows", 5)
    assert (second.path, second.rows_decoded) == ("mirror", 0)
    assert rows_of(first) == rows_of(second)


def test_a_new_column_is_decoded_alone_and_kept() -> None:
    world, reader = MirrorWorld(), MirrorReader(ArrowCache())
    world.write(1, 10, ("cat", 4))
    world.read(reader, 20, ("legs",))
    assert world.read(reader, 20, ("name", "legs")).path == "rows"
    assert rows_of(world.read(reader, 20, ("name", "legs"))) == [("cat", 4)]
    assert world.read(reader, 20, ("legs", "name")).path == "mirror"


def test_a_read_in_the_past_of_a_base_uses_the_rows() -> None:
    world, reader = MirrorWorld(), MirrorReader(ArrowCache())
    world.write(1, 10, ("cat", 4))
    world.write(1, 20, ("bird", 2))
    world.read(reader, 30)
    old = world.read(reader, 15, ("name",))
    assert (old.path, rows_of(old)) == ("rows", [("cat",)])
    assert world.read(reader, 30).path == "mirror"


def test_a_delete_counts_for_the_age_of_a_base() -> None:
    world, reader = MirrorWorld(), MirrorReader(ArrowCache())
    world.write(1, 10, ("cat", 4))
    world.write(1, 20, None)
    assert rows_of(world.read(reader, 30)) == []
    assert rows_of(world.read(reader, 15, ("name",))) == [("cat",)]


def test_a_write_makes_the_base_useless() -> None:
    world, reader = MirrorWorld(), MirrorReader(ArrowCache())
    world.write(1, 10, ("cat", 4))
    world.read(reader, 20)
    world.write(1, 30, ("dog", 4))
    assert rows_of(world.read(reader, 25, ("name",))) == [("cat",)]
    assert rows_of(world.read(reader, 40, ("name",))) == [("dog",)]


def test_a_region_holds_only_its_part_of_the_table() -> None:
    world, reader = MirrorWorld(), MirrorReader(ArrowCache())
    for handle in range(4):
        world.write(handle, 10, (str(handle), 0))
    world.region = metapb.Region(
        id=3,
        start_key=storage_key(row_key(1)),
        end_key=storage_key(row_key(3)),
        region_epoch=metapb.RegionEpoch(conf_ver=1, version=2),
    )
    inside = ((row_key(1), row_key(3)),)
    assert world.read(reader, 20, ("name",), inside).path == "rows"
    again = world.read(reader, 20, ("name",), inside)
    assert (again.path, rows_of(again)) == ("mirror", [("1",), ("2",)])
