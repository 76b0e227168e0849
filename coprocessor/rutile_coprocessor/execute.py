"""Runs checked fragments in a DuckDB that is locked down.

One in-memory database per `Executor`, with the prelude's macros, a memory limit, no files, no extensions, no access to
Python's variables, and a locked configuration. Each run has a cursor of its own, which sees only the scans registered
with it (and serves again only runs of the same text over scans of the same shape: `prepared`); so runs in different
threads share nothing but the memory budget. A run that breaks its limits ends with an error, and the database serves
the next.

    with executor.run(fragment, {"s0": batches}, timeout_seconds=60) as pages:
        for page in pages: ...
        pages.summary
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path

import duckdb
import pyarrow as pa

from rutile_coprocessor.fragment import CHECKED_TEXTS, Fragment, Scan
from rutile_coprocessor.pages import page_schema, to_pages
from rutile_coprocessor.prelude import install
from rutile_coprocessor.prepared import Planned, PlannedCursors, Tell
from rutile_coprocessor.pruning import Use, scan_bounds
from rutile_coprocessor.scan_sizes import ScanSizes, Told
from rutile_coprocessor.scan_source import ScanSource, unused
from rutile_coprocessor.watchdog import CancelToken, Guard
from rutile_proto.errors import FragmentCancelled, FragmentFailed, InvalidRequest

DEFAULT_MEMORY_LIMIT_BYTES = 512 << 20
GROWTH = 2
"""The process may grow by so many times DuckDB's limit while a query runs: see `watchdog`."""
DEFAULT_THREADS = 2
DEFAULT_TIMEOUT_SECONDS = 60.0
CONSTANTS_SECONDS = 0.5
"""What finding the values of a fragment's constants may take; else all rows are read."""


@dataclass(frozen=True)
class Limits:
    """What a run may use. A limit of a fragment's own counts where it is lower."""

    memory_limit_bytes: int = DEFAULT_MEMORY_LIMIT_BYTES
    threads: int = DEFAULT_THREADS
    timeout_seconds: float | None = DEFAULT_TIMEOUT_SECONDS


@dataclass(frozen=True)
class ScanRun:
    """What became of one scan."""

    name: str
    rows_read: int
    rows_out: int
    """Rows handed to DuckDB: all that were read, for the filter is applied inside."""


@dataclass(frozen=True)
class RunSummary:
    scans: tuple[ScanRun, ...]
    rows_out: int
    run_seconds: float
    """From start to the last page; includes the time the consumer took between pages."""
    note: str = ""
    """What DuckDB was told of the scans (`scan_sizes`)."""


class FragmentRun(Iterator[pa.RecordBatch]):
    """The pages of one run. Use it in a `with`, or close it: it holds a cursor and its deadline.

    Iterating raises FragmentFailed, or FragmentCancelled. `schema` is known at once, `summary` after the last page.
    """

    def __init__(
        self,
        planned: Planned,
        page_rows: int,
        sources: Mapping[str, ScanSource],
        guard: Guard,
        tell: Tell,
        keep: Callable[[Planned, int], None] | None,
    ) -> None:
        """`keep` is given the cursor and the number of rows after a run that ended well; None: it is closed."""
        self._started = time.monotonic()
        self._planned = planned
        self._keep = keep
        self._sources = sources
        self._guard = guard
        self._rows_out = 0
        self._ended: float | None = None
        self._resources = ExitStack()
        self._resources.callback(self._leave_cursor)
        self._resources.enter_context(guard)
        try:
            with self._errors_named():
                self._reader = planned.cursor.sql(planned.statement(tell)).to_arrow_reader(page_rows)
        except BaseException:
            self.close()
            raise
        self._resources.callback(self._reader.close)
        self.schema = page_schema(self._reader.schema)
        self._pages = self._read()

    def _read(self) -> Iterator[pa.RecordBatch]:
        while True:
            with self._errors_named():
                try:
                    batch = self._reader.read_next_batch()
                except StopIteration:
                    break
            self._rows_out += batch.num_rows
            yield from to_pages(batch, self.schema)
        self._ended = time.monotonic()

    @contextmanager
    def _errors_named(self) -> Iterator[None]:
        """Turns DuckDB's errors into ours, and an interrupt into the reason for it."""
        try:
            yield
        except (duckdb.Error, pa.ArrowException, MemoryError, OSError) as error:  # OSError: from Arrow's C stream
            if self._guard.reason is not None:
                raise FragmentCancelled(f"the fragment was stopped: {self._guard.reason}") from error
            raise FragmentFailed(_first_line(error)) from error
        if self._guard.reason is not None:
            raise FragmentCancelled(f"the fragment was stopped: {self._guard.reason}")

    def __next__(self) -> pa.RecordBatch:
        return next(self._pages)

    @property
    def summary(self) -> RunSummary:
        scans = tuple(ScanRun(name, source.rows, source.rows) for name, source in self._sources.items())
        return RunSummary(scans, self._rows_out, (self._ended or time.monotonic()) - self._started, self._planned.note)

    def close(self) -> None:
        self._resources.close()

    def _leave_cursor(self) -> None:
        if self._keep is not None and self._ended is not None and self._guard.reason is None:
            self._keep(self._planned, self._rows_out)
        else:
            self._planned.cursor.close()

    def __enter__(self) -> FragmentRun:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


@dataclass(frozen=True)
class Spill:
    """Where sorts, joins and groupings that do not fit in memory go, and how much of them may."""

    directory: Path
    """Made and emptied by DuckDB; nobody else's."""
    limit_bytes: int


class Executor:
    """A locked-down database for runs under one memory limit. Any thread may call `run`; close it in the end."""

    def __init__(
        self,
        memory_limit_bytes: int = DEFAULT_MEMORY_LIMIT_BYTES,
        threads: int = DEFAULT_THREADS,
        spill: Spill | None = None,
    ) -> None:
        """Without `spill`, what does not fit in memory fails."""
        self._database = locked_database(memory_limit_bytes, threads, spill)
        self._growth_bytes = GROWTH * memory_limit_bytes
        self._mutex = threading.Lock()
        self._bounds: dict[str, Mapping[str, tuple[Use, ...]]] = {}
        """By checked text."""
        self._planned = PlannedCursors()
        self._sizes = ScanSizes()

    def run(
        self,
        fragment: Fragment,
        tables: Mapping[str, Sequence[pa.RecordBatch] | ScanSource],
        *,
        timeout_seconds: float | None = DEFAULT_TIMEOUT_SECONDS,
        cancel: CancelToken | None = None,
    ) -> FragmentRun:
        """Starts a run. `tables` holds, per scan name, batches of the scan's columns. Raises a CoprocessorError."""
        text = fragment.checked_sql()
        sources = {scan.name: _source(scan, tables) for scan in fragment.scans}
        is_lasting = not fragment.inputs and not fragment.here
        planned = self._planned.take(text, sources) if is_lasting else None
        if planned is None:
            inputs = {each.name: each.table() for each in fragment.inputs}
            planned = self._planned_anew(text, sources, inputs)
        guard = Guard(planned.cursor.interrupt, timeout_seconds, cancel, self._growth_bytes)
        if not is_lasting:
            return FragmentRun(planned, fragment.page_rows, sources, guard, lambda _, plain: Told(plain), None)
        tell, keep = partial(self._sizes.told, sources), partial(self._planned.give, sources)
        return FragmentRun(planned, fragment.page_rows, sources, guard, tell, keep)

    def _planned_anew(self, text: str, sources: Mapping[str, ScanSource], inputs: Mapping[str, pa.Table]) -> Planned:
        """A new cursor that sees these relations and no others."""
        cursor = self._database.cursor()
        with ExitStack() as stack:
            stack.callback(cursor.close)
            for name, table in inputs.items():
                cursor.register(name, table)
            taken = [*sources, *inputs]
            relations = {
                name: source.register(cursor, name, unused(f"{name} as stored", taken))
                for name, source in sources.items()
            }
            stack.pop_all()
        return Planned(cursor, text, relations)

    def bounds(self, fragment: Fragment) -> Mapping[str, tuple[Use, ...]]:
        """What the fragment wants of its scans, by their names, where that is not all rows. Raises FragmentRefused."""
        text = fragment.checked_sql()
        with self._mutex:
            found = self._bounds.get(text)
        if found is None:
            found = scan_bounds(text, [scan.name for scan in fragment.scans], self._constants)
            with self._mutex:
                if len(self._bounds) >= CHECKED_TEXTS:
                    self._bounds.clear()
                self._bounds[text] = found
        return found

    def _constants(self, expressions: Sequence[str]) -> list[object]:
        """The values of expressions without columns; None for all if any has none: the query will say why."""
        if not expressions:
            return []
        with self._database.cursor() as cursor:
            guard = Guard(cursor.interrupt, CONSTANTS_SECONDS, None, self._growth_bytes)
            try:
                with guard:
                    row = cursor.execute(f"SELECT {', '.join(expressions)}").fetchone()
            except (duckdb.Error, MemoryError, OverflowError, ValueError):
                return [None] * len(expressions)
        return [None] * len(expressions) if row is None else list(row)

    def close(self) -> None:
        self._planned.clear()
        self._database.close()


def run_fragment(
    fragment: Fragment,
    tables: Mapping[str, Sequence[pa.RecordBatch] | ScanSource],
    limits: Limits | None = None,
    cancel: CancelToken | None = None,
) -> FragmentRun:
    """Starts a run in a database of this process for those limits, made at first use."""
    limits = limits or Limits()
    memory = min(limits.memory_limit_bytes, fragment.memory_limit_bytes or limits.memory_limit_bytes)
    executor = _shared_executor(memory, limits.threads)
    return executor.run(fragment, tables, timeout_seconds=limits.timeout_seconds, cancel=cancel)


@lru_cache(maxsize=8)
def _shared_executor(memory_limit_bytes: int, threads: int) -> Executor:
    return Executor(memory_limit_bytes, threads)


def locked_database(memory_limit_bytes: int, threads: int, spill: Spill | None = None) -> duckdb.DuckDBPyConnection:
    """A new in-memory database with the prelude, that can read nothing but what is registered with its cursors."""
    limits: dict[str, str | bool | int | float | list[str]] = {
        "memory_limit": f"{memory_limit_bytes}B",
        "threads": threads,
        "temp_directory": "" if spill is None else str(spill.directory),
    }
    database = duckdb.connect(":memory:", config=limits)
    install(database)
    if spill is not None:  # among the limits above it would be ignored (seen with DuckDB 2.0)
        database.execute(f"SET max_temp_directory_size = '{spill.limit_bytes}B'")
    for setting in LOCKDOWN:
        database.execute(f"SET {setting}")
    return database


LOCKDOWN = (
    "python_enable_replacements = false",
    "autoload_known_extensions = false",
    "autoinstall_known_extensions = false",
    "allow_community_extensions = false",
    "enable_external_access = false",
    "lock_configuration = true",
)


def _source(scan: Scan, tables: Mapping[str, Sequence[pa.RecordBatch] | ScanSource]) -> ScanSource:
    if scan.name not in tables:
        raise InvalidRequest(f"no rows were given for scan {scan.name}")
    given = tables[scan.name]
    return given if isinstance(given, ScanSource) else ScanSource(given, scan.schema.arrow_schema(scan.columns))


def _first_line(error: BaseException) -> str:
    """DuckDB's message without its suggestions and its drawing of the text."""
    return str(error).partition("\n")[0]
