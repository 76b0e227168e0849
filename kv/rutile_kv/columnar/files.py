"""`MirrorFiles`: bases on disk, memory-mapped, so that their memory is page cache and a restart does not rebuild them.

    mirror/3-7-42-0-1188.arrow      Arrow IPC, uncompressed: the keys, then a field per column id, a batch per chunk
    mirror/3-7-42-0-1188.json       the manifest: which rows these are, the layout, zones, size and checksum
    mirror/3-7-42-0-1188.journal    what was committed to the table since (`journal`)

A file is written beside its place, synced and renamed, first the data and then the manifest; so a manifest stands for a
whole file, whatever crashed when. Whatever else lies there (half-written, damaged, of another format, without its other
half) is logged and removed: it can always be rebuilt from the rows.

Nothing is believed before its checksum is right, and no file is read through at the start: what an earlier process left
*sleeps*, known by its manifest, until somebody wants it (`wake`). So a store serves as soon as it would without files,
and the first query checks what it reads.

What a file is worth after a restart is not decided here: see `rutile_kv.server.mirror_restore`.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Collection
from pathlib import Path

import pyarrow as pa

from rutile_kv.columnar.base import KEYS_ID, Place, TableBase
from rutile_kv.columnar.base_file import measure, read_chunks, write_base
from rutile_kv.columnar.journal import Journal, JournalRead, read_journal
from rutile_kv.columnar.keys import BaseKey
from rutile_kv.columnar.manifest import Manifest
from rutile_kv.columnar.zones import Zone
from rutile_proto.errors import InvalidRequest

log = logging.getLogger(__name__)


def nothing(place: str) -> None:
    """What most processes do where others die."""


class MirrorFiles:
    """The files in one folder, which is theirs alone. One thread at a time saves; `wake` and `forget_region` may come
    from others."""

    def __init__(self, directory: Path, budget_bytes: int, pass_by: Callable[[str], None] = nothing) -> None:
        """`pass_by` hears of the places before and after each file that is written (`env.failpoints`)."""
        directory.mkdir(parents=True, exist_ok=True)
        self._directory = directory
        self._budget_bytes = budget_bytes
        self._pass_by = pass_by
        self._held: dict[BaseKey, Manifest] = {}
        """Least recently written first."""
        self._asleep: set[BaseKey] = set()
        """Those of an earlier process that nobody has looked at yet."""

    @property
    def size_bytes(self) -> int:
        return sum(manifest.size_bytes for manifest in list(self._held.values()))

    def save(self, key: BaseKey, base: TableBase) -> TableBase | None:
        """Write a base and return it as mapped from its file, which replaces the one held of `key`; None if it is
        larger than the budget. Raises OSError."""
        base = base.whole()
        if base.size_bytes > self._budget_bytes:
            return None
        written = self._directory / f"{key.region_id}-{key.table_id}-{base.index}.writing"
        self._pass_by("store.mirror_data.before")
        write_base(written, base)
        base.find_zones()
        known = {place: zone for place, zone in dict(base.zones).items() if zone is not None}
        manifest = Manifest(key, base.index, base.max_commit_ts, base.schema, *measure(written), known)
        self.remove(key)
        written.rename(self._data_path(manifest))
        self._pass_by("store.mirror_data.after")
        self._write_manifest(manifest)
        self._held[key] = manifest
        return self._open(manifest)

    def index_of(self, key: BaseKey) -> int | None:
        """The applied index of the base of `key` that is on disk, if there is one."""
        held = self._held.get(key)
        return None if held is None else held.index

    def keys(self) -> list[BaseKey]:
        """Of the bases on disk."""
        return list(self._held)

    def over_budget(self) -> list[BaseKey]:
        """The keys, least recently written first, whose files are more than the budget allows."""
        surplus, found = self.size_bytes - self._budget_bytes, []
        for key, manifest in list(self._held.items()):
            if surplus <= 0:
                break
            found.append(key)
            surplus -= manifest.size_bytes
        return found

    def load(self) -> dict[BaseKey, int]:
        """What an earlier process left, asleep from now on, and the applied index of each; what cannot be whole is
        removed."""
        for path in sorted(self._directory.glob("*.json")):
            manifest = self._read_manifest(path)
            if manifest is not None:
                self.remove(manifest.key)
                self._held[manifest.key] = manifest
                self._asleep.add(manifest.key)
        self._sweep()
        return {key: manifest.index for key, manifest in self._held.items()}

    @property
    def asleep(self) -> list[BaseKey]:
        """The largest last: whoever waits for one waits for no larger one before it."""
        return sorted(self._asleep, key=lambda key: self._held[key].size_bytes if key in self._held else 0)

    def wake(self, key: BaseKey, hold: Callable[[TableBase], object]) -> None:
        """Check the base of `key`, if it is asleep, and give it to `hold`. One that is damaged is removed, with a line
        in the log. One thread at a time for a key."""
        manifest = self._held.get(key)
        if manifest is None or key not in self._asleep:
            return
        try:
            if measure(self._data_path(manifest)) != (manifest.size_bytes, manifest.checksum):
                raise ValueError("its data does not have the checksum it was written with")
            hold(self._open(manifest))
        except (OSError, ValueError, pa.ArrowException) as error:
            log.warning("the mirror file %s is removed and will be rebuilt: %s", manifest.stem, error)
            self.remove(key)
        self._asleep.discard(key)

    def retain(self, keys: Collection[BaseKey]) -> None:
        """Remove the files of all other keys, but for those asleep."""
        for key in [each for each in list(self._held) if each not in keys and each not in self._asleep]:
            self.remove(key)

    def remove(self, key: BaseKey) -> None:
        self._asleep.discard(key)
        manifest = self._held.pop(key, None)
        if manifest is not None:
            for path in (self._manifest_path(manifest), self._data_path(manifest), self._journal_path(manifest)):
                path.unlink(missing_ok=True)

    def forget_region(self, region_id: int) -> None:
        """Its data was replaced: no file of it may be believed any more."""
        for key in [each for each in list(self._held) if each.region_id == region_id]:
            self.remove(key)

    # --- journals -----------------------------------------------------------------------------------------------------

    def begin_journal(self, key: BaseKey) -> Journal | None:
        """An empty one for the base of `key` as it was just saved; None if its file is gone. Raises OSError."""
        manifest = self._held.get(key)
        return None if manifest is None else Journal(self._journal_path(manifest), manifest.index)

    def read_journal(self, key: BaseKey) -> JournalRead:
        """What the journal of a base in the files tells. Raises OSError."""
        manifest = self._held[key]
        return read_journal(self._journal_path(manifest), manifest.index)

    def go_on_with_journal(self, key: BaseKey, read: JournalRead) -> Journal:
        """The journal behind what was read of it. Raises OSError."""
        path = self._journal_path(self._held[key])
        return Journal(path, read.upto, size_bytes=read.size_bytes, entries=len(read.entries))

    # --- inside -------------------------------------------------------------------------------------------------------

    def _data_path(self, manifest: Manifest) -> Path:
        return self._directory / f"{manifest.stem}.arrow"

    def _journal_path(self, manifest: Manifest) -> Path:
        return self._directory / f"{manifest.stem}.journal"

    def _manifest_path(self, manifest: Manifest) -> Path:
        return self._directory / f"{manifest.stem}.json"

    def _write_manifest(self, manifest: Manifest) -> None:
        path = self._manifest_path(manifest)
        written = path.with_suffix(".writing")
        self._pass_by("store.mirror_manifest.before")
        with written.open("w") as file:
            file.write(manifest.to_json())
            os.fsync(file.fileno())
        written.rename(path)
        _sync_folder(self._directory)
        self._pass_by("store.mirror_manifest.after")

    def _read_manifest(self, path: Path) -> Manifest | None:
        """None, and a line in the log, if it cannot be believed."""
        try:
            manifest = Manifest.from_json(path.read_text())
            if self._data_path(manifest).stat().st_size != manifest.size_bytes:
                raise ValueError("its data does not have the size it was written with")
        except (OSError, ValueError, KeyError, TypeError, InvalidRequest) as error:
            log.warning("the mirror file %s is removed and will be rebuilt: %s", path.name, error)
            return None
        return manifest

    def _sweep(self) -> None:
        """Remove what no manifest speaks of."""
        paths = self._data_path, self._manifest_path, self._journal_path
        known = {path(each) for each in self._held.values() for path in paths}
        for path in self._directory.iterdir():
            if path not in known and path.is_file():
                log.info("the mirror file %s is a leftover and is removed", path.name)
                path.unlink(missing_ok=True)

    def _open(self, manifest: Manifest) -> TableBase:
        keys, columns = read_chunks(self._data_path(manifest))
        mapped = frozenset((each, number) for each in (KEYS_ID, *columns) for number in range(len(keys)))
        found: dict[Place, Zone | None] = {**manifest.zones}
        return TableBase(manifest.index, manifest.max_commit_ts, keys, columns, manifest.schema, mapped, found)


def _sync_folder(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
