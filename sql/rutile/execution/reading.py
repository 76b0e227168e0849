"""What a query is read with, and what running it found out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pyarrow as pa

from rutile.execution.index_read import IndexRead
from rutile.execution.join_choice import Broadcast, JoinLimits, is_forced
from rutile.planner.hints import ENGINES, Complaint, not_broadcast
from rutile.planner.join_keys import JoinKey
from rutile.planner.query import QueryPlan
from rutile.session.storage import KvTransaction
from rutile_coprocessor.watchdog import CancelToken
from rutile_proto import rutilepb_pb2 as rutilepb

NO_TIMEOUT_S = 24 * 3600.0
"""A query without max_execution_time still ends."""


@dataclass
class RunFacts:
    """What running a query found out, for EXPLAIN ANALYZE."""

    path: str = "local"
    """index, whole, per_store, broadcast or local."""
    summaries: dict[str, list[rutilepb.FragmentSummary]] = field(default_factory=dict)
    """What the stores said, by the name of the scan fetched ("" for the query's own fragment)."""
    overlaid: list[str] = field(default_factory=list)
    """Scans read here because the transaction had written to them."""
    rows_fetched: dict[str, int] = field(default_factory=dict)
    reads: dict[str, IndexRead] = field(default_factory=dict)
    """The paths taken, by scan."""
    spread: Broadcast | None = None
    """The broadcast join that was run."""
    key_columns: Mapping[str, Sequence[JoinKey]] = field(default_factory=dict)
    """What the runtime filters of scans were made of."""
    seconds: float = 0.0
    merge_seconds: float = 0.0

    def complaints(self, plan: QueryPlan) -> list[Complaint]:
        """The hints that were not obeyed."""
        missed = is_forced(plan) and self.path != "broadcast"
        return [*plan.hints.complaints, *([not_broadcast()] if missed else [])]


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
    engines: frozenset[str] = frozenset(ENGINES)
    """The session's tidb_isolation_read_engines."""
    join_limits: JoinLimits = field(default_factory=JoinLimits)
