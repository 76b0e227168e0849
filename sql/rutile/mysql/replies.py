"""The short answers: OK, an error, the end of something."""

from __future__ import annotations

from rutile.errors import SqlError
from rutile.mysql.constants import Capability, Status
from rutile.mysql.wire import lenenc_bytes, lenenc_int, lenenc_text
from rutile.session.charsets import UTF8MB4, Charset
from rutile.session.session import Session

MAX_MESSAGE_BYTES = 512
"""MySQL's clients keep error texts in a buffer of this size."""
_OK, _EOF, _ERROR = b"\x00", b"\xfe", b"\xff"
_STATUSES = {
    (autocommit, in_transaction): Status(Status.AUTOCOMMIT * autocommit | Status.IN_TRANSACTION * in_transaction)
    for autocommit in (False, True)
    for in_transaction in (False, True)
}


def status_of(session: Session) -> Status:
    """The flags that tell a client where its session stands."""
    return _STATUSES[session.autocommit, session.in_transaction]


def ok(
    status: Status,
    *,
    affected_rows: int = 0,
    last_insert_id: int = 0,
    warnings: int = 0,
    info: str = "",
    changes: bytes = b"",
) -> bytes:
    """OK after a statement without rows; `changes` is what `session_track` says of the session."""
    if not changes:
        return _ok(_OK, status, affected_rows, last_insert_id, warnings, info)
    changed = status | Status.SESSION_STATE_CHANGED
    told = _ok(_OK, changed, affected_rows, last_insert_id, warnings, info)
    return told + (b"" if info else lenenc_text("")) + lenenc_bytes(changes)


def end_of_rows(capabilities: Capability, status: Status, warnings: int) -> bytes:
    """The packet after the last row: since DEPRECATE_EOF an OK that begins as EOF did."""
    if Capability.DEPRECATE_EOF in capabilities:
        return _ok(_EOF, status, 0, 0, warnings, "")
    return eof(status, warnings)


def eof(status: Status, warnings: int = 0) -> bytes:
    """EOF; after column definitions only to clients without DEPRECATE_EOF."""
    return _EOF + min(warnings, 0xFFFF).to_bytes(2, "little") + int(status).to_bytes(2, "little")


def _ok(first: bytes, status: Status, affected_rows: int, last_insert_id: int, warnings: int, info: str) -> bytes:
    return b"".join((
        first,
        lenenc_int(affected_rows),
        lenenc_int(last_insert_id),
        int(status).to_bytes(2, "little"),
        min(warnings, 0xFFFF).to_bytes(2, "little"),
        lenenc_text(info) if info else b"",
    ))  # fmt: skip


def error(failure: SqlError, *, with_sqlstate: bool = True, charset: Charset = UTF8MB4) -> bytes:
    """ERR; before the capabilities are agreed on it goes without the SQLSTATE."""
    state = b"#" + failure.sqlstate.encode() if with_sqlstate else b""
    return _ERROR + failure.code.to_bytes(2, "little") + state + _shortened(failure.message, charset)


def _shortened(message: str, charset: Charset) -> bytes:
    """At most MAX_MESSAGE_BYTES, cut between characters."""
    if not charset.is_utf8:
        return charset.nearest(message[: MAX_MESSAGE_BYTES // charset.max_bytes])
    return message.encode("utf-8", "replace")[:MAX_MESSAGE_BYTES].decode("utf-8", "ignore").encode()
