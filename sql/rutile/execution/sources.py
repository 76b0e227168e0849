"""Relations that are made here for DuckDB to read, and which scans can only be read here."""

from __future__ import annotations

from rutile.planner.query import QueryPlan
from rutile.planner.scans import ScanPlan
from rutile.session.storage import KvTransaction
from rutile_coprocessor.fragment import Fragment
from rutile_coprocessor.scan_source import ScanSource
from rutile_coprocessor.schema import TableSchema

NO_SCHEMA = TableSchema(0, "", ())
"""The executor takes a relation's columns from its rows; a fragment's scans only need some schema."""


def held(plan: QueryPlan) -> dict[str, ScanSource]:
    """The session's own relations that the query reads."""
    return {name: ScanSource(table.to_batches(), table.schema) for name, table in plan.held.items()}


def nothing(fragment: Fragment) -> dict[str, ScanSource]:
    """What a fragment reads where there are no rows."""
    scans = {each.name: ScanSource([], each.schema.arrow_schema(each.columns)) for each in fragment.scans}
    inputs = {each.name: each.table() for each in fragment.inputs}
    return scans | {name: ScanSource(table.to_batches(), table.schema) for name, table in inputs.items()}


def empty(scan: ScanPlan) -> ScanSource:
    return ScanSource([], scan.schema.arrow_schema(scan.columns))


def dirty_scans(plan: QueryPlan, txn: KvTransaction | None) -> set[str]:
    """The scans whose tables the transaction has written to."""
    if txn is None:
        return set()
    return {scan.name for scan in plan.scans if has_written(txn, scan)}


def has_written(txn: KvTransaction, scan: ScanPlan) -> bool:
    """Whether the transaction has written to the table that is scanned."""
    return any(next(iter(txn.buffer.items(*each)), None) is not None for each in scan.table.ranges)
