"""List-append histories: which isolation did these transactions really have?

Clients append unique elements to lists and read whole lists. A read then shows not only a version but all versions
before it in their order, so the order of all writes is known, and with it, who depends on whom (Adya's thesis; the idea
of using lists is from Kingsbury and Alvaro, "Elle", VLDB 2020):

    ww  T1 -> T2   T2's element comes right after T1's in a list
    wr  T1 -> T2   T2 read a list that ends with T1's element
    rw  T1 -> T2   T1 read a list to which T2's element came next: T1 did not see T2
    rt  T1 -> T2   T1 was acknowledged before T2 began (only with `realtime`)

In a serial execution all edges point forward in time. A cycle is an anomaly, named by the edges it needs. Snapshot
isolation allows exactly those cycles in which two rw edges follow each other (Fekete et al. 2005, Cerone and Gotsman
2016); write skew is the shortest. With rt edges the same rule judges *strong* snapshot isolation: a snapshot holds
everything acknowledged before it was taken.

Other anomalies need no graph: they show in a single read, or in one read beside another (`check_reads`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import pairwise

from checkers.cycles import Cycle, Edge, EdgeKind, find_cycles
from checkers.histories import Append, ListTransaction, Outcome, Read


class Anomaly(StrEnum):
    """What can go wrong, in Adya's names where he has one."""

    G0 = "G0: writes in a cycle (dirty write)"
    G1A = "G1a: a read saw an aborted transaction"
    G1B = "G1b: a read saw a state from the middle of a transaction"
    G1C = "G1c: information flowed in a circle"
    G_SINGLE = "G-single: a read missed part of what it should have seen (read skew)"
    G_NONADJACENT = "G-nonadjacent: several reads missed writes, none two in a row"
    G2_ITEM = "G2-item: write skew"
    LOST_UPDATE = "lost update: two transactions replaced the same version"
    LOST_APPEND = "an acknowledged append is gone"
    INTERNAL = "a transaction contradicts its own earlier steps"
    INCOMPATIBLE_ORDER = "two reads disagree about the order of a list"
    DUPLICATE = "a list has an element twice"
    GARBAGE = "a list has an element nobody appended"


ALLOWED_UNDER_SNAPSHOT_ISOLATION = frozenset({Anomaly.G2_ITEM})


@dataclass(frozen=True, slots=True)
class Finding:
    """One anomaly, and the evidence."""

    anomaly: Anomaly
    detail: str
    transactions: tuple[int, ...] = ()
    realtime: bool = False
    """Whether only the order of real time makes it one."""

    def __str__(self) -> str:
        return f"{self.anomaly.value}{' (in real time)' if self.realtime else ''}: {self.detail}"


@dataclass
class Verdict:
    """Everything found; `edges` tells how much there was to judge."""

    findings: list[Finding] = field(default_factory=list)
    edges: dict[EdgeKind, int] = field(default_factory=dict)

    def of(self, anomaly: Anomaly) -> list[Finding]:
        """The findings of one kind."""
        return [each for each in self.findings if each.anomaly is anomaly]

    @property
    def kinds(self) -> set[Anomaly]:
        return {each.anomaly for each in self.findings}

    @property
    def forbidden(self) -> list[Finding]:
        """What snapshot isolation does not allow."""
        return [each for each in self.findings if each.anomaly not in ALLOWED_UNDER_SNAPSHOT_ISOLATION]


def judge(history: Iterable[ListTransaction], *, realtime: bool = True) -> Verdict:
    """All anomalies of the history. `realtime` also holds the system to the order its clients saw.

    A transaction of unknown outcome counts as committed as soon as somebody has read one of its elements.
    """
    transactions = sorted(history, key=lambda each: each.id)
    book = _Book(transactions)
    verdict = Verdict()
    orders = {key: _longest(book, key) for key in book.keys}
    verdict.findings += check_reads(book, orders)
    graph = dependencies(book, orders, realtime)
    for edge in graph:
        verdict.edges[edge.kind] = verdict.edges.get(edge.kind, 0) + 1
    verdict.findings += [_finding(cycle) for cycle in find_cycles(graph)]
    return verdict


class _Book:
    """Who appended what, and who certainly or probably committed."""

    def __init__(self, transactions: Sequence[ListTransaction]) -> None:
        self.by_id = {each.id: each for each in transactions}
        self.writer = {
            (key, element): each
            for each in transactions
            for key, elements in each.appends().items()
            for element in elements
        }
        acknowledged = [each for each in transactions if each.outcome is Outcome.OK]
        seen = {
            self.writer[key, element].id
            for each in acknowledged
            for key, elements in _reads(each)
            for element in elements
            if (key, element) in self.writer
        }
        self.committed = [
            each
            for each in transactions
            if each.outcome is Outcome.OK or (each.outcome is Outcome.UNKNOWN and each.id in seen)
        ]
        self.keys = sorted({step.key for each in self.committed for step in each.steps})


def _reads(transaction: ListTransaction) -> list[tuple[int, tuple[int, ...]]]:
    return [(step.key, step.elements) for step in transaction.steps if isinstance(step, Read)]


def external_reads(transaction: ListTransaction) -> dict[int, tuple[int, ...]]:
    """What it found at each key that others had put there: its own appends taken off again."""
    found: dict[int, tuple[int, ...]] = {}
    own: dict[int, int] = {}
    for step in transaction.steps:
        if isinstance(step, Append):
            own[step.key] = own.get(step.key, 0) + 1
        elif step.key not in found:
            count = own.get(step.key, 0)
            found[step.key] = step.elements[: len(step.elements) - count]
    return found


def _longest(book: _Book, key: int) -> tuple[int, ...]:
    found = [elements for each in book.committed for where, elements in _reads(each) if where == key]
    return max(found, key=len, default=())


# --- what single reads tell -----------------------------------------------------------------------------------------


def check_reads(book: _Book, orders: dict[int, tuple[int, ...]]) -> list[Finding]:
    """Everything that can be seen without a graph."""
    findings: list[Finding] = []
    for each in book.committed:
        findings += _contradictions(each)
        for key, elements in _reads(each):
            findings += _odd_elements(book, each, key, elements)
            if elements != orders[key][: len(elements)]:
                detail = f"key {key}: {elements} and {orders[key]}"
                findings.append(Finding(Anomaly.INCOMPATIBLE_ORDER, detail, (each.id,)))
        for key, elements in external_reads(each).items():
            findings += _torn(book, each, key, elements)
    return findings + _lost_updates(book) + _lost_appends(book)


def _contradictions(transaction: ListTransaction) -> list[Finding]:
    """Within a transaction, a read shows what an earlier one showed and what was appended since."""
    expected: dict[int, tuple[int, ...]] = {}
    appended: dict[int, tuple[int, ...]] = {}
    for step in transaction.steps:
        if isinstance(step, Append):
            appended[step.key] = (*appended.get(step.key, ()), step.element)
            if step.key in expected:
                expected[step.key] = (*expected[step.key], step.element)
            continue
        own = appended.get(step.key, ())
        told = expected.get(step.key, step.elements[: len(step.elements) - len(own)] + own)
        if step.elements != told:
            detail = f"transaction {transaction.id} read {step.elements} at {step.key} instead of {told}"
            return [Finding(Anomaly.INTERNAL, detail, (transaction.id,))]
        expected[step.key] = step.elements
    return []


def _odd_elements(book: _Book, reader: ListTransaction, key: int, elements: tuple[int, ...]) -> list[Finding]:
    findings = []
    if len(set(elements)) < len(elements):
        findings.append(Finding(Anomaly.DUPLICATE, f"key {key}: {elements}", (reader.id,)))
    for element in elements:
        writer = book.writer.get((key, element))
        if writer is None:
            findings.append(Finding(Anomaly.GARBAGE, f"{element} at key {key}", (reader.id,)))
        elif writer.outcome is Outcome.FAILED:
            detail = f"{reader.id} read {element} of {writer.id} at key {key}"
            findings.append(Finding(Anomaly.G1A, detail, (writer.id, reader.id)))
    return findings


def _torn(book: _Book, reader: ListTransaction, key: int, elements: tuple[int, ...]) -> list[Finding]:
    """The last element read must be the last its writer appended there."""
    writer = book.writer.get((key, elements[-1])) if elements else None
    if writer is None or writer.id == reader.id or writer.appends()[key][-1] == elements[-1]:
        return []
    detail = f"{reader.id} read {elements} at key {key}; {writer.id} appended {writer.appends()[key]}"
    return [Finding(Anomaly.G1B, detail, (writer.id, reader.id))]


def _lost_updates(book: _Book) -> list[Finding]:
    """A transaction that reads a list and appends to it replaces the version it read: only one may."""
    replaced: dict[tuple[int, tuple[int, ...]], list[int]] = {}
    for each in book.committed:
        for key in each.appends():
            read = external_reads(each).get(key)
            if read is not None:
                replaced.setdefault((key, read), []).append(each.id)
    return [
        Finding(Anomaly.LOST_UPDATE, f"{ids} all read {read} at key {key}, and appended", tuple(ids))
        for (key, read), ids in replaced.items()
        if len(ids) > 1
    ]


def _lost_appends(book: _Book) -> list[Finding]:
    """What was acknowledged before a read began must be in it."""
    findings = []
    for key in book.keys:
        last = [each for each in book.committed if key in external_reads(each) and each.outcome is Outcome.OK]
        final = max(last, key=lambda each: each.invoked_s, default=None)
        if final is None:
            continue
        there = set(external_reads(final)[key])
        for writer in book.committed:
            gone = [element for element in writer.appends().get(key, ()) if element not in there]
            if gone and writer.id != final.id and writer.completed_s < final.invoked_s:
                detail = f"{gone} of {writer.id} at key {key} is not in what {final.id} read later"
                findings.append(Finding(Anomaly.LOST_APPEND, detail, (writer.id, final.id)))
    return findings


# --- the graph ------------------------------------------------------------------------------------------------------


def dependencies(book: _Book, orders: dict[int, tuple[int, ...]], realtime: bool) -> list[Edge]:
    """All edges, in a fixed order; none from a transaction to itself."""
    committed = {each.id for each in book.committed}
    edges: dict[Edge, None] = {}

    def writer_of(key: int, element: int) -> int | None:
        found = book.writer.get((key, element))
        return found.id if found is not None and found.id in committed else None

    def add(kind: EdgeKind, source: int | None, target: int | None, why: str) -> None:
        if source is not None and target is not None and source != target:
            edges[Edge(kind, source, target, why)] = None

    for key, order in orders.items():
        for before, after in pairwise(order):
            add(EdgeKind.WW, writer_of(key, before), writer_of(key, after), f"{before} before {after} at {key}")
    for each in book.committed:
        for key, elements in external_reads(each).items():
            if elements:
                add(EdgeKind.WR, writer_of(key, elements[-1]), each.id, f"{elements[-1]} seen at {key}")
            following = _next_of_another(book, orders[key], len(elements), key, each.id)
            if following is not None:
                add(EdgeKind.RW, each.id, writer_of(key, following), f"{following} not seen at {key}")
    return list(edges) + (_realtime_edges(book.committed) if realtime else [])


def _next_of_another(book: _Book, order: tuple[int, ...], at: int, key: int, reader: int) -> int | None:
    """The first element from `at` on that is not the reader's own."""
    for element in order[at:]:
        writer = book.writer.get((key, element))
        if writer is None or writer.id != reader:
            return element
    return None


def _realtime_edges(committed: Sequence[ListTransaction]) -> list[Edge]:
    """Two edges a transaction instead of one a pair: the moments at which one was acknowledged form a chain of nodes of
    their own (negative numbers); each leads to the next, and to the transactions that begin after it."""
    moments = sorted((each for each in committed if each.outcome is Outcome.OK), key=lambda each: each.completed_s)
    edges = [Edge(EdgeKind.RT, each.id, -at - 1, "acknowledged") for at, each in enumerate(moments)]
    edges += [Edge(EdgeKind.RT, -at - 1, -at - 2, "later") for at in range(len(moments) - 1)]
    at = 0
    for each in sorted(committed, key=lambda each: each.invoked_s):
        while at < len(moments) and moments[at].completed_s < each.invoked_s:
            at += 1
        if at:
            edges.append(Edge(EdgeKind.RT, -at, each.id, "began"))
    return edges


def _finding(cycle: Cycle) -> Finding:
    kinds = [edge.kind for edge in cycle.edges]
    skipped = kinds.count(EdgeKind.RW)
    if cycle.adjacent_rw:
        anomaly = Anomaly.G2_ITEM
    elif skipped:
        anomaly = Anomaly.G_SINGLE if skipped == 1 else Anomaly.G_NONADJACENT
    else:
        anomaly = Anomaly.G1C if EdgeKind.WR in kinds or EdgeKind.WW not in kinds else Anomaly.G0
    ids = tuple(edge.source for edge in cycle.edges if edge.source > 0)
    return Finding(anomaly, str(cycle), ids, EdgeKind.RT in kinds)
