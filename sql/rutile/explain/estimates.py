"""estRows in EXPLAIN: what the statistics of analyzed tables let expect; N/A above what they can tell of."""

from __future__ import annotations

import re
from collections.abc import Mapping

from rutile.planner.query import QueryPlan
from rutile.planner.scans import ScanPlan
from rutile.planner.tree import PlanNode
from rutile.statistics.estimate import scan_rows
from rutile.statistics.known import KnownStatistics
from rutile.statistics.model import TableStatistics

_UNKNOWN = "N/A"
_COUNT = re.compile(r"count:(\d+)")
_SCANS = ("TableFullScan", "TableRangeScan")
_SAME_ROWS = ("StoreReader", "TableReader", "Sort", "Projection", "Window", "ExchangeSender", "ExchangeReceiver")


def note_estimates(tree: PlanNode, plan: QueryPlan, statistics: KnownStatistics) -> None:
    """Fill in `est_rows` from the leaves up, where it is not told yet."""
    scans = {f"table:{scan.schema.name}".lower(): scan for scan in plan.scans}
    known = {scan.name: statistics.of(scan.schema.table_id) for scan in plan.scans}
    _note(tree, scans, known)


def _note(node: PlanNode, scans: Mapping[str, ScanPlan], known: Mapping[str, TableStatistics | None]) -> float | None:
    below = [_note(child, scans, known) for child in node.children]
    if node.est_rows != _UNKNOWN:
        return float(node.est_rows)
    rows = _rows(node, below, scans, known)
    if rows is not None:
        node.est_rows = f"{rows:.2f}"
    return rows


def _rows(
    node: PlanNode,
    below: list[float | None],
    scans: Mapping[str, ScanPlan],
    known: Mapping[str, TableStatistics | None],
) -> float | None:
    if node.name in _SCANS:
        scan = scans.get(node.access.lower().split(", partition:")[0])
        table = known[scan.name] if scan is not None else None
        # A full scan reads every row, whatever is kept of them; the conditions are the Selection's above it.
        return None if scan is None or table is None else float(table.rows) if scan.full else scan_rows(scan, table)
    if node.name == "Selection":
        return _selected(node, below, scans, known)
    if node.name == "HashAgg":
        one = "group by" not in node.info and "distinct" not in node.info
        return 1.0 if one and below[0] is not None else None
    if node.name in ("TopN", "Limit"):
        return _limited(node, below)
    if node.name in _SAME_ROWS and len(below) == 1:
        return below[0]
    return None


def _selected(
    node: PlanNode,
    below: list[float | None],
    scans: Mapping[str, ScanPlan],
    known: Mapping[str, TableStatistics | None],
) -> float | None:
    """Over one scan: the rows that meet the conditions known to be on it."""
    child = node.children[0]
    scan = scans.get(child.access.lower().split(", partition:")[0]) if child.name in _SCANS else None
    table = known[scan.name] if scan is not None else None
    if scan is None or table is None or not scan.filters:
        return None
    return min(scan_rows(scan, table), below[0] if below[0] is not None else float(table.rows))


def _limited(node: PlanNode, below: list[float | None]) -> float | None:
    found = _COUNT.search(node.info)
    return None if found is None or below[0] is None else min(float(found[1]), below[0])
