"""Session tracking: what the OK packet says of changes to the session, to clients that asked for it."""

from __future__ import annotations

from rutile.mysql.constants import Capability
from rutile.mysql.wire import lenenc_bytes, lenenc_text
from rutile.session.session import Session
from rutile.session.tracking import StateChanges

_SYSTEM_VARIABLE, _SCHEMA, _STATE_CHANGE = b"\0", b"\1", b"\2"


def changes_of(session: Session, capabilities: Capability) -> bytes:
    """What there is to tell now; nothing to clients without CLIENT_SESSION_TRACK. It is told once."""
    changes = session.tracked.take(session.variables, session.database)
    if changes is None or Capability.SESSION_TRACK not in capabilities:
        return b""
    return b"".join(kind + lenenc_bytes(body) for kind, body in _entries(changes))


def _entries(changes: StateChanges) -> list[tuple[bytes, bytes]]:
    entries = [(_SYSTEM_VARIABLE, lenenc_text(name) + lenenc_text(value)) for name, value in changes.variables]
    if changes.database is not None:
        entries.append((_SCHEMA, lenenc_text(changes.database)))
    if changes.is_marked:
        entries.append((_STATE_CHANGE, lenenc_text("1")))
    return entries
