"""A scan as a transaction sees it: the rows at its start, its own writes laid over them."""

from __future__ import annotations

import pyarrow as pa

from rutile.execution.index_read import row_ids
from rutile.planner.scans import ScanPlan
from rutile.session.storage import KvTransaction


async def overlaid_batches(scan: ScanPlan, txn: KvTransaction) -> list[pa.RecordBatch]:
    """The scan's columns of every row in its ranges. Reads keys and values: only tables written to come this way."""
    pairs: list[tuple[bytes, bytes]] = []
    for start, end in scan.ranges:
        pairs += await txn.scan(start, end)
    values = [value for _, value in pairs]
    return [scan.table.rows.decode_batch(values, row_ids(scan, pairs), scan.columns)]
