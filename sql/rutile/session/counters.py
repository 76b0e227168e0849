"""What a session has done, in numbers: SHOW STATUS adds them up.

Each session counts for itself, so that counting costs an addition and needs no lock; when it ends, its numbers are
added to its front end's. SHOW GLOBAL STATUS is those of the ended ones and of those that are there.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import lru_cache

_SHAPES_REMEMBERED = 1024
_FIRST_WORDS = re.compile(
    r"(?:\s|\(|/\*.*?\*/|--\s[^\n]*\n|#[^\n]*\n)*([a-z_]+)(?:\s+([a-z_]+))?(?:\s+([a-z_]+))?", re.IGNORECASE | re.DOTALL
)
_TWO_WORDS = {
    "create": ("table", "index", "view", "user", "role", "database"),
    "drop": ("table", "index", "view", "user", "role", "database"),
    "alter": ("table", "user", "database"),
    "show": (
        "databases", "tables", "columns", "index", "variables", "status", "processlist", "warnings", "errors", "grants",
        "engines", "charset", "collation", "privileges", "triggers", "events", "plugins", "profiles",
    ),
    "rename": ("table", "user"), "lock": ("tables",), "unlock": ("tables",), "release": ("savepoint",),
}  # fmt: skip
_ONE_WORD = {
    "select": "select", "with": "select", "table": "select", "values": "select", "insert": "insert",
    "replace": "replace", "update": "update", "delete": "delete", "begin": "begin", "start": "begin",
    "commit": "commit", "rollback": "rollback", "savepoint": "savepoint", "set": "set_option", "use": "change_db",
    "load": "load", "kill": "kill", "prepare": "prepare_sql", "execute": "execute_sql", "deallocate": "dealloc_sql",
    "truncate": "truncate", "grant": "grant", "revoke": "revoke", "analyze": "analyze", "flush": "flush",
    "explain": "explain_other", "describe": "show_fields", "desc": "show_fields", "call": "call_procedure",
    "do": "do", "admin": "admin_commands",
}  # fmt: skip
_ALIASES = {
    "create_schema": "create_db", "create_database": "create_db", "drop_database": "drop_db", "drop_schema": "drop_db",
    "alter_database": "alter_db", "show_columns": "show_fields", "show_index": "show_keys",
    "show_charset": "show_charsets", "show_collation": "show_collations", "show_engines": "show_storage_engines",
}  # fmt: skip
_SHOWN = {"table": "show_create_table", "database": "show_create_db", "status": "show_table_status"}
_OF_PROTOCOL = (
    "stmt_prepare", "stmt_execute", "stmt_fetch", "stmt_close", "stmt_reset", "stmt_send_long_data", "admin_commands",
    "show_create_table", "show_create_db", "show_table_status",
)  # fmt: skip
COMMANDS = tuple(sorted({
    *_ONE_WORD.values(), *_OF_PROTOCOL,
    *(_ALIASES.get(name, name) for verb, nouns in _TWO_WORDS.items() for name in (f"{verb}_{noun}" for noun in nouns)),
}))  # fmt: skip
"""What is counted as Com_..., by MySQL's names."""


@lru_cache(_SHAPES_REMEMBERED)
def command_of(text: str) -> str | None:
    """The name that a statement is counted under; None for those that MySQL has no name for."""
    found = _FIRST_WORDS.match(text)
    if found is None:
        return None
    words = [word.lower() for word in found.groups() if word]
    if words[0] == "show":
        words = [word for word in words if word not in ("full", "global", "session")] or words
    if words[:2] == ["show", "create"] or words[:3] == ["show", "table", "status"]:
        return _SHOWN.get(words[-1])
    if len(words) > 1 and words[1] in ("unique", "fulltext") and words[-1] == "index":
        return f"{words[0]}_index"
    name = "_".join(words[:2])
    name = _ALIASES.get(name, name)
    return name if name in COMMANDS else _ONE_WORD.get(words[0])


def _commands() -> defaultdict[str, int]:
    return defaultdict(int)


@dataclass(slots=True)
class Counters:
    """One session's, or the sum of several."""

    questions: int = 0
    """Statements that clients sent."""
    slow_queries: int = 0
    bytes_received: int = 0
    bytes_sent: int = 0
    commands: defaultdict[str, int] = field(default_factory=_commands)
    """How often each of COMMANDS."""

    def count(self, text: str) -> None:
        """A statement has ended; `text` is its shape."""
        name = command_of(text)
        if name is not None:
            self.commands[name] += 1

    def add(self, other: Counters) -> None:
        self.questions += other.questions
        self.slow_queries += other.slow_queries
        self.bytes_received += other.bytes_received
        self.bytes_sent += other.bytes_sent
        for name, times in other.commands.items():
            self.commands[name] += times


@dataclass(frozen=True, slots=True)
class Encryption:
    """How a connection is encrypted; empty texts: it is not."""

    cipher: str = ""
    version: str = ""


class ServerCounters:
    """Those of one front end: of the sessions that have ended, and of what happens at its door."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._started_s = monotonic()
        self.ended = Counters()
        self.connections = 0
        """Who came to the door, let in or not."""
        self.most_connections = 0
        self.aborted_connects = 0
        """Who was not let in."""
        self.aborted_clients = 0
        """Who went without a word, or was given up."""
        self.refused_as_too_many = 0

    @property
    def uptime_s(self) -> int:
        return int(self._monotonic() - self._started_s)

    def came(self, connected: int) -> None:
        """A client has come to the door; `connected` are there with it."""
        self.connections += 1
        self.most_connections = max(self.most_connections, connected)

    def total(self, present: Iterable[Counters]) -> Counters:
        """The sum of the ended sessions and of those that are there."""
        total = Counters()
        total.add(self.ended)
        for each in present:
            total.add(each)
        return total
