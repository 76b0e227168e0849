"""What of a session changed since its client was last told: CLIENT_SESSION_TRACK's three kinds.

Pools and proxies follow a connection by it: which database it is in, the variables that
`session_track_system_variables` names (`*`: every one), and, where `session_track_state_change` is on, that something
changed at all.
"""

from __future__ import annotations

from dataclasses import dataclass

from rutile.session.variables import SessionVariables


@dataclass(frozen=True, slots=True)
class StateChanges:
    """What a client is told."""

    variables: tuple[tuple[str, str], ...] = ()
    database: str | None = None
    """The new one, if it is another; empty for none."""
    is_marked: bool = False
    """That there was a change, for who wants to know no more."""


class SessionChanges:
    """Notes changes until they are taken."""

    def __init__(self) -> None:
        self._variables: dict[str, None] = {}
        self._has_moved = False

    def changed(self, name: str) -> None:
        """A session variable was set, be it to the value it had."""
        self._variables[name] = None

    def moved(self) -> None:
        """The session is in a database that was named."""
        self._has_moved = True

    def take(self, variables: SessionVariables, database: str | None) -> StateChanges | None:
        """What there is to tell; None if nothing. It is told once."""
        if not self._variables and not self._has_moved:
            return None
        names, has_moved = list(self._variables), self._has_moved
        self._variables, self._has_moved = {}, False
        told = StateChanges(
            tuple((name, variables.shown(name)) for name in names if _is_tracked(name, variables)),
            (database or "") if has_moved and variables.get("session_track_schema") else None,
            bool(variables.get("session_track_state_change")),
        )
        return None if told == StateChanges() else told


def _is_tracked(name: str, variables: SessionVariables) -> bool:
    tracked = [each.strip().lower() for each in str(variables.get("session_track_system_variables")).split(",")]
    return "*" in tracked or name in tracked
