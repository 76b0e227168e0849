"""`MirrorFiles`: bases on disk, memory-mapped, so that their memory is page cache and a restart does not rebuild them.

    mirror/3-7-42-0-1188.arrow      Arrow IPC, uncompressed: the keys, then a field per column id, a batch per chunk
    mirror/3-7-42-0-1188.json       the manifest: which rows these are, the layout, zones, size and checksum

A file is written beside its place, synced and renamed, first the data and then the manifest; so a manifest stands for a
whole file, whatever crashed when. Whatever else lies there (half-written, damaged, of another format, without its other
half) is logged and removed: it can always be rebuilt from the rows. Nothing is believed before its checksum is right.

What a file is worth after a restart is not decided here: see `rutile_kv.server.mirror_restore`.
"""

from __future__ import annotations

import json
import logging
import os
import zlib
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from rutile_coprocessor.schema import TableSchema
from rutile_kv.columnar import zones
from rutile_kv.columnar.base import KEYS_ID, Place, TableBase
from rutile_kv.columnar.keys import BaseKey
from rutile_kv.columnar.sorted_keys import SortedKeys
from rutile_kv.columnar.zones import Zone
from rutile_proto.errors import InvalidRequest

log = logging.getLogger(__name__)

FORMAT = 2
KEYS_FIELD = "keys"
_CHECK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class _Manifest:
    key: BaseKey
    index: int
    max_commit_ts: int
    schema: TableSchema
    size_bytes: int
    checksum: int
    zones: Mapping[Place, Zone]

    @property
    def stem(self) -> str:
        key = self.key
        return f"{key.region_id}-{key.epoch_version}-{key.table_id}-{key.layout_version}-{self.index}"

    def to_json(self) -> str:
        key = self.key
        body = {
            "format": FORMAT, "key": [key.region_id, key.epoch_version, key.table_id, key.layout_version],
            "index": self.index, "max_commit_ts": self.max_commit_ts, "schema": self.schema.to_bytes().decode(),
            "size_bytes": self.size_bytes, "checksum": self.checksum,
            "zones": [[*place, *zones.to_json(zone)] for place, zone in self.zones.items()],
        }  # fmt: skip
        return json.dumps(body)

    @staticmethod
    def from_json(text: str) -> _Manifest:
        """Raises ValueError, KeyError, TypeError or InvalidRequest for what is not one of this format."""
        body = json.loads(text)
        if body["format"] != FORMAT:
            raise ValueError(f"format {body['format']} is not {FORMAT}")
        schema = TableSchema.from_bytes(body["schema"].encode())
        numbers = body["index"], body["max_commit_ts"]
        found = {(each, number): zones.from_json(zone) for each, number, *zone in body["zones"]}
        return _Manifest(BaseKey(*body["key"]), *numbers, schema, body["size_bytes"], body["checksum"], found)


def nothing(place: str) -> None:
    """What most processes do where others die."""


class MirrorFiles:
    """The files in one folder, which is theirs alone. One thread at a time saves; `forget_region` may come from
    another."""

    def __init__(self, directory: Path, budget_bytes: int, pass_by: Callable[[str], None] = nothing) -> None:
        """`pass_by` hears of the places before and after each file that is written (`env.failpoints`)."""
        directory.mkdir(parents=True, exist_ok=True)
        self._directory = directory
        self._budget_bytes = budget_bytes
        self._pass_by = pass_by
        self._held: dict[BaseKey, _Manifest] = {}
        """Least recently written first."""

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
        manifest = _Manifest(key, base.index, base.max_commit_ts, base.schema, *_measure(written), known)
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

    def over_budget(self) -> list[BaseKey]:
        """The keys, least recently written first, whose files are more than the budget allows."""
        surplus, found = self.size_bytes - self._budget_bytes, []
        for key, manifest in list(self._held.items()):
            if surplus <= 0:
                break
            found.append(key)
            surplus -= manifest.size_bytes
        return found

    def load(self) -> dict[BaseKey, TableBase]:
        """What an earlier process left and is sound; the rest is removed."""
        found: dict[BaseKey, TableBase] = {}
        for path in sorted(self._directory.glob("*.json")):
            manifest = self._read_manifest(path)
            if manifest is not None:
                self.remove(manifest.key)
                self._held[manifest.key] = manifest
                found[manifest.key] = self._open(manifest)
        self._sweep()
        return found

    def retain(self, keys: Collection[BaseKey]) -> None:
        """Remove the files of all other keys."""
        for key in [each for each in self._held if each not in keys]:
            self.remove(key)

    def remove(self, key: BaseKey) -> None:
        manifest = self._held.pop(key, None)
        if manifest is not None:
            self._manifest_path(manifest).unlink(missing_ok=True)
            self._data_path(manifest).unlink(missing_ok=True)

    def forget_region(self, region_id: int) -> None:
        """Its data was replaced: no file of it may be believed any more."""
        for key in [each for each in list(self._held) if each.region_id == region_id]:
            self.remove(key)

    # --- inside -------------------------------------------------------------------------------------------------------

    def _data_path(self, manifest: _Manifest) -> Path:
        return self._directory / f"{manifest.stem}.arrow"

    def _manifest_path(self, manifest: _Manifest) -> Path:
        return self._directory / f"{manifest.stem}.json"

    def _write_manifest(self, manifest: _Manifest) -> None:
        path = self._manifest_path(manifest)
        written = path.with_suffix(".writing")
        self._pass_by("store.mirror_manifest.before")
        with written.open("w") as file:
            file.write(manifest.to_json())
            _sync(file.fileno())
        written.rename(path)
        _sync_folder(self._directory)
        self._pass_by("store.mirror_manifest.after")

    def _read_manifest(self, path: Path) -> _Manifest | None:
        """None, and a line in the log, if it cannot be believed."""
        try:
            manifest = _Manifest.from_json(path.read_text())
            size_bytes, checksum = _measure(self._data_path(manifest))
            if (size_bytes, checksum) != (manifest.size_bytes, manifest.checksum):
                raise ValueError("its data does not have the checksum it was written with")
        except (OSError, ValueError, KeyError, TypeError, InvalidRequest) as error:
            log.warning("the mirror file %s is removed and will be rebuilt: %s", path.name, error)
            return None
        return manifest

    def _sweep(self) -> None:
        """Remove what no manifest speaks of."""
        known = {path for each in self._held.values() for path in (self._data_path(each), self._manifest_path(each))}
        for path in self._directory.iterdir():
            if path not in known and path.is_file():
                log.info("the mirror file %s is a leftover and is removed", path.name)
                path.unlink(missing_ok=True)

    def _open(self, manifest: _Manifest) -> TableBase:
        keys, columns = read_chunks(self._data_path(manifest))
        mapped = frozenset((each, number) for each in (KEYS_ID, *columns) for number in range(len(keys)))
        found: dict[Place, Zone | None] = {**manifest.zones}
        return TableBase(manifest.index, manifest.max_commit_ts, keys, columns, manifest.schema, mapped, found)


# --- the data ---------------------------------------------------------------------------------------------------------


def write_base(path: Path, base: TableBase) -> None:
    """The base as one synced Arrow IPC file: a batch for each chunk."""
    length = _key_length(base)
    fields = [pa.field(KEYS_FIELD, pa.binary(length))]
    fields += [pa.field(str(each), chunks[0].type) for each, chunks in base.columns.items()]
    schema = pa.schema(fields)
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, schema) as writer:
        for number, keys in enumerate(base.keys):
            arrays = [_key_array(keys, length), *(chunks[number] for chunks in base.columns.values())]
            writer.write_batch(pa.RecordBatch.from_arrays(arrays, schema=schema))
    with path.open("rb") as file:
        _sync(file.fileno())


def read_chunks(path: Path) -> tuple[tuple[SortedKeys, ...], Mapping[int, tuple[pa.Array, ...]]]:
    """Keys and columns by id, mapped: nothing is read until it is looked at."""
    reader = pa.ipc.open_file(pa.memory_map(str(path)))
    batches = [reader.get_batch(number) for number in range(reader.num_record_batches)]
    keys = tuple(_key_chunk(batch.column(0)) for batch in batches)
    names = reader.schema.names[1:]
    columns = {int(name): tuple(batch.column(at) for batch in batches) for at, name in enumerate(names, 1)}
    return keys, columns


def _key_length(base: TableBase) -> int:
    """The length all keys have; -1, Arrow's word for any, if they differ."""
    lengths = {keys.shape[1] if isinstance(keys, np.ndarray) else -1 for keys in base.keys}
    return lengths.pop() if len(lengths) == 1 else -1


def _key_array(keys: SortedKeys, length: int) -> pa.Array:
    if isinstance(keys, np.ndarray) and length >= 0:
        flat = np.ascontiguousarray(keys)
        return pa.Array.from_buffers(pa.binary(length), len(keys), [None, pa.py_buffer(flat)])
    return pa.array([bytes(key) for key in keys], pa.binary(length))


def _key_chunk(array: pa.Array) -> SortedKeys:
    if not pa.types.is_fixed_size_binary(array.type):
        keys: list[bytes] = array.to_pylist()
        return keys
    width = array.type.byte_width
    matrix = np.frombuffer(array.buffers()[1], dtype=np.uint8, count=len(array) * width, offset=array.offset * width)
    return matrix.reshape(len(array), width)


def _measure(path: Path) -> tuple[int, int]:
    """A file's size and checksum."""
    size_bytes = checksum = 0
    with path.open("rb") as file:
        while piece := file.read(_CHECK_BYTES):
            size_bytes += len(piece)
            checksum = zlib.crc32(piece, checksum)
    return size_bytes, checksum


def _sync(descriptor: int) -> None:
    os.fsync(descriptor)


def _sync_folder(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        _sync(descriptor)
    finally:
        os.close(descriptor)
