"""What the statements of this front end were: counts, latencies and rows by digest, and the slow ones one by one.

A digest is a statement with its literals taken out. Summaries are kept for the current window and a few before it, the
least recently run ones dropped where there are too many; the slow ones are kept in a ring, and written to a file if
there is one. Nothing is kept of texts that may hold a password but the text without its literals.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, TextIO

from rutile.rows.temporal import format_datetime
from rutile_proto.values import valueclass

if TYPE_CHECKING:
    from rutile.explain.plan_text import PlanText

WINDOW_S = 1800
"""TiDB's tidb_stmt_summary_refresh_interval."""
WINDOWS_KEPT = 24
DIGESTS_KEPT = 3000
SLOW_KEPT = 1000
LONGEST_TEXT = 4096
MakePlan = Callable[[], "PlanText"]
_SECRETIVE = ("create user", "alter user", "set password", "grant ", "identified ")


@valueclass
class Ran:
    """One statement that has ended."""

    shape: str
    sql: str
    database: str
    user: str
    host: str
    connection_id: int
    ended: datetime
    seconds: float
    rows_sent: int = 0
    rows_affected: int = 0
    warnings: int = 0
    failures: int = 0
    """1 if it failed."""

    @property
    def text(self) -> str:
        """What may be kept of the statement."""
        secretive = any(word in self.shape.lower() for word in _SECRETIVE)
        return (self.shape if secretive else self.sql)[:LONGEST_TEXT]

    @property
    def kind(self) -> str:
        """Its first word."""
        return self.shape.split(maxsplit=1)[0].strip("(").capitalize() if self.shape.strip() else ""


@dataclass(slots=True)
class Summary:
    """The statements of one digest in one window."""

    first: Ran
    last: Ran
    count: int = 0
    errors: int = 0
    warnings: int = 0
    seconds: float = 0.0
    longest_s: float = 0.0
    shortest_s: float = float("inf")
    rows_sent: int = 0
    rows_affected: int = 0
    plan: PlanText | None = None
    """Of the first that had one."""

    def add(self, ran: Ran) -> None:
        """Count one more."""
        self.last = ran
        self.count += 1
        self.errors += ran.failures
        self.warnings += ran.warnings
        self.seconds += ran.seconds
        self.longest_s = max(self.longest_s, ran.seconds)
        self.shortest_s = min(self.shortest_s, ran.seconds)
        self.rows_sent += ran.rows_sent
        self.rows_affected += ran.rows_affected


def digest_of(shape: str) -> str:
    """The name of all statements of this shape."""
    return hashlib.sha256(shape.lower().encode()).hexdigest()


@dataclass
class Window:
    """The summaries of one stretch of time, by (database, shape, user)."""

    begun: datetime
    summaries: OrderedDict[tuple[str, str, str], Summary] = field(default_factory=OrderedDict)

    def add(self, ran: Ran, plan: MakePlan | None = None) -> None:
        key = (ran.database, ran.shape, ran.user)
        known = self.summaries.get(key)
        if known is None:
            known = self.summaries[key] = Summary(ran, ran)
            if len(self.summaries) > DIGESTS_KEPT:
                self.summaries.popitem(last=False)
        else:
            self.summaries.move_to_end(key)
        known.add(ran)
        if known.plan is None and plan is not None:
            known.plan = plan()


class StatementHistory:
    """What has run on this front end."""

    def __init__(self, now: Callable[[], datetime], slow_file: TextIO | None = None) -> None:
        self._now = now
        self._slow_file = slow_file
        self.windows: deque[Window] = deque([Window(now())], WINDOWS_KEPT)
        """The current one last."""
        self.slow: deque[Ran] = deque(maxlen=SLOW_KEPT)

    def add(self, ran: Ran, slow_s: float, plan: MakePlan | None = None) -> None:
        """Note a statement; one of `slow_s` seconds or more is slow. `plan` is asked for once for each digest."""
        if (ran.ended - self.windows[-1].begun).total_seconds() >= WINDOW_S:
            self.windows.append(Window(ran.ended))
        self.windows[-1].add(ran, plan)
        if ran.seconds >= slow_s:
            self.slow.append(ran)
            if self._slow_file is not None:
                self._slow_file.write(slow_log_entry(ran))
                self._slow_file.flush()


def slow_log_entry(ran: Ran) -> str:
    """An entry of the slow query log, as TiDB and MySQL write it."""
    text = " ".join(ran.text.split())
    return (
        f"# Time: {format_datetime(ran.ended).replace(' ', 'T')}Z\n"
        f"# User@Host: {ran.user}[{ran.user}] @ {ran.host} [{ran.host}]\n"
        f"# Conn_ID: {ran.connection_id}\n"
        f"# Query_time: {ran.seconds:.6f}\n"
        f"# DB: {ran.database}\n"
        f"# Digest: {digest_of(ran.shape)}\n"
        f"# Result_rows: {ran.rows_sent}\n"
        f"# Succ: {'false' if ran.failures else 'true'}\n"
        f"{text};\n"
    )
