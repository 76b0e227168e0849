"""Errors of the conversation itself, with MySQL's numbers."""

from __future__ import annotations

from rutile.errors import SqlError

ER_TOO_MANY_CONNECTIONS = 1040
ER_OUT_OF_RESOURCES = 1041
ER_HANDSHAKE = 1043
ER_UNKNOWN_COMMAND = 1047
ER_PACKET_TOO_LARGE = 1153
ER_PACKETS_OUT_OF_ORDER = 1156
ER_UNKNOWN_STATEMENT = 1243
ER_NO_OPEN_CURSOR = 1421
ER_TOO_MANY_PREPARED = 1461
ER_MALFORMED_PACKET = 1835
ER_SECURE_TRANSPORT_REQUIRED = 3159
ER_CLIENT_LOCAL_FILES_DISABLED = 3948

_CONNECTION = "08S01"


class ConversationOver(SqlError):
    """The two sides are out of step: after this error the connection is closed."""


def too_many_connections(limit: int) -> SqlError:
    return SqlError(ER_TOO_MANY_CONNECTIONS, f"Too many connections (limit {limit})", sqlstate="08004")


def bad_handshake(reason: str) -> ConversationOver:
    return ConversationOver(ER_HANDSHAKE, f"Bad handshake: {reason}", sqlstate=_CONNECTION)


def over(error: SqlError) -> ConversationOver:
    """The same error, as the last word of the conversation."""
    return ConversationOver(error.code, error.message, sqlstate=error.sqlstate)


def tls_required() -> ConversationOver:
    message = "Connections using insecure transport are prohibited while --require_secure_transport=ON."
    return ConversationOver(ER_SECURE_TRANSPORT_REQUIRED, message)


def unknown_command(name: str) -> SqlError:
    return SqlError(ER_UNKNOWN_COMMAND, f"Unknown command: {name} is not supported", sqlstate=_CONNECTION)


def packet_too_large(limit: int) -> SqlError:
    message = f"Got a packet bigger than 'max_allowed_packet' bytes ({limit})"
    return SqlError(ER_PACKET_TOO_LARGE, message, sqlstate=_CONNECTION)


def out_of_order() -> ConversationOver:
    return ConversationOver(ER_PACKETS_OUT_OF_ORDER, "Got packets out of order", sqlstate=_CONNECTION)


def local_files_off() -> SqlError:
    message = "Loading local data is disabled; this must be enabled on both the client and server sides"
    return SqlError(ER_CLIENT_LOCAL_FILES_DISABLED, message, sqlstate="42000")


def malformed_packet() -> SqlError:
    return SqlError(ER_MALFORMED_PACKET, "Malformed communication packet")


def no_open_cursor(statement_id: int) -> SqlError:
    return SqlError(ER_NO_OPEN_CURSOR, f"The statement ({statement_id}) has no open cursor")


def too_many_cursors(limit: int) -> SqlError:
    message = f"Out of resources: {limit} cursors are open on this connection. Fetch them to the end, or close them"
    return SqlError(ER_OUT_OF_RESOURCES, message)


def unknown_statement(statement_id: int, command: str) -> SqlError:
    message = f"Unknown prepared statement handler ({statement_id}) given to {command}"
    return SqlError(ER_UNKNOWN_STATEMENT, message)


def too_many_prepared(limit: int) -> SqlError:
    message = f"Can't create more than max_prepared_stmt_count statements (current value: {limit})"
    return SqlError(ER_TOO_MANY_PREPARED, message, sqlstate="42000")
