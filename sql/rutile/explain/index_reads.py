"""Index reads in EXPLAIN, under TiDB's names.

IndexLookUp       the entries of a range (Build), then the rows they lead to (Probe)
IndexReader       the entries alone: they hold all that is asked for
TableReader       rows by primary key in their order, for ORDER BY ... LIMIT
"""

from __future__ import annotations

from rutile.execution.index_read import IndexRead
from rutile.planner.scans import ScanPlan
from rutile.planner.tree import ROOT, STORE, PlanNode
from rutile.rows.index_access import IndexAccess


def index_text(index: IndexAccess) -> str:
    """An index with its columns, as the access object names it."""
    return f"index:{index.info.name}({', '.join(column.name for column in index.columns)})"


def table_text(scan: ScanPlan) -> str:
    """A table as the access object names it, with its partitions that are read."""
    if scan.table.partitions is None or scan.partitions is None:
        return f"table:{scan.schema.name}"
    names = [scan.table.partitions.names[number] for number in scan.partitions]
    shown = "all" if len(names) == len(scan.table.partitions) else ",".join(names) or "dual"
    return f"table:{scan.schema.name}, partition:{shown}"


def index_node(scan: ScanPlan, read: IndexRead) -> PlanNode:
    """The operators of one scan through an index."""
    path, count = read.path, str(len(read.entries))
    table = table_text(scan)
    keeps = path.limit is not None
    order = f"keep order:{str(keeps).lower()}{', desc' if path.reverse else ''}"
    if path.index is None:
        full = not path.ranges.equal and not path.ranges.bounded
        info = order if full else f"range:{path.ranges.shown}, {order}"
        name = "TableFullScan" if full else "TableRangeScan"
        return _read_by("TableReader", PlanNode(name, STORE, table, info, est_rows=count), path.limit)
    full = not path.ranges.equal and not path.ranges.bounded
    info = order if full else f"range:{path.ranges.shown}, {order}"
    name = "IndexFullScan" if full else "IndexRangeScan"
    entries = PlanNode(name, STORE, f"{table}, {index_text(path.index)}", info, est_rows=count)
    if path.covering:
        return _read_by("IndexReader", entries, path.limit)
    entries.name += "(Build)"
    rows = PlanNode("TableRowIDScan(Probe)", STORE, table, order.split(",")[0], est_rows=count)
    limit = f"limit embedded(offset:0, count:{path.limit})" if path.limit is not None else ""
    return PlanNode("IndexLookUp", ROOT, "", limit, [entries, rows], est_rows=count)


def _read_by(reader: str, scan: PlanNode, limit: int | None) -> PlanNode:
    child = scan
    if limit is not None:
        child = PlanNode("Limit", STORE, info=f"offset:0, count:{limit}", children=[scan], est_rows=scan.est_rows)
    return PlanNode(reader, ROOT, children=[child], est_rows=scan.est_rows)
