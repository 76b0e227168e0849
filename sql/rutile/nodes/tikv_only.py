"""A client that speaks TiKV's protocol and nothing else: for a TiKV cluster, or anything else behind TiKV's gRPC.

Rows lie there as Rutile lays them out, but nobody there runs fragments or takes bulk loads: rows are scanned as keys
and values and everything else happens here, in the front end's DuckDB. Point statements and transactions are the same.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

import pyarrow as pa

from rutile_coprocessor.execute import Limits
from rutile_coprocessor.execute import run_fragment as run_here
from rutile_coprocessor.fragment import Fragment, Scan
from rutile_coprocessor.row import RowCodec
from rutile_coprocessor.schema import HIDDEN_HANDLE
from rutile_kv.client.bulk_load import CommittedRows
from rutile_kv.client.client import Client
from rutile_kv.client.fragment_plan import FragmentMode, WholeNotPossible
from rutile_kv.client.fragment_result import FragmentResult
from rutile_kv.client.key_ranges import KeyRange
from rutile_kv.columnar.rows import handles_of
from rutile_proto import rutilepb_pb2 as rutilepb
from rutile_proto.errors import InvalidRequest


class TikvOnlyClient(Client):
    """`Client` without what only Rutile's stores answer."""

    runs_fragments = False

    async def run_fragment(
        self,
        fragment: rutilepb.Fragment,
        ranges: Mapping[str, Sequence[KeyRange]],
        ts: int,
        mode: FragmentMode,
        timeout_s: float,
    ) -> FragmentResult:
        """The fragment over rows fetched here. Raises WholeNotPossible in that mode, FragmentFailed."""
        if mode == "whole":
            raise WholeNotPossible("the stores speak TiKV's protocol only")
        asked = Fragment.from_proto(fragment)
        tables = {scan.name: [await self._rows(scan, ranges[scan.name], ts)] for scan in asked.scans}
        return await asyncio.to_thread(_run, asked, tables, timeout_s)

    async def _rows(self, scan: Scan, ranges: Sequence[KeyRange], ts: int) -> pa.RecordBatch:
        snapshot = self.snapshot(ts)
        pairs = [pair for start, end in ranges for pair in await snapshot.scan(start, end)]
        handles = handles_of([key for key, _ in pairs]) if HIDDEN_HANDLE in scan.columns and pairs else None
        if not pairs:
            return pa.RecordBatch.from_pylist([], schema=scan.schema.arrow_schema(scan.columns))
        return RowCodec(scan.schema).decode_batch([value for _, value in pairs], handles, scan.columns)

    async def bulk_write(
        self, kinds: bytes, storage_keys: Sequence[bytes], keys: Sequence[bytes], values: Sequence[bytes]
    ) -> None:
        """InvalidRequest: TiKV takes no versions past its transactions."""
        raise InvalidRequest("bulk loading needs Rutile's own stores; insert the rows in transactions")

    async def warm_mirrors(
        self, fragment: rutilepb.Fragment, ranges: Mapping[str, Sequence[KeyRange]], ts: int, timeout_s: float
    ) -> None:
        """Such stores have no mirror."""

    async def bulk_load(self, rows: CommittedRows) -> None:
        """InvalidRequest, likewise."""
        raise InvalidRequest("bulk loading needs Rutile's own stores; insert the rows in transactions")


def _run(fragment: Fragment, tables: Mapping[str, Sequence[pa.RecordBatch]], timeout_s: float) -> FragmentResult:
    with run_here(fragment, tables, Limits(timeout_seconds=timeout_s)) as pages:
        return FragmentResult(list(pages), [], pages.schema)
