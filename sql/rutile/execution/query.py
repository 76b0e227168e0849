"""Runs query plans: through indexes, in one store, in every store with a merge here, or here over fetched scans."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import pyarrow as pa

from rutile.execution.index_read import IndexRead, Statistics, choose_paths, fetch_rows
from rutile.execution.overlay import overlaid_batches
from rutile.planner.fetch import fetch_fragment
from rutile.planner.query import QueryPlan, fragment_scan, relation_name
from rutile.planner.scans import ScanPlan
from rutile.session.storage import FragmentMode, KvClient, KvSnapshot, KvTransaction, WholeNotPossible
from rutile_coprocessor.execute import Executor
from rutile_coprocessor.fragment import Fragment, Scan
from rutile_coprocessor.partial import MERGE_INPUT
from rutile_coprocessor.scan_source import ScanSource
from rutile_coprocessor.schema import TableSchema
from rutile_coprocessor.watchdog import CancelToken
from rutile_proto import rutilepb_pb2 as rutilepb

NO_TIMEOUT_S = 24 * 3600.0
"""A query without max_execution_time still ends."""


@dataclass
class RunFacts:
    """What running a query found out, for EXPLAIN ANALYZE."""

    path: str = "local"
    """index, whole, per_store or local."""
    summaries: dict[str, list[rutilepb.FragmentSummary]] = field(default_factory=dict)
    """What the stores said, by the name of the scan fetched ("" for the query's own fragment)."""
    overlaid: list[str] = field(default_factory=list)
    """Scans read here because the transaction had written to them."""
    rows_fetched: dict[str, int] = field(default_factory=dict)
    reads: dict[str, IndexRead] = field(default_factory=dict)
    """The paths taken, by scan."""
    seconds: float = 0.0
    merge_seconds: float = 0.0


@dataclass(frozen=True)
class ReadContext:
    """When and how a query reads."""

    ts: int
    mode: str
    """The session's rutile_read_mode."""
    txn: KvTransaction | None
    virtual: Mapping[tuple[str, str], pa.RecordBatch]
    """The rows of the tables that are made when asked for (`rutile.show.virtual`)."""
    timeout_s: float
    cancel: CancelToken


class QueryRunner:
    """Runs plans for all sessions of a front end; `executor` is its DuckDB."""

    def __init__(
        self,
        client: KvClient,
        executor: Executor,
        monotonic: Callable[[], float] = time.monotonic,
        statistics: Statistics | None = None,
    ) -> None:
        self._client = client
        self._executor = executor
        self._monotonic = monotonic
        self._statistics = statistics

    async def run(self, plan: QueryPlan, context: ReadContext) -> tuple[pa.Table, RunFacts]:
        """The result as DuckDB typed it, and how it came about. Raises RutileError."""
        facts = RunFacts()
        started = self._monotonic()
        table = await self._dispatch(plan, context, facts)
        facts.seconds = self._monotonic() - started
        return table, facts

    async def on_nothing(self, plan: QueryPlan, limit: str = " LIMIT 0") -> pa.Table:
        """The plan's result without its rows: what its columns are. Nothing is run. Raises RutileError."""
        sources = {scan.name: _empty(scan) for scan in plan.scans}
        for key in plan.virtual:
            name = relation_name(key)
            sources[name] = ScanSource([], plan.relations[name].arrow_schema())
        context = ReadContext(0, "local", None, {}, NO_TIMEOUT_S, CancelToken())
        sql = f"SELECT * FROM ({plan.sql}) AS nothing{limit}"
        return await self._here(sql, sources | _held(plan), context, RunFacts())

    async def types_of(self, plan: QueryPlan) -> tuple[list[str], list[str]]:
        """The names and DuckDB's types of the plan's result. Nothing is run. Raises RutileError."""
        names = (await self.on_nothing(plan)).column_names
        places = [f"c{place}" for place in range(len(names))]
        kinds = ", ".join(f"TYPEOF(ANY_VALUE({place})) AS {place}" for place in places)
        typed = replace(plan, sql=f"SELECT {kinds} FROM ({plan.sql}) AS nothing({', '.join(places)}) WHERE FALSE")
        rows = (await self.on_nothing(typed, "")).to_pylist()
        return list(names), [rows[0][place] for place in places]

    async def _dispatch(self, plan: QueryPlan, context: ReadContext, facts: RunFacts) -> pa.Table:
        dirty = _dirty_scans(plan, context.txn)
        reads = await self.index_reads(plan, context)
        if reads is not None:
            return await self._indexed(plan, reads, context, facts)
        if dirty or plan.virtual or not plan.scans or not plan.pushable:
            return await self._local(plan, context, facts, dirty, pushed=context.mode != "local")
        if context.mode in ("auto", "whole"):
            try:
                if plan.is_spread:
                    raise WholeNotPossible("a fragment reads one partition of a table")
                return await self._whole(plan, context, facts)
            except WholeNotPossible:
                if context.mode == "whole":
                    raise
        if context.mode == "local":
            return await self._local(plan, context, facts, dirty, pushed=False)
        if plan.partial is not None:
            return await self._split(plan, context, facts)
        facts.path = "per_store"
        return await self._local(plan, context, facts, dirty, pushed=True)

    # --- through indexes ---

    async def index_reads(self, plan: QueryPlan, context: ReadContext) -> dict[str, IndexRead] | None:
        """The paths to take for the query's scans, if it is to be read through indexes."""
        forced = any(path.forced for scan in plan.scans for path in scan.paths)
        if plan.virtual or (context.mode != "auto" and not forced):
            return None
        return await choose_paths(plan, self._reader(context), context.ts, self._statistics)

    async def _indexed(
        self, plan: QueryPlan, reads: Mapping[str, IndexRead], context: ReadContext, facts: RunFacts
    ) -> pa.Table:
        """Every scan through its path, the query here over the few rows there are."""
        facts.path, facts.reads = "index", dict(reads)
        sources = {}
        for scan in plan.scans:
            batch = await fetch_rows(scan, reads[scan.name], self._reader(context))
            facts.rows_fetched[scan.name] = batch.num_rows
            sources[scan.name] = ScanSource([batch], scan.schema.arrow_schema(scan.columns))
        return await self._here(plan.sql, sources | _held(plan), context, facts)

    def _reader(self, context: ReadContext) -> KvSnapshot:
        return context.txn if context.txn is not None else self._client.snapshot(context.ts)

    # --- in the stores ---

    async def _whole(self, plan: QueryPlan, context: ReadContext, facts: RunFacts) -> pa.Table:
        table = await self._fragment(plan.fragment(), plan.scans, context, facts, "whole", "")
        facts.path = "whole"
        return table

    async def _split(self, plan: QueryPlan, context: ReadContext, facts: RunFacts) -> pa.Table:
        assert plan.partial is not None
        facts.path = "per_store"
        whole = plan.fragment()
        pushed = Fragment(plan.partial.fragment_sql, whole.scans, rowwise=plan.partial.rowwise)
        partials = await self._each(pushed, plan.scans[0].physical(), context, facts, "")
        if plan.partial.merge_sql is None:
            return partials
        source = {MERGE_INPUT: ScanSource(partials.to_batches(), partials.schema)}
        return await self._here(plan.partial.merge_sql, source, context, facts)

    async def _fragment(
        self,
        fragment: Fragment,
        scans: Sequence[ScanPlan],
        context: ReadContext,
        facts: RunFacts,
        mode: FragmentMode,
        name: str,
    ) -> pa.Table:
        ranges = {scan.name: list(scan.ranges) for scan in scans}
        result = await self._client.run_fragment(fragment.to_proto(), ranges, context.ts, mode, context.timeout_s)
        facts.summaries[name] = list(result.summaries)
        batches = list(result.batches)
        if result.schema is not None:
            return pa.Table.from_batches(batches, schema=result.schema)
        # No store held any of the ranges: the types come from running the fragment on nothing.
        empty = {scan.name: _empty(scan) for scan in scans}
        return await self._here(fragment.sql, empty, context, RunFacts())

    async def _each(
        self, fragment: Fragment, scans: Sequence[ScanPlan], context: ReadContext, facts: RunFacts, name: str
    ) -> pa.Table:
        """A fragment over one relation, run on each of the scans that make it up; their answers after one another."""
        found, summaries = list[pa.Table](), list[rutilepb.FragmentSummary]()
        for scan in scans:
            part = Fragment(fragment.sql, (fragment_scan(scan),), rowwise=fragment.rowwise)
            found.append(await self._fragment(part, [scan], context, facts, "per_store", name))
            summaries += facts.summaries[name]
        if not scans:
            nothing = {each.name: ScanSource([], each.schema.arrow_schema(each.columns)) for each in fragment.scans}
            return await self._here(fragment.sql, nothing, context, RunFacts())
        facts.summaries[name] = summaries
        return pa.concat_tables(found)

    # --- here ---

    async def _local(
        self, plan: QueryPlan, context: ReadContext, facts: RunFacts, dirty: set[str], *, pushed: bool
    ) -> pa.Table:
        """Fetch every scan (with the transaction's own writes where there are some), then run the query here."""
        fetched = await asyncio.gather(
            *(self._fetch(scan, context, facts, scan.name in dirty, pushed) for scan in plan.scans)
        )
        sources = {scan.name: source for scan, source in zip(plan.scans, fetched, strict=True)}
        for key in plan.virtual:
            rows = context.virtual[key]
            sources[relation_name(key)] = ScanSource([rows], rows.schema)
        return await self._here(plan.sql, sources | _held(plan), context, facts)

    async def _fetch(
        self, scan: ScanPlan, context: ReadContext, facts: RunFacts, is_dirty: bool, pushed: bool
    ) -> ScanSource:
        schema = scan.schema.arrow_schema(scan.columns)
        if is_dirty:
            assert context.txn is not None
            facts.overlaid.append(scan.name)
            batches = await overlaid_batches(scan, context.txn)
        else:
            fragment = fetch_fragment(scan, pushed=pushed)
            table = await self._each(fragment, scan.physical(), context, facts, scan.name)
            batches = table.cast(schema).to_batches()
        facts.rows_fetched[scan.name] = sum(batch.num_rows for batch in batches)
        return ScanSource(batches, schema)

    async def _here(
        self, sql: str, sources: Mapping[str, ScanSource], context: ReadContext, facts: RunFacts
    ) -> pa.Table:
        """Run `sql` over relations in this process, in a thread."""
        scans = tuple(Scan(name, _NO_SCHEMA, ()) for name in sources)
        fragment = Fragment(sql, scans, here=True)
        started = self._monotonic()
        table = await asyncio.to_thread(self._collect, fragment, dict(sources), context)
        facts.merge_seconds = self._monotonic() - started
        return table

    def _collect(self, fragment: Fragment, sources: dict[str, ScanSource], context: ReadContext) -> pa.Table:
        timeout_s = context.timeout_s
        with self._executor.run(fragment, sources, timeout_seconds=timeout_s, cancel=context.cancel) as pages:
            return pa.Table.from_batches(list(pages), schema=pages.schema)


_NO_SCHEMA = TableSchema(0, "", ())
"""The executor takes a relation's columns from its rows; a fragment's scans only need some schema."""


def _held(plan: QueryPlan) -> dict[str, ScanSource]:
    """The session's own relations that the query reads."""
    return {name: ScanSource(table.to_batches(), table.schema) for name, table in plan.held.items()}


def _empty(scan: ScanPlan) -> ScanSource:
    return ScanSource([], scan.schema.arrow_schema(scan.columns))


def _dirty_scans(plan: QueryPlan, txn: KvTransaction | None) -> set[str]:
    """The scans whose tables the transaction has written to."""
    if txn is None:
        return set()
    return {scan.name for scan in plan.scans if has_written(txn, scan)}


def has_written(txn: KvTransaction, scan: ScanPlan) -> bool:
    """Whether the transaction has written to the table that is scanned."""
    return any(next(iter(txn.buffer.items(*each)), None) is not None for each in scan.table.ranges)
