"""A scan as a transaction sees it: the rows at its start, its own writes laid over them."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from rutile.planner.scans import ScanPlan
from rutile.storage import KvTransaction
from rutile_coprocessor.schema import HIDDEN_HANDLE


async def overlaid_batches(scan: ScanPlan, txn: KvTransaction) -> list[pa.RecordBatch]:
    """The scan's columns of every row in its ranges. Reads keys and values: only tables written to come this way."""
    pairs: list[tuple[bytes, bytes]] = []
    for start, end in scan.ranges:
        pairs += await txn.scan(start, end)
    values = [value for _, value in pairs]
    return [scan.table.rows.decode_batch(values, row_ids(scan, pairs), scan.columns)]


def row_ids(scan: ScanPlan, pairs: list[tuple[bytes, bytes]]) -> np.ndarray[tuple[int], np.dtype[np.int64]] | None:
    """The hidden row ids in the keys, if the scan asks for them."""
    if HIDDEN_HANDLE not in scan.columns:
        return None
    return np.fromiter((scan.table.row_id_of(key) for key, _ in pairs), np.int64, len(pairs))
