"""Bases on disk: what comes back after a restart, and what is thrown away instead of being believed."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from mirror_world import WHOLE, row_key, rows_of, saved

from rutile_kv.columnar.files import MirrorFiles

ROWS = [(f"cat {handle}",) for handle in range(20)]


def test_a_saved_base_takes_no_memory_and_outlives_a_restart(tmp_path: Path) -> None:
    world, reader = saved(tmp_path)
    assert world.cache.size_bytes == 0
    assert world.restart(tmp_path) == 1
    read = world.read(reader, 20, ("name",))
    assert (read.path, rows_of(read)) == ("mirror", ROWS)


def test_what_was_written_since_comes_from_the_log(tmp_path: Path) -> None:
    world, reader = saved(tmp_path)
    world.write(3, 30, ("dog", 4))
    world.write(19, 31, None)
    assert world.restart(tmp_path) == 1
    read = world.read(reader, 40, ("name",))
    assert (read.path, rows_of(read)) == ("mirror+delta", [*ROWS[:3], ("dog",), *ROWS[4:19]])


def test_a_part_of_a_region_is_found_by_its_keys(tmp_path: Path) -> None:
    world, reader = saved(tmp_path)
    world.restart(tmp_path)
    part = ((row_key(5), row_key(7)),)
    assert world.read(reader, 20, ("name",), part).path == "rows", "nobody waits for a file to be checked for two rows"
    assert world.wake() == 1
    read = world.read(reader, 20, ("name",), part)
    assert (read.path, rows_of(read)) == ("mirror", ROWS[5:7])


def test_a_base_of_another_range_or_of_the_future_is_not_taken_up(tmp_path: Path) -> None:
    world, _ = saved(tmp_path)
    world.split(10)
    assert (world.restart(tmp_path), list(tmp_path.iterdir())) == (0, [])
    world, _ = saved(tmp_path)
    world.indexes[3] -= 1
    assert (world.restart(tmp_path), list(tmp_path.iterdir())) == (0, [])


def test_a_split_base_is_written_for_both_parts(tmp_path: Path) -> None:
    world, reader = saved(tmp_path)
    world.split(10)
    files = MirrorFiles(tmp_path, 1 << 20)
    world.save(files)
    assert world.restart(tmp_path) == 2
    assert rows_of(world.read(reader, 20, ("name",))) == ROWS
    assert files.over_budget() == []


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-10])


def _flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def _age(path: Path) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), "format": 0}))


@pytest.mark.parametrize("part", ["arrow", "json"])
@pytest.mark.parametrize("harm", [_cut, _flip, Path.unlink, _age])
def test_a_damaged_file_is_removed_and_the_rows_answer(tmp_path: Path, part: str, harm: Callable[[Path], None]) -> None:
    if (part, harm) == ("arrow", _age) or (part, harm) == ("json", _flip):
        pytest.skip("not a harm of this part")
    world, reader = saved(tmp_path)
    (path,) = tmp_path.glob(f"*.{part}")
    harm(path)
    world.restart(tmp_path)
    assert (world.wake(), list(tmp_path.iterdir())) == (0, [])
    read = world.read(reader, 20, ("name",), WHOLE)
    assert (read.path, rows_of(read)) == ("rows", ROWS)


def test_leftovers_are_removed_and_a_newer_base_replaces_an_older_one(tmp_path: Path) -> None:
    world, reader = saved(tmp_path)
    (tmp_path / "3-7-9.writing").write_bytes(b"half")
    files = MirrorFiles(tmp_path, 1 << 20)
    ((key, index),) = files.load().items()
    assert len(list(tmp_path.iterdir())) == 3
    world.write(3, 30, ("dog", 4))
    assert world.fold(reader) == [True]
    world.save(files)
    assert len(list(tmp_path.iterdir())) == 3
    assert world.restart(tmp_path) == 1
    assert rows_of(world.read(reader, 40, ("name",)))[3] == ("dog",)
    assert (key.region_id, index) == (3, world.indexes[3] - 1)


def test_a_replaced_region_loses_its_files_at_once(tmp_path: Path) -> None:
    saved(tmp_path)
    files = MirrorFiles(tmp_path, 1 << 20)
    files.load()
    files.forget_region(3)
    assert list(tmp_path.iterdir()) == []


def test_the_disk_has_a_budget(tmp_path: Path) -> None:
    world, _ = saved(tmp_path)
    ((key, generations),) = world.cache._held.bases.items()
    assert MirrorFiles(tmp_path / "small", 10).save(key, generations[0]) is None
    files = MirrorFiles(tmp_path, 100)
    files.load()
    assert files.over_budget() == [key]
