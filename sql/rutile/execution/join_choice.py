"""How a join of several tables that no store has all of is run: what travels to what. Asked when the query runs.

Broadcast: the rows of all tables but the largest are brought here, and from here to every store, where they are joined
with its part of the largest. It is chosen if those rows are few (tidb_broadcast_join_threshold_size, _count), and
sending them out is less than bringing the largest here; a BROADCAST_JOIN hint leaves out the asking.

Runtime filters: where rows come here all the same, tables that are expected to be small come first, and what they tell
of the keys in a larger one goes with the fragment that reads it.

Both need statistics (ANALYZE, or what is collected by itself); of a table without them nothing is expected.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sqlglot import exp

from rutile.execution.index_read import Statistics
from rutile.planner.dialect import PartialQuery
from rutile.planner.query import QueryPlan
from rutile.planner.scans import ScanPlan
from rutile.statistics.estimate import scan_rows
from rutile_coprocessor.inputs import MAX_INPUT_BYTES, MAX_INPUT_ROWS, MAX_INPUTS

STORES = 3
"""To so many stores rows are expected to be sent: what the common cluster has."""
ROW_OVERHEAD_BYTES = 2
MAX_KEYS = 1 << 20
"""Keys a scan is filtered by, at most."""
WORTH = 0.5
"""A runtime filter should leave no more than this share of the rows."""


@dataclass(frozen=True)
class JoinLimits:
    """The session's variables on broadcast joins."""

    size_bytes: int = 100 << 20
    """tidb_broadcast_join_threshold_size: of the tables that travel, together. What a fragment may carry is less."""
    count: int = 10 * 1024
    """tidb_broadcast_join_threshold_count: rows of a table that is only read within a subquery."""


@dataclass(frozen=True)
class Expected:
    """What the statistics let expect of a scan."""

    rows: float
    size_bytes: float


@dataclass(frozen=True)
class Broadcast:
    """A join of `spread`, in the stores, with all other scans of the query."""

    spread: ScanPlan
    halves: PartialQuery
    is_forced: bool

    def others(self, plan: QueryPlan) -> list[ScanPlan]:
        return [scan for scan in plan.scans if scan.name != self.spread.name]


def expected(scan: ScanPlan, statistics: Statistics | None) -> Expected | None:
    """About how many rows of a scan meet its filters, and the bytes of its columns in them; None if nobody knows."""
    known = statistics.of(scan.schema.table_id) if statistics is not None else None
    if known is None:
        return None
    rows = scan_rows(scan, known)
    columns = [scan.schema.column(name) for name in scan.columns if scan.schema.has_column(name)]
    widths = (known.columns[column.id].width for column in columns if column.id in known.columns)
    return Expected(rows, rows * (ROW_OVERHEAD_BYTES + sum(widths)))


def choose_broadcast(
    plan: QueryPlan, dirty: Collection[str], statistics: Statistics | None, limits: JoinLimits
) -> Broadcast | None:
    """The scan to leave in the stores, if the query is best run so. `dirty` scans can only be read here."""
    if not 1 < len(plan.scans) <= MAX_INPUTS or plan.virtual or not plan.pushable:
        return None
    forced = is_forced(plan)
    guesses = {scan.name: expected(scan, statistics) for scan in plan.scans}
    if not forced and any(guess is None for guess in guesses.values()):
        return None
    for scan in _largest_first(plan, guesses):
        if scan.name in dirty:
            continue
        if not forced and not _is_worth(plan, scan, guesses, limits):
            return None
        halves = plan.joined(scan.name)
        if halves is not None:
            return Broadcast(scan, halves, forced)
    return None


def is_forced(plan: QueryPlan) -> bool:
    """Whether a hint asks for a broadcast join."""
    return bool(plan.hints.broadcast)


def _largest_first(plan: QueryPlan, guesses: dict[str, Expected | None]) -> list[ScanPlan]:
    """The scans in the order in which they are tried as the one that stays: tables named in a hint come last."""

    def order(place: int) -> tuple[bool, float, int]:
        scan = plan.scans[place]
        guess = guesses[scan.name]
        named = (scan.schema.database.lower(), scan.schema.name.lower()) in plan.hints.broadcast
        return named, -guess.size_bytes if guess is not None else 0.0, place

    return [plan.scans[place] for place in sorted(range(len(plan.scans)), key=order)]


def _is_worth(plan: QueryPlan, spread: ScanPlan, guesses: dict[str, Expected | None], limits: JoinLimits) -> bool:
    stays = guesses[spread.name]
    travel = {scan.name: guess for scan in plan.scans if scan is not spread and (guess := guesses[scan.name])}
    size = sum(guess.size_bytes for guess in travel.values())
    if stays is None or size > min(limits.size_bytes, MAX_INPUT_BYTES) or size * (1 + STORES) > stays.size_bytes:
        return False
    nested = _nested_tables(plan)
    return all(guess.rows <= (limits.count if name in nested else MAX_INPUT_ROWS) for name, guess in travel.items())


def _nested_tables(plan: QueryPlan) -> set[str]:
    """The scans that the query's own FROM does not name."""
    select = plan.expression
    source = select.args.get("from_")
    items = [source.this] if source is not None else []
    items += [join.this for join in select.args.get("joins") or []]
    named = {f"{item.db}.{item.name}".lower() for item in items if isinstance(item, exp.Table)}
    return {scan.name for scan in plan.scans} - named


# --- runtime filters --------------------------------------------------------------------------------------------------


def filtered_by(plan: QueryPlan, statistics: Statistics | None, here: Collection[str]) -> dict[str, list[int]]:
    """For each scan the numbers of those of its keys that are worth reading the other scan first; `here` are read."""
    if plan.dialect != "mysql" or len(plan.scans) < 2:
        return {}
    guesses = {scan.name: expected(scan, statistics) for scan in plan.scans}
    return {scan.name: _worth_keys(scan, guesses, statistics) for scan in plan.scans if scan.name not in here}


def _worth_keys(scan: ScanPlan, guesses: dict[str, Expected | None], statistics: Statistics | None) -> list[int]:
    mine = guesses[scan.name]
    known = statistics.of(scan.schema.table_id) if statistics is not None else None
    if mine is None or known is None:
        return []
    found = []
    for number, key in enumerate(scan.keys):
        other = guesses.get(key.other)
        column = known.columns.get(scan.schema.column(key.column).id)
        if other is None or column is None or other.rows > MAX_KEYS or other.rows >= mine.rows:
            continue
        if other.rows <= WORTH * max(1, column.distinct):
            found.append(number)
    return found


def in_turns(scans: Sequence[ScanPlan], filters: dict[str, list[int]]) -> list[list[ScanPlan]]:
    """The scans in groups to be read one after the other, each behind those its filters are made of.

    There is no circle: a filter is always of a scan with fewer rows.
    """
    left, turns, read = list(scans), list[list[ScanPlan]](), set[str]()
    while left:
        needs = {scan.name: {scan.keys[number].other for number in filters.get(scan.name, [])} for scan in left}
        waiting = {scan.name for scan in left}
        turn = [scan for scan in left if not needs[scan.name] & waiting]
        turns.append(turn)
        read |= {scan.name for scan in turn}
        left = [scan for scan in left if scan.name not in read]
    return turns
