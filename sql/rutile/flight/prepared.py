"""Prepared statements: text with its bound parameters, by handle."""

from __future__ import annotations

import secrets
from collections import OrderedDict
from dataclasses import dataclass, field

from rutile.flight.problems import gone
from rutile.session.result import Row

MAX_STATEMENTS = 4096
"""The least recently used ones are forgotten beyond it; ADBC prepares everything it runs."""


@dataclass(slots=True)
class Prepared:
    """One prepared statement."""

    sql: str
    user: str
    transaction_id: bytes
    parameters: int
    rows: list[Row] = field(default_factory=list)
    """Bound by the last DoPut; each is one run of the statement."""


class PreparedStatements:
    """The prepared statements of all clients."""

    def __init__(self) -> None:
        self._known: OrderedDict[bytes, Prepared] = OrderedDict()

    def __len__(self) -> int:
        return len(self._known)

    def add(self, prepared: Prepared) -> bytes:
        """Its handle."""
        handle = secrets.token_bytes(16)
        self._known[handle] = prepared
        if len(self._known) > MAX_STATEMENTS:
            self._known.popitem(last=False)
        return handle

    def get(self, handle: bytes, user: str) -> Prepared:
        """The statement. Raises 1105 for one that is closed or somebody else's."""
        found = self._known.get(handle)
        if found is None or found.user != user:
            raise gone("no such prepared statement: it was closed, or many others were used since; prepare it again")
        self._known.move_to_end(handle)
        return found

    def close(self, handle: bytes, user: str) -> None:
        """Forget a statement; harmless if that has happened already."""
        found = self._known.get(handle)
        if found is not None and found.user == user:
            del self._known[handle]
