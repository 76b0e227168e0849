"""`Journals`: the journals of all bases in files, told what a store applies and when a region's log is about to be cut.

The store's loop alone uses them. A frame is a write to the page cache: some microseconds, once in a few hundred log
entries of a region.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterator, Sequence

from rutile_kv.columnar.delta import STEM_LENGTH, table_stem
from rutile_kv.columnar.files import nothing
from rutile_kv.columnar.journal import Journal
from rutile_kv.columnar.keys import BaseKey
from rutile_kv.engine.api import CF_WRITE, CF_WRITE_FILE, Modify
from rutile_kv.engine.table_file import TableFile

log = logging.getLogger(__name__)


class Journals:
    """By region, and by how the keys of a table's rows begin, as the cache's logs are."""

    def __init__(self, pass_by: Callable[[str], None] = nothing) -> None:
        """`pass_by` hears of the places before and after each frame that is written (`env.failpoints`)."""
        self._pass_by = pass_by
        self._open: dict[int, dict[bytes, dict[BaseKey, Journal]]] = {}

    def get(self, key: BaseKey) -> Journal | None:
        """The journal of a base; None if none is kept."""
        return self._open.get(key.region_id, {}).get(table_stem(key.table_id), {}).get(key)

    def keep(self, key: BaseKey, journal: Journal) -> None:
        """Go on with `journal`, which has been told everything that was applied, in place of an older one."""
        self.drop(key)
        self._open.setdefault(key.region_id, {}).setdefault(table_stem(key.table_id), {})[key] = journal

    def drop(self, key: BaseKey) -> None:
        """Keep none of this base any more."""
        region = self._open.get(key.region_id, {})
        table = region.get(table_stem(key.table_id), {})
        table.pop(key, None)
        if not table:
            region.pop(table_stem(key.table_id), None)
        if not region:
            self._open.pop(key.region_id, None)

    def drop_region(self, region_id: int) -> None:
        """Its data or its range are others now, or it left this store."""
        for key in [key for key, _ in self._of(region_id)]:
            self.drop(key)

    def retain(self, keys: Collection[BaseKey]) -> None:
        """Drop all others."""
        for region_id in list(self._open):
            for key in [key for key, _ in self._of(region_id) if key not in keys]:
                self.drop(key)

    def applied(self, region_id: int, index: int, modifies: Sequence[Modify]) -> None:
        """Note what entry `index` committed. A table file is more than a journal holds."""
        region = self._open.get(region_id)
        if region is None:
            return
        full: dict[BaseKey, Journal] = {}
        for cf, version, record in modifies:
            if cf == CF_WRITE and record is not None:
                for key, journal in region.get(version[:STEM_LENGTH], {}).items():
                    journal.note(index, version, record)
                    if journal.is_full:
                        full[key] = journal
            elif cf == CF_WRITE_FILE and record is not None:
                self._drop_within(region_id, TableFile.from_bytes(record))
        for key, journal in full.items():
            self._write(key, journal, index)

    def write(self, region_id: int, upto: int) -> None:
        """Put what was applied up to entry `upto` into files."""
        for key, journal in list(self._of(region_id)):
            self._write(key, journal, upto)

    # --- inside -------------------------------------------------------------------------------------------------------

    def _of(self, region_id: int) -> Iterator[tuple[BaseKey, Journal]]:
        for table in self._open.get(region_id, {}).values():
            yield from table.items()

    def _write(self, key: BaseKey, journal: Journal, upto: int) -> None:
        """A journal that cannot be written ends: its base is as old as its last frame, and judged by the log."""
        if self.get(key) is not journal:
            return
        try:
            self._pass_by("store.mirror_journal.before")
            journal.write(upto)
            self._pass_by("store.mirror_journal.after")
        except FileNotFoundError:
            self.drop(key)
        except OSError as error:
            log.warning(
                "the mirror of table %d in region %d is carried on by the log alone: %s",
                key.table_id, key.region_id, error,
            )  # fmt: skip
            self.drop(key)

    def _drop_within(self, region_id: int, table: TableFile) -> None:
        first, last = table.first_key[:STEM_LENGTH], table.last_key[:STEM_LENGTH]
        for key in [key for key, _ in self._of(region_id) if first <= table_stem(key.table_id) <= last]:
            self.drop(key)
