"""Errors of the conversation itself, with MySQL's numbers."""

from __future__ import annotations

from rutile.errors import SqlError

ER_TOO_MANY_CONNECTIONS = 1040
ER_HANDSHAKE = 1043
ER_ACCESS_DENIED = 1045
ER_UNKNOWN_COMMAND = 1047
ER_NO_SUCH_THREAD = 1094
ER_PACKET_TOO_LARGE = 1153
ER_PACKETS_OUT_OF_ORDER = 1156
ER_UNKNOWN_STATEMENT = 1243
ER_INVALID_CHARACTERS = 1300
ER_TOO_MANY_PREPARED = 1461
ER_MALFORMED_PACKET = 1835

_CONNECTION = "08S01"


class ConversationOver(SqlError):
    """The two sides are out of step: after this error the connection is closed."""


def too_many_connections(limit: int) -> SqlError:
    return SqlError(ER_TOO_MANY_CONNECTIONS, f"Too many connections (limit {limit})", sqlstate="08004")


def bad_handshake(reason: str) -> ConversationOver:
    return ConversationOver(ER_HANDSHAKE, f"Bad handshake: {reason}", sqlstate=_CONNECTION)


def access_denied(user: str, host: str, with_password: bool) -> ConversationOver:
    used = "YES" if with_password else "NO"
    message = f"Access denied for user '{user}'@'{host}' (using password: {used})"
    return ConversationOver(ER_ACCESS_DENIED, message, sqlstate="28000")


def unknown_command(name: str) -> SqlError:
    return SqlError(ER_UNKNOWN_COMMAND, f"Unknown command: {name} is not supported", sqlstate=_CONNECTION)


def no_such_thread(thread_id: int) -> SqlError:
    return SqlError(ER_NO_SUCH_THREAD, f"Unknown thread id: {thread_id}")


def packet_too_large(limit: int) -> SqlError:
    message = f"Got a packet bigger than 'max_allowed_packet' bytes ({limit})"
    return SqlError(ER_PACKET_TOO_LARGE, message, sqlstate=_CONNECTION)


def out_of_order() -> ConversationOver:
    return ConversationOver(ER_PACKETS_OUT_OF_ORDER, "Got packets out of order", sqlstate=_CONNECTION)


def malformed_packet() -> SqlError:
    return SqlError(ER_MALFORMED_PACKET, "Malformed communication packet")


def unknown_statement(statement_id: int, command: str) -> SqlError:
    message = f"Unknown prepared statement handler ({statement_id}) given to {command}"
    return SqlError(ER_UNKNOWN_STATEMENT, message)


def too_many_prepared(limit: int) -> SqlError:
    message = f"Can't create more than max_prepared_stmt_count statements (current value: {limit})"
    return SqlError(ER_TOO_MANY_PREPARED, message, sqlstate="42000")


def invalid_characters(shown: str) -> SqlError:
    return SqlError(ER_INVALID_CHARACTERS, f"Invalid utf8mb4 character string: '{shown}'")
