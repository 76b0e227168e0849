"""What EXPLAIN ANALYZE tells of each operator: rows, times, stores, and by which path rows were read."""

from __future__ import annotations

from collections.abc import Sequence

from rutile.execution.reading import RunFacts
from rutile.planner.tree import PlanNode
from rutile.session.result import Result
from rutile_proto import rutilepb_pb2 as rutilepb

MAX_SHOWN = 8
"""Keys and regions that are listed one by one."""


def time_text(seconds: float) -> str:
    return f"time:{seconds * 1000:.2f}ms"


def note_point(tree: PlanNode, result: Result, seconds: float) -> None:
    tree.act_rows = len(result.rows()) if result.has_rows else result.affected_rows
    tree.execution = f"{time_text(seconds)}, path:point"


def note_query(tree: PlanNode, facts: RunFacts, rows: int) -> None:
    tree.act_rows = rows
    tree.execution = _joined(time_text(facts.seconds), tree.execution)
    _note_readers(tree, facts)


def _note_readers(node: PlanNode, facts: RunFacts) -> None:
    """Tell each reader what its stores said, and each scan below it."""
    if node.name == "StoreReader":
        by_scan = next((name for name in facts.summaries if name and node.access == f"table:{name.split('.')[-1]}"), "")
        summaries = facts.summaries.get(by_scan, [])
        node.act_rows = sum(summary.rows_out for summary in summaries)
        node.execution = _joined(node.execution, *(_store_text(summary) for summary in summaries))
        for scan in _scan_nodes(node):
            _note_scan(scan, summaries)
    elif node.name == "UnionScan":
        node.act_rows = next(
            (
                count
                for name, count in facts.rows_fetched.items()
                if node.access.split(", partition:")[0] == f"table:{name.split('.')[-1]}"
            ),
            None,
        )
    for child in node.children:
        _note_readers(child, facts)
    if node.name in ("ExchangeSender", "ExchangeReceiver"):
        node.act_rows = node.children[0].act_rows


def _scan_nodes(node: PlanNode) -> list[PlanNode]:
    found = [node] if node.name in ("TableFullScan", "TableRangeScan") else []
    return found + [scan for child in node.children for scan in _scan_nodes(child)]


def _note_scan(node: PlanNode, summaries: Sequence[rutilepb.FragmentSummary]) -> None:
    scans = [
        scan
        for summary in summaries
        for scan in summary.scans
        if f"table:{scan.name.split('.')[-1]}" == node.access.lower().split(", partition:")[0]
    ]
    if not scans:
        return
    node.act_rows = sum(scan.rows_out for scan in scans)
    paths = ",".join(dict.fromkeys(scan.path for scan in scans if scan.path))
    pruned = sum(scan.chunks_pruned for scan in scans)
    chunks = f" chunks pruned:{pruned}/{sum(scan.chunks for scan in scans)}," if pruned else ""
    node.execution = (
        f"rows read:{sum(scan.rows_read for scan in scans)}, regions:{sum(scan.regions for scan in scans)},{chunks}"
        f" path:{paths or 'unknown'}, {time_text(sum(scan.seconds for scan in scans))}"
    )


def _store_text(summary: rutilepb.FragmentSummary) -> str:
    regions = ",".join(str(region) for region in summary.region_ids[:MAX_SHOWN])
    more = ",…" if len(summary.region_ids) > MAX_SHOWN else ""
    run = f"run:{summary.run_seconds * 1000:.2f}ms, wait:{summary.wait_seconds * 1000:.2f}ms"
    note = f", {summary.note}" if summary.note else ""
    return f"store {summary.store_id}: regions:[{regions}{more}], rows:{summary.rows_out}, {run}{note}"


def _joined(*parts: str) -> str:
    return "; ".join(part for part in parts if part)
