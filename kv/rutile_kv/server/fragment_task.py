"""One fragment's work on this store, in a worker thread: locks, rows, DuckDB, pages.

Everything here blocks. The endpoint asks for one page after the other, each time from some thread of its pool, never
from two at once; `cancel` may come from any thread at any time.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

import pyarrow as pa

from rutile_coprocessor.execute import Executor, RunSummary
from rutile_coprocessor.fragment import Fragment, Scan
from rutile_coprocessor.row import RowCodec
from rutile_coprocessor.scan_source import ScanSource
from rutile_coprocessor.schema import TableSchema
from rutile_coprocessor.watchdog import CancelToken
from rutile_kv.columnar.mirror import MirrorReader, RegionData, TableRead, TableRequest
from rutile_kv.columnar.rows import read_rows
from rutile_kv.mvcc.bulk import first_lock
from rutile_kv.server import ranges
from rutile_kv.server.lock_free import LockFreeRanges
from rutile_kv.server.pages import encode_page, paginate
from rutile_kv.server.ranges import KeyRange
from rutile_kv.server.region_views import RegionView, close_views
from rutile_kv.server.relation_key import Part
from rutile_kv.server.warm_relations import Loaded, WarmRelations, put_together
from rutile_proto import rutilepb_pb2 as rutilepb
from rutile_proto.errors import FragmentCancelled, FragmentFailed, InvalidRequest, LockFacts
from rutile_proto.keys import RECORD_PREFIX_LENGTH, record_prefix, storage_bound, table_range
from rutile_proto.wire_errors import lock_to_pb


@dataclass(frozen=True, slots=True)
class FragmentJob:
    """What is asked for, and within which bounds."""

    fragment: Fragment
    ts: int
    bypass: frozenset[int]
    """Transactions whose locks the caller asks to look through."""
    memory_bytes: int
    timeout_seconds: float
    paging_rows: int = 0
    """Read at most so many rows of the one scan, and say where to go on; 0: read all."""
    plain: bool = False
    """The fragment asks for the columns of its one scan, in the scan's order, and for nothing else."""


@dataclass(frozen=True, slots=True)
class TaskTools:
    """What all tasks of a store share."""

    store_id: int
    mirror: MirrorReader
    relations: WarmRelations
    lock_free: LockFreeRanges
    executor: Callable[[], Executor]


class FragmentTask:
    """Pages of one fragment over `views`, which the task owns and closes."""

    def __init__(self, job: FragmentJob, views: Sequence[RegionView], tools: TaskTools, wait_seconds: float) -> None:
        self.next_key: bytes | None = None
        """After the last page of a job with `paging_rows`: where the next one begins; None when nothing is left."""
        self._job = job
        self._fragment = _with_columns(job.fragment)
        self._views = list(views)
        self._tools = tools
        self._wait_seconds = wait_seconds
        self._cancel = CancelToken()
        self._decoded_bytes = 0
        self._scans: list[rutilepb.ScanSummary] = []
        self._pages = self._run()

    def next_page(self) -> rutilepb.FragmentPage | None:
        """The next page, None after the last. Raises a CoprocessorError, or EngineCorrupt."""
        return next(self._pages, None)

    def whole(self) -> list[pa.RecordBatch] | LockFacts:
        """All rows at once instead of pages, as Arrow; or a lock that the reader has to resolve first.

        The rows of a plain job are the mirror's own batches: nothing is copied. Raises as `next_page`.
        """
        self._fragment.checked_sql()
        lock = self._first_lock()
        if lock is not None:
            return lock
        if self._job.plain:
            return self._plain()
        tables = {scan.name: self._load(scan) for scan in self._fragment.scans}
        self._close_views()
        with self._tools.executor().run(
            self._fragment, tables, timeout_seconds=self._job.timeout_seconds, cancel=self._cancel
        ) as run:
            return list(run)

    def cancel(self, reason: str) -> None:
        """Make the running step, or the next one, end with FragmentCancelled."""
        self._cancel.cancel(reason)

    def close(self) -> None:
        """Give everything back. Not while a step runs."""
        self._pages.close()
        self._close_views()

    def _run(self) -> Generator[rutilepb.FragmentPage, None, None]:
        self._fragment.checked_sql()
        lock = self._first_lock()
        if lock is not None:
            yield rutilepb.FragmentPage(locked=lock_to_pb(lock))
            return
        tables = {scan.name: self._load(scan) for scan in self._fragment.scans}
        region_ids = [view.region.id for view in self._views]
        self._close_views()
        with self._tools.executor().run(
            self._fragment, tables, timeout_seconds=self._job.timeout_seconds, cancel=self._cancel
        ) as run:
            held: list[pa.RecordBatch] = []
            for page in paginate(run, self._fragment.page_rows):
                if held:
                    yield rutilepb.FragmentPage(arrow_ipc=encode_page(run.schema, held))
                held = page
            summary = self._summary(run.summary, region_ids)
            yield rutilepb.FragmentPage(arrow_ipc=encode_page(run.schema, held), summary=summary)

    def _plain(self) -> list[pa.RecordBatch]:
        """The rows of the one scan, in the types they have everywhere."""
        parts = self._asked(self._fragment.scans[0])
        reads = [self._tools.mirror.read(data, request, self._check) for data, request in parts]
        return [batch for read in reads for batch in read.batches]

    # --- what is read -------------------------------------------------------------------------------------------------

    def _parts(self, scan: Scan) -> list[tuple[RegionView, TableSchema, list[KeyRange]]]:
        """The views that `scan` reads, each with what it reads there of which table."""
        tables = {record_prefix(table.table_id): table for table in scan.tables}
        asked = ranges.intersect(scan.ranges, [table_range(table.table_id) for table in scan.tables])
        found = []
        for view in self._views:
            within = groupby(ranges.intersect(view.ranges, asked), lambda bounds: bounds[0][:RECORD_PREFIX_LENGTH])
            found += [(view, tables[prefix], list(wanted)) for prefix, wanted in within]
        return found

    def _first_lock(self) -> LockFacts | None:
        """A lock that a reader of any scan has to resolve first."""
        for scan in self._fragment.scans:
            for view, _, wanted in self._parts(scan):
                for start, end in wanted:
                    bounds = storage_bound(start), storage_bound(end) or None
                    if self._tools.lock_free.has_none(view, bounds):
                        continue
                    lock = first_lock(view.reader, *bounds, self._job.ts, bypass=self._job.bypass)
                    if lock is not None:
                        return lock
        return None

    def _load(self, scan: Scan) -> ScanSource:
        """The scan's rows; how they were come by goes into its summary."""
        started = time.monotonic()
        loaded = self._loaded(scan)
        summary = rutilepb.ScanSummary(
            name=scan.name,
            rows_read=loaded.source.rows,
            regions=loaded.regions,
            seconds=time.monotonic() - started,
            path=loaded.path,
            chunks=loaded.chunks,
            chunks_pruned=loaded.chunks_pruned,
        )
        self._scans.append(summary)
        return loaded.source

    def _loaded(self, scan: Scan) -> Loaded:
        schema = scan.schema.arrow_schema(scan.columns)
        if self._job.paging_rows:
            reads = [self._read_page(scan, view, wanted) for view, _, wanted in self._parts(scan)]
            return put_together(reads, schema)
        return self._tools.relations.load(self._tools.mirror, self._asked(scan), schema, self._check)

    def _asked(self, scan: Scan) -> list[Part]:
        """What is asked of the mirror, by region."""
        uses = self._tools.executor().bounds(self._fragment).get(scan.name, ())
        return [
            (
                RegionData(view.region, view.reader, None if scan.rows_only else view.pin),
                TableRequest(table, scan.columns, wanted, self._job.ts, uses),
            )
            for view, table, wanted in self._parts(scan)
        ]

    def _read_page(self, scan: Scan, view: RegionView, wanted: list[KeyRange]) -> TableRead:
        limit, codec = self._job.paging_rows, RowCodec(scan.schema)
        found = read_rows(view.reader, codec, scan.columns, wanted, self._job.ts, self._check, limit)
        self.next_key = found.next_key
        return TableRead(found.batches, found.rows, "rows")

    def _check(self, size_bytes: int) -> None:
        """Called for each decoded batch."""
        if self._cancel.reason is not None:
            raise FragmentCancelled(f"the fragment was stopped: {self._cancel.reason}")
        self._decoded_bytes += size_bytes
        if self._decoded_bytes > self._job.memory_bytes:
            raise FragmentFailed(
                f"the rows of the fragment's scans take more than {self._job.memory_bytes} bytes of memory: read fewer"
                " columns or a smaller range"
            )

    # --- the end ------------------------------------------------------------------------------------------------------

    def _summary(self, run: RunSummary, region_ids: Sequence[int]) -> rutilepb.FragmentSummary:
        rows_out = {scan.name: scan.rows_out for scan in run.scans}
        for scan in self._scans:
            scan.rows_out = rows_out[scan.name]
        return rutilepb.FragmentSummary(
            store_id=self._tools.store_id,
            scans=self._scans,
            rows_out=run.rows_out,
            wait_seconds=self._wait_seconds,
            run_seconds=run.run_seconds,
            region_ids=region_ids,
            note=run.note,
        )

    def _close_views(self) -> None:
        close_views(self._views)
        self._views = []


def check_paging(fragment: Fragment) -> None:
    """A page of a region's rows means something only to a fragment whose rows stand alone."""
    if not fragment.rowwise or len(fragment.scans) != 1 or fragment.scans[0].table_ids:
        raise InvalidRequest("paging_size needs a rowwise fragment with one scan of one table")


def _with_columns(fragment: Fragment) -> Fragment:
    """The fragment with a column for each scan that asked for none (COUNT(*)): a batch without columns has no rows."""
    scans = (scan if scan.columns else replace(scan, columns=(scan.schema.columns[0].name,)) for scan in fragment.scans)
    return replace(fragment, scans=tuple(scans))
