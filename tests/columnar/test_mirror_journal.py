"""Journals: what a base's file is carried on with when the Raft log does not reach back to it."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mirror_world import SCHEMA, rows_of, saved

from rutile_kv.columnar import journal as journals_of_one
from rutile_kv.columnar.delta import Entries, table_stem
from rutile_kv.columnar.journal import LONG_ENTRIES, Journal, read_journal
from rutile_kv.columnar.journals import Journals
from rutile_kv.columnar.keys import BaseKey
from rutile_kv.columnar.mirror import MirrorReader
from rutile_kv.engine.api import CF_LOCK, CF_WRITE, CF_WRITE_FILE
from rutile_kv.engine.rocks_table_files import make_table_file

KEY = BaseKey(3, 1, SCHEMA.table_id, SCHEMA.layout_version)
STEM = table_stem(SCHEMA.table_id)
RECORDS = st.lists(st.tuples(st.binary(max_size=40), st.binary(max_size=300)), max_size=3)


def listed(entries: Entries) -> list[tuple[int, bytes, bytes]]:
    return list(zip(entries.indexes, entries.versions, entries.records, strict=True))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(RECORDS, st.booleans()), max_size=12), st.integers(0, 400), st.integers(0, 12))
def test_what_is_read_is_what_was_noted_up_to_a_frame(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[list[tuple[bytes, bytes]], bool]], torn: int, lost: int
) -> None:
    """Torn at any byte, and gone on with after the engine lost its last `lost` entries."""
    path, noted = tmp_path_factory.mktemp("journal") / "a.journal", []
    journal = Journal(path, 100)
    for index, (records, is_cut) in enumerate(steps, start=101):
        for version, record in records:
            journal.note(index, version, record)
            noted.append((index, version, record))
        if is_cut:
            journal.write(index)
    path.write_bytes(path.read_bytes()[: max(0, path.stat().st_size - torn)])
    applied = 100 + len(steps) - min(lost, len(steps))
    read = read_journal(path, 100)
    read.cut(applied)
    assert read.upto <= applied
    assert listed(read.entries) == [each for each in noted if each[0] <= read.upto]
    again = Journal(path, read.upto, size_bytes=read.size_bytes, entries=len(read.entries))
    rest = [each for each in noted if each[0] > read.upto]
    for entry in rest:
        again.note(*entry)
    again.write(100 + len(steps))
    assert listed(read_journal(path, 100).entries) == noted


def test_a_journal_of_another_base_tells_nothing(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "a", 100)
    journal.note(101, b"key", b"record")
    journal.write(101)
    assert read_journal(tmp_path / "a", 90).upto == 90, "what came between is missing"
    assert read_journal(tmp_path / "none", 90).upto == 90


def test_a_journal_is_long_by_its_records_or_beside_a_small_base(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "a", 100)
    journal.note(101, b"k" * 20, b"r" * 80)
    journal.write(101)
    assert (journal.is_long(10_000), journal.is_long(100)) == (False, True)
    assert Journal(tmp_path / "a", 101, size_bytes=0, entries=LONG_ENTRIES + 1).is_long(1 << 40)


def noting(directory: Path) -> tuple[Journals, Path]:
    journals, path = Journals(), directory / "a.journal"
    journals.keep(KEY, Journal(path, 100))
    return journals, path


def test_only_the_committed_rows_of_the_table_are_noted(tmp_path: Path) -> None:
    journals, path = noting(tmp_path)
    other = table_stem(SCHEMA.table_id + 1)
    changes = [(CF_WRITE, STEM + b"1", b"row"), (CF_WRITE, other + b"1", b"row"), (CF_LOCK, STEM + b"1", b"lock")]
    journals.applied(3, 101, [*changes, (CF_WRITE, STEM + b"0", None)])
    journals.applied(4, 101, [(CF_WRITE, STEM + b"2", b"row")])
    journals.write(3, 105)
    read = read_journal(path, 100)
    assert (read.upto, listed(read.entries)) == (105, [(101, STEM + b"1", b"row")])


def test_what_waits_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journals_of_one, "MAX_PENDING", 10)
    journals, path = noting(tmp_path)
    for index in range(101, 126):
        journals.applied(3, index, [(CF_WRITE, STEM + b"%d" % index, b"row")])
    assert read_journal(path, 100).upto == 120


def test_a_table_file_ends_the_journals_of_its_tables(tmp_path: Path) -> None:
    journals, path = noting(tmp_path)
    table = make_table_file([STEM + b"1"], [b"row"])
    journals.applied(3, 101, [(CF_WRITE_FILE, table.first_key, table.to_bytes())])
    journals.write(3, 110)
    assert (journals.get(KEY), read_journal(path, 100).upto) == (None, 100)


def test_a_journal_that_cannot_be_written_ends(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    journals, path = noting(tmp_path)
    path.unlink()
    journals.write(3, 110)
    assert (journals.get(KEY), caplog.messages) == (None, []), "its base was replaced"
    journals.keep(KEY, Journal(path, 100))
    path.unlink()
    path.mkdir()
    journals.write(3, 110)
    assert journals.get(KEY) is None
    assert "carried on by the log alone" in caplog.text


def test_a_file_outlives_the_log_it_was_made_with(tmp_path: Path) -> None:
    world, reader = saved(tmp_path)
    for at in range(50):
        world.write(at % 20, 30 + at, (f"dog {at}", at))
        world.cut_logs(kept=1)
    assert world.restart(tmp_path) == 1
    world.write(3, 90, None)
    world.cut_logs(kept=0)
    assert world.restart(tmp_path) == 1
    read, twin = world.read(reader, 100), world.read(MirrorReader(None), 100)
    assert (read.path, rows_of(read)) == ("mirror+delta", rows_of(twin))


def test_without_its_journal_a_file_is_older_than_the_log(tmp_path: Path) -> None:
    world, reader = saved(tmp_path)
    world.write(3, 30, ("dog", 4))
    world.cut_logs(kept=0)
    (path,) = tmp_path.glob("*.journal")
    path.unlink()
    assert world.restart(tmp_path) == 0
    assert list(tmp_path.iterdir()) == []
    assert rows_of(world.read(reader, 40, ("name",)))[3] == ("dog",)
