"""Runs query plans: through indexes, in one store, in every store with a merge here, or here over fetched scans.

In every store also joins, with the small tables sent along: see `join_choice` and `joins`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import pyarrow as pa

from rutile.execution.index_read import IndexRead, Statistics, choose_paths, fetch_rows
from rutile.execution.join_choice import Broadcast, choose_broadcast, filtered_by, is_forced
from rutile.execution.joins import Fetched, fetch_all, inputs_of
from rutile.execution.overlay import overlaid_batches
from rutile.execution.reading import NO_TIMEOUT_S, ReadContext, RunFacts
from rutile.execution.sources import NO_SCHEMA, dirty_scans, empty, held, nothing
from rutile.planner.fetch import KeyFilter, fetch_fragment
from rutile.planner.join_keys import JoinKey
from rutile.planner.query import QueryPlan, fragment_scan, relation_name
from rutile.planner.scans import ScanPlan
from rutile.session.storage import FragmentMode, KvClient, KvSnapshot, WholeNotPossible
from rutile_coprocessor.execute import Executor
from rutile_coprocessor.fragment import Fragment, Scan
from rutile_coprocessor.partial import MERGE_INPUT
from rutile_coprocessor.scan_source import ScanSource
from rutile_coprocessor.watchdog import CancelToken
from rutile_kv.env.interruptible import interruptible


class QueryRunner:
    """Runs plans for all sessions of a front end; `executor` gives its DuckDB."""

    def __init__(
        self,
        client: KvClient,
        executor: Callable[[], Executor],
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
        table = await self._dispatch(plan.on_engines(context.engines), context, facts)
        facts.seconds = self._monotonic() - started
        return table, facts

    async def on_nothing(self, plan: QueryPlan, limit: str = " LIMIT 0") -> pa.Table:
        """The plan's result without its rows: what its columns are. Nothing is run. Raises RutileError."""
        sources = {scan.name: empty(scan) for scan in plan.scans}
        for key in plan.virtual:
            name = relation_name(key)
            sources[name] = ScanSource([], plan.relations[name].arrow_schema())
        context = ReadContext(0, "local", None, {}, NO_TIMEOUT_S, CancelToken())
        sql = f"SELECT * FROM ({plan.sql}) AS nothing{limit}"
        return await self._here(sql, sources | held(plan), context, RunFacts())

    async def expected(self, plan: QueryPlan, context: ReadContext) -> RunFacts:
        """How the query would be run, as far as that can be told without running it. Only indexes are asked."""
        reads = await self.index_reads(plan, context)
        if reads is not None:
            return RunFacts("index", reads=reads)
        if plan.virtual or not plan.scans:
            return RunFacts("local")
        spread = self.broadcast(plan, context)
        forced = spread is not None and spread.is_forced
        if context.mode == "whole" or (context.mode == "auto" and plan.may_be_whole and not forced):
            return RunFacts("whole")
        if spread is not None:
            return RunFacts("broadcast", spread=spread, key_columns=self._expected_keys(plan, context))
        if context.mode == "local":
            return RunFacts("local")
        return RunFacts("per_store", key_columns=self._expected_keys(plan, context))

    def _expected_keys(self, plan: QueryPlan, context: ReadContext) -> dict[str, list[JoinKey]]:
        numbers = filtered_by(plan, self._statistics, dirty_scans(plan, context.txn))
        return {scan.name: [scan.keys[number] for number in numbers.get(scan.name, [])] for scan in plan.scans}

    async def types_of(self, plan: QueryPlan) -> tuple[list[str], list[str]]:
        """The names and DuckDB's types of the plan's result. Nothing is run. Raises RutileError."""
        names = (await self.on_nothing(plan)).column_names
        places = [f"c{place}" for place in range(len(names))]
        kinds = ", ".join(f"TYPEOF(ANY_VALUE({place})) AS {place}" for place in places)
        typed = replace(plan, sql=f"SELECT {kinds} FROM ({plan.sql}) AS nothing({', '.join(places)}) WHERE FALSE")
        rows = (await self.on_nothing(typed, "")).to_pylist()
        return list(names), [rows[0][place] for place in places]

    async def _dispatch(self, plan: QueryPlan, context: ReadContext, facts: RunFacts) -> pa.Table:
        dirty = dirty_scans(plan, context.txn)
        reads = await self.index_reads(plan, context)
        if reads is not None:
            return await self._indexed(plan, reads, context, facts)
        if plan.virtual or not plan.scans or not plan.pushable:
            return await self._local(plan, context, facts, dirty, pushed=context.mode != "local")
        broadcast = self.broadcast(plan, context) if is_forced(plan) else None
        if broadcast is not None:
            return await self._broadcast(plan, broadcast, context, facts, dirty)
        if not dirty and context.mode in ("auto", "whole"):
            try:
                return await self._whole(plan, context, facts)
            except WholeNotPossible:
                if context.mode == "whole":
                    raise
        if context.mode == "local":
            return await self._local(plan, context, facts, dirty, pushed=False)
        if plan.partial is not None and not dirty:
            return await self._split(plan, context, facts)
        broadcast = self.broadcast(plan, context)
        if broadcast is not None:
            return await self._broadcast(plan, broadcast, context, facts, dirty)
        facts.path = "local" if dirty else "per_store"
        return await self._local(plan, context, facts, dirty, pushed=True)

    # --- through indexes ---

    async def index_reads(self, plan: QueryPlan, context: ReadContext) -> dict[str, IndexRead] | None:
        """The paths to take for the query's scans, if it is to be read through indexes."""
        forced = any(path.forced for scan in plan.scans for path in scan.paths)
        if plan.virtual or ((context.mode != "auto" or is_forced(plan)) and not forced):
            return None
        plan = plan.on_engines(context.engines)
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
        return await self._here(plan.sql, sources | held(plan), context, facts)

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
        partials = await self._fragment(pushed, plan.scans, context, facts, "per_store", "")
        if plan.partial.merge_sql is None:
            return partials
        source = {MERGE_INPUT: ScanSource(partials.to_batches(), partials.schema)}
        return await self._here(plan.partial.merge_sql, source, context, facts)

    def broadcast(self, plan: QueryPlan, context: ReadContext) -> Broadcast | None:
        """The broadcast join to run the query by, should it come to a join of what several stores have."""
        if context.mode in ("whole", "local"):
            return None
        return choose_broadcast(plan, dirty_scans(plan, context.txn), self._statistics, context.join_limits)

    async def _broadcast(
        self, plan: QueryPlan, broadcast: Broadcast, context: ReadContext, facts: RunFacts, dirty: set[str]
    ) -> pa.Table:
        """The small scans here, and from here to every store; if they turn out to be large, the other scan here too."""
        others, fetched = broadcast.others(plan), Fetched()
        await self._fetch_all(replace(plan, scans=tuple(others)), context, facts, dirty, fetched)
        inputs = inputs_of(broadcast, fetched.sources, context.join_limits.size_bytes)
        if inputs is None:
            facts.path = "per_store"
            return await self._local(plan, context, facts, dirty, pushed=True, fetched=fetched)
        facts.path, facts.spread, facts.key_columns = "broadcast", broadcast, fetched.keys
        halves, spread = broadcast.halves, broadcast.spread
        pushed = Fragment(halves.fragment_sql, (fragment_scan(spread),), inputs=inputs)
        partials = await self._fragment(pushed, [spread], context, facts, "per_store", "")
        if halves.merge_sql is None:
            return partials
        source = {MERGE_INPUT: ScanSource(partials.to_batches(), partials.schema)}
        return await self._here(halves.merge_sql, source, context, facts)

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
        return await self._here(fragment.sql, nothing(fragment), context, RunFacts())

    # --- here ---

    async def _local(
        self,
        plan: QueryPlan,
        context: ReadContext,
        facts: RunFacts,
        dirty: set[str],
        *,
        pushed: bool,
        fetched: Fetched | None = None,
    ) -> pa.Table:
        """Fetch every scan (with the transaction's own writes where there are some), then run the query here."""
        fetched = fetched or Fetched()
        await self._fetch_all(plan, context, facts, dirty, fetched, pushed=pushed)
        facts.key_columns = fetched.keys
        sources = dict(fetched.sources)
        for key in plan.virtual:
            rows = context.virtual[key]
            sources[relation_name(key)] = ScanSource([rows], rows.schema)
        return await self._here(plan.sql, sources | held(plan), context, facts)

    async def _fetch_all(
        self,
        plan: QueryPlan,
        context: ReadContext,
        facts: RunFacts,
        dirty: set[str],
        into: Fetched,
        *,
        pushed: bool = True,
    ) -> None:
        """Bring the scans that are not here yet; of the clean ones the rows whose keys smaller ones have."""

        async def fetch(scan: ScanPlan, filters: Sequence[KeyFilter]) -> ScanSource:
            if scan.name in dirty:
                return await self._overlaid(scan, context, facts)
            return await self._fetch(scan, context, facts, fetch_fragment(scan, pushed=pushed, filters=filters))

        filters = filtered_by(plan, self._statistics, dirty) if pushed else {}
        await fetch_all(plan.scans, filters, fetch, into)

    async def _overlaid(self, scan: ScanPlan, context: ReadContext, facts: RunFacts) -> ScanSource:
        """A scan with what the transaction has written."""
        assert context.txn is not None
        facts.overlaid.append(scan.name)
        batches = await overlaid_batches(scan, context.txn)
        facts.rows_fetched[scan.name] = sum(batch.num_rows for batch in batches)
        return ScanSource(batches, scan.schema.arrow_schema(scan.columns))

    async def _fetch(self, scan: ScanPlan, context: ReadContext, facts: RunFacts, fragment: Fragment) -> ScanSource:
        schema = scan.schema.arrow_schema(scan.columns)
        table = await self._fragment(fragment, [scan], context, facts, "per_store", scan.name)
        facts.rows_fetched[scan.name] = table.num_rows
        return ScanSource(table.cast(schema).to_batches(), schema)

    async def _here(
        self, sql: str, sources: Mapping[str, ScanSource], context: ReadContext, facts: RunFacts
    ) -> pa.Table:
        """Run `sql` over relations in this process, in a thread, which has ended when this has."""
        scans = tuple(Scan(name, NO_SCHEMA, ()) for name in sources)
        fragment = Fragment(sql, scans, here=True)
        started = self._monotonic()
        work = asyncio.get_running_loop().run_in_executor(None, self._collect, fragment, dict(sources), context)
        table = await interruptible(work, lambda: context.cancel.cancel("nobody waits for its result"))
        facts.merge_seconds = self._monotonic() - started
        return table

    def _collect(self, fragment: Fragment, sources: dict[str, ScanSource], context: ReadContext) -> pa.Table:
        timeout_s = context.timeout_s
        with self._executor().run(fragment, sources, timeout_seconds=timeout_s, cancel=context.cancel) as pages:
            return pa.Table.from_batches(list(pages), schema=pages.schema)
