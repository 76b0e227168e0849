"""Whether keys that must be unique come twice in an import, in bounded memory.

Keys go, with the numbers of their rows, to a file each kind in a temporary directory, about as many bytes as they have.
At the end DuckDB, which keeps to its memory limit by spilling, looks for keys that are there more than once, unless
they all came in ascending order, which is proof enough: the usual case for primary keys.
"""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa

from rutile_kv.client.bulk_load import ascends

MEMORY_LIMIT_MIB = 256
SHOWN = 5
"""Duplicate keys named."""
_SCHEMA = pa.schema([("key", pa.large_binary()), ("row", pa.int64())])
_QUERY = (
    "SELECT key, min(row), max(row), count(*) FROM found GROUP BY key HAVING count(*) > 1"
    f" ORDER BY max(row), key LIMIT {SHOWN}"
)


@dataclass(frozen=True, slots=True)
class Duplicate:
    """A key, as it is stored, which `count` rows have; the first and the last of them, numbered from 1."""

    storage_key: bytes
    first_row: int
    last_row: int
    count: int


class KeyCheck:
    """`add` everything, then ask for `duplicates`; `close` removes the files."""

    def __init__(self) -> None:
        self._opened = ExitStack()
        self._folder = Path(self._opened.enter_context(tempfile.TemporaryDirectory(prefix="rutile-keys-")))
        self._files: list[_KeyFile] = []

    def add(self, kind: int, keys: pa.Array, first_row: int) -> None:
        """Keys of one kind (0, 1, ...), null where a row has none; the first is that of row `first_row`."""
        while kind >= len(self._files):
            self._files.append(_KeyFile(self._folder / f"keys-{len(self._files)}.arrow"))
            self._opened.callback(self._files[-1].close)
        self._files[kind].add(keys, first_row)

    def ascends(self, kind: int) -> bool:
        """Whether all keys of a kind came in ascending order so far."""
        return kind >= len(self._files) or self._files[kind].ascends

    def duplicates(self) -> list[Duplicate]:
        """The first keys of the first kind that has any twice."""
        for file in self._files:
            file.close()
            if not file.ascends and (found := self._duplicates_in(file.path)):
                return found
        return []

    def close(self) -> None:
        """The files are gone."""
        self._opened.close()

    def _duplicates_in(self, path: Path) -> list[Duplicate]:
        with (
            duckdb.connect(config={"memory_limit": f"{MEMORY_LIMIT_MIB}MiB", "threads": 2}) as database,
            pa.memory_map(str(path)) as mapped,
            pa.ipc.open_stream(mapped) as reader,
        ):
            database.execute(f"SET temp_directory = '{self._folder}'")
            database.register("found", reader)
            return [Duplicate(*row) for row in database.execute(_QUERY).fetchall()]


class _KeyFile:
    """The keys of one kind, in the order they came."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.ascends = True
        """Whether each key was above the one before."""
        self._last = b""
        self._writer = pa.ipc.new_stream(str(path), _SCHEMA)

    def add(self, keys: pa.Array, first_row: int) -> None:
        if not len(keys):
            return
        self.ascends = self.ascends and keys.null_count == 0 and keys[0].as_py() > self._last
        self.ascends = self.ascends and ascends(keys)
        self._last = keys[-1].as_py() or b""
        rows = pa.array(np.arange(first_row, first_row + len(keys), dtype=np.int64))
        batch = pa.record_batch([keys, rows], schema=_SCHEMA)
        self._writer.write_batch(batch.filter(keys.is_valid()) if keys.null_count else batch)

    def close(self) -> None:
        self._writer.close()
