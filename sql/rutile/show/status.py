"""SHOW STATUS: what clients and monitoring read, by MySQL's names.

Without GLOBAL the session's own counts, and the front end's where a session has none. What is not counted here has no
row: no number is made up (Innodb_*, Handler_*, Key_*).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from rutile.session.counters import COMMANDS, Counters

if TYPE_CHECKING:
    from rutile.session.session import Session


def status_rows(session: Session, *, is_global: bool) -> list[tuple[str, str]]:
    """(name, value), by name."""
    server, sessions = session.shared.counters, session.shared.sessions
    counted = server.total(each.counters for each in sessions.values()) if is_global else session.counters
    values = {**dict(_counted(counted)), **dict(_of_server(session)), **dict(_of_session(session))}
    return [(name, str(value)) for name, value in sorted(values.items())]


def _counted(counted: Counters) -> Iterator[tuple[str, object]]:
    yield "Questions", counted.questions
    yield "Queries", counted.questions
    yield "Slow_queries", counted.slow_queries
    yield "Bytes_received", counted.bytes_received
    yield "Bytes_sent", counted.bytes_sent
    for name in COMMANDS:
        yield f"Com_{name}", counted.commands.get(name, 0)


def _of_server(session: Session) -> Iterator[tuple[str, object]]:
    server, sessions = session.shared.counters, session.shared.sessions
    catalog = session.shared.catalog.cached()
    yield "Uptime", server.uptime_s
    yield "Uptime_since_flush_status", server.uptime_s
    yield "Connections", server.connections
    yield "Max_used_connections", server.most_connections
    yield "Aborted_connects", server.aborted_connects
    yield "Aborted_clients", server.aborted_clients
    yield "Connection_errors_max_connections", server.refused_as_too_many
    yield "Threads_connected", len(sessions)
    yield "Threads_running", sum(each.activity.statement is not None for each in sessions.values())
    yield "Threads_cached", 0
    yield "Open_tables", len(catalog.tables) if catalog is not None else 0
    yield "Prepared_stmt_count", sum(each.prepared_count() for each in sessions.values())


def _of_session(session: Session) -> Iterator[tuple[str, object]]:
    yield "Ssl_cipher", session.encryption.cipher
    yield "Ssl_version", session.encryption.version
    yield "Compression", "OFF"
    yield "Last_query_cost", "0.000000"


def statistics_line(session: Session) -> str:
    """COM_STATISTICS: what `mysqladmin status` prints."""
    values = dict(status_rows(session, is_global=True))
    uptime, questions = max(int(values["Uptime"]), 1), int(values["Questions"])
    return (
        f"Uptime: {values['Uptime']}  Threads: {values['Threads_connected']}  Questions: {questions}"
        f"  Slow queries: {values['Slow_queries']}  Opens: 0  Flush tables: 0  Open tables: {values['Open_tables']}"
        f"  Queries per second avg: {questions / uptime:.3f}"
    )
