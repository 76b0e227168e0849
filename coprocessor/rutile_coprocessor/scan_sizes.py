"""Tells DuckDB how many rows the conditions on a scan leave, so that it joins in a good order.

DuckDB samples its own tables; of an Arrow table it takes a fifth for what any condition leaves, be it one row or all,
and so it may join two large tables before a small one that nearly nothing of them meets. But it believes a LIMIT: a
scan of which few rows are left is written with the number of them (`filtered_scans`).

Never wrong: a source's rows do not change, so such a limit is reached by the last row at the earliest. They are counted
with the same condition by the same cursor that runs the statement, and remembered by the source's identity.

While rows are written to a table, each query has a source of its own, but all of them are made of one that stays
(`scan_source.Live`). A row it has either counted once or was hidden then; so no source made of it has more rows that
meet a condition than were counted, were hidden then, and have been added.

Of its own tables it also knows how many different values a column has, and so counts rows before it joins them where
many share a value. Of a scan these are counted here once, about, and the text is written so (`counted_joins`).

Never for nothing: a text that runs once is not looked at, and a source that is new is not counted. (Twin:
tests/coprocessor/test_scan_sizes.py.)
"""

from __future__ import annotations

import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import duckdb

from rutile_coprocessor.counted_joins import CountedJoin, counted_before, counted_joins
from rutile_coprocessor.filtered_scans import FilteredScan, filtered_scans, with_limits
from rutile_coprocessor.scan_source import ScanSource

FEW_ROWS = 100_000
"""More rows than that do not go through a limit."""
WORTH_SHARE = 0.15
"""What conditions leave, at most, to be worth telling: DuckDB expects 0.2."""
WORTH_REPEATS = 4
"""So many rows of a value on average make it worth counting them before they are joined (`counted_joins`)."""
LARGE_ROWS = 50_000
"""A statement that reads no source of so many rows is fast in any order."""
MAX_TEXTS = 1_024
"""Texts remembered to have run; the one that was seen least recently goes."""
MAX_CONDITIONS = 64
"""Counts kept of one source; the first ones go."""


@dataclass(frozen=True, slots=True)
class Told:
    """A text to run, and what it tells DuckDB of its scans, for people to read."""

    text: str
    note: str = ""


class ScanSizes:
    """Any thread may ask."""

    def __init__(self, large_rows: int = LARGE_ROWS) -> None:
        self._large_rows = large_rows
        self._texts: OrderedDict[str, None] = OrderedDict()
        """Those that have run."""
        self._counts: weakref.WeakKeyDictionary[ScanSource, dict[str, int | None]] = weakref.WeakKeyDictionary()
        """Of each source that was met, by the text of what is read; None: it cannot be counted."""
        self._mutex = threading.RLock()  # a source's end may be noticed while this is held

    def told(self, sources: Mapping[str, ScanSource], cursor: duckdb.DuckDBPyConnection, text: str) -> Told:
        """What to run instead of `text`: it has the same answer over these sources, as `cursor` sees them.

        May count rows; raises duckdb.InterruptException.
        """
        if not self._is_worth_it(text, sources):
            return Told(text)
        names = tuple(sources)
        by_name = {name.lower(): source for name, source in sources.items()}
        places = filtered_scans(text, names)
        limits = tuple(self._limit(cursor, place, by_name[place.scan.lower()]) for place in places)
        known = {place.scan: limit for place, limit in zip(places, limits, strict=True) if limit is not None}
        note = "filtered to " + ", ".join(f"{limit} of {scan}" for scan, limit in known.items())
        told = Told(with_limits(text, names, limits), note) if known else Told(text)
        return self._counted_before(told, cursor, names, by_name)

    def _counted_before(
        self, told: Told, cursor: duckdb.DuckDBPyConnection, names: tuple[str, ...], by_name: Mapping[str, ScanSource]
    ) -> Told:
        """Rows that many others of their scan share a value with are counted before they are joined."""
        joins = counted_joins(told.text, names)
        chosen = tuple(self._repeats(cursor, join, by_name[join.scan.lower()]) for join in joins)
        if not any(chosen):
            return told
        scans = ", ".join(join.scan for join, is_chosen in zip(joins, chosen, strict=True) if is_chosen)
        note = ", ".join(filter(None, (told.note, f"counted {scans} before joining")))
        return Told(counted_before(told.text, names, chosen), note)

    def _repeats(self, cursor: duckdb.DuckDBPyConnection, join: CountedJoin, source: ScanSource) -> bool:
        """Whether so many rows have the same value that counting them first is worth it."""
        values = self._remembered(source, join.distinct, lambda: _number(cursor, f"SELECT {join.distinct}"))
        return values is not None and source.rows >= max(LARGE_ROWS, WORTH_REPEATS * values)

    def _is_worth_it(self, text: str, sources: Mapping[str, ScanSource]) -> bool:
        """Whether the text has run before, and reads something large."""
        is_large = any(source.rows >= self._large_rows for source in sources.values())
        with self._mutex:
            has_run = text in self._texts
            self._texts[text] = None
            self._texts.move_to_end(text)
            if len(self._texts) > MAX_TEXTS:
                self._texts.popitem(last=False)
            if not has_run:
                self._meet(sources)
        return has_run and is_large

    def _meet(self, sources: Mapping[str, ScanSource]) -> None:
        for source in sources.values():
            self._counts.setdefault(_lasting(source), {})

    def _limit(self, cursor: duckdb.DuckDBPyConnection, place: FilteredScan, source: ScanSource) -> int | None:
        """The rows that are read in a place, if that is worth telling; at least one."""
        count = self._remembered(source, place.rows, lambda: _counted(cursor, place, source))
        if count is None or count > min(FEW_ROWS, WORTH_SHARE * source.rows):
            return None
        return max(count, 1) + _slack(source)

    def _remembered(self, source: ScanSource, what: str, find: Callable[[], int | None]) -> int | None:
        """What was found of a source, or is now; None too if the source is new."""
        with self._mutex:
            counts = self._counts.get(_lasting(source))
            if counts is None:
                self._counts[_lasting(source)] = {}
                return None
        count = counts[what] if what in counts else find()
        with self._mutex:
            counts[what] = count
            if len(counts) > MAX_CONDITIONS:
                del counts[next(iter(counts))]
        return count


def _lasting(source: ScanSource) -> ScanSource:
    """What the next query's source will be made of too, if its table is written to."""
    return source if source.live is None else source.live.settled


def _slack(source: ScanSource) -> int:
    """At least as many rows as were added; seldom another number, for each makes another text."""
    return 0 if source.live is None else 1 << source.live.added_rows.bit_length()


def _counted(cursor: duckdb.DuckDBPyConnection, place: FilteredScan, source: ScanSource) -> int | None:
    """How many rows are read there at most; None if that cannot be said: the query itself will tell why, if it comes to
    it."""
    rows = _number(cursor, f"SELECT count(*) {place.rows}")
    return None if rows is None else rows + (0 if source.live is None else source.live.hidden_rows)


def _number(cursor: duckdb.DuckDBPyConnection, text: str) -> int | None:
    """The one number a query gives, or None if it fails."""
    try:
        [(number,)] = cursor.execute(text).fetchall()  # all: else the cursor stays busy
    except duckdb.InterruptException:
        raise
    except duckdb.Error:
        return None
    return int(number)
