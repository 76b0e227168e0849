"""The protocol's numbers."""

from __future__ import annotations

from enum import IntEnum, IntFlag

MAX_FRAGMENT_BYTES = 0xFFFFFF
"""A payload of this size or more goes in several packets; the last is shorter, and may be empty."""
NONCE_BYTES = 20
UTF8MB4_BIN = 46
"""What the greeting calls the server's character set."""
BINARY_CHARSET = 63


class Capability(IntFlag):
    """What client and server can agree on."""

    LONG_PASSWORD = 1
    FOUND_ROWS = 1 << 1
    LONG_FLAG = 1 << 2
    CONNECT_WITH_DB = 1 << 3
    ODBC = 1 << 6
    LOCAL_FILES = 1 << 7
    IGNORE_SPACE = 1 << 8
    PROTOCOL_41 = 1 << 9
    INTERACTIVE = 1 << 10
    SSL = 1 << 11
    IGNORE_SIGPIPE = 1 << 12
    TRANSACTIONS = 1 << 13
    SECURE_CONNECTION = 1 << 15
    MULTI_STATEMENTS = 1 << 16
    MULTI_RESULTS = 1 << 17
    PS_MULTI_RESULTS = 1 << 18
    PLUGIN_AUTH = 1 << 19
    CONNECT_ATTRS = 1 << 20
    PLUGIN_AUTH_LENENC_DATA = 1 << 21
    SESSION_TRACK = 1 << 23
    DEPRECATE_EOF = 1 << 24


OFFERED = Capability(sum(Capability)) & ~Capability.SSL
"""Everything above; TLS too where the server has a certificate."""


class Status(IntFlag):
    """Flags of OK and EOF packets."""

    IN_TRANSACTION = 1
    AUTOCOMMIT = 1 << 1
    MORE_RESULTS = 1 << 3
    CURSOR_EXISTS = 1 << 6
    LAST_ROW_SENT = 1 << 7
    SESSION_STATE_CHANGED = 1 << 14


class Command(IntEnum):
    """First byte of a command packet."""

    QUIT = 0x01
    INIT_DB = 0x02
    QUERY = 0x03
    FIELD_LIST = 0x04
    STATISTICS = 0x09
    PROCESS_KILL = 0x0C
    PING = 0x0E
    CHANGE_USER = 0x11
    STMT_PREPARE = 0x16
    STMT_EXECUTE = 0x17
    STMT_SEND_LONG_DATA = 0x18
    STMT_CLOSE = 0x19
    STMT_RESET = 0x1A
    SET_OPTION = 0x1B
    STMT_FETCH = 0x1C
    RESET_CONNECTION = 0x1F


class FieldType(IntEnum):
    """Types of columns and parameters."""

    DECIMAL = 0
    TINY = 1
    SHORT = 2
    LONG = 3
    FLOAT = 4
    DOUBLE = 5
    NULL = 6
    TIMESTAMP = 7
    LONGLONG = 8
    INT24 = 9
    DATE = 10
    TIME = 11
    DATETIME = 12
    YEAR = 13
    VARCHAR = 15
    BIT = 16
    JSON = 245
    NEWDECIMAL = 246
    ENUM = 247
    SET = 248
    TINY_BLOB = 249
    MEDIUM_BLOB = 250
    LONG_BLOB = 251
    BLOB = 252
    VAR_STRING = 253
    STRING = 254
    GEOMETRY = 255


class ColumnFlag(IntFlag):
    """Flags of column definitions."""

    BLOB = 1 << 4
    UNSIGNED = 1 << 5
    ZEROFILL = 1 << 6
    BINARY = 1 << 7
    ENUM = 1 << 8
    SET = 1 << 11
    NUMBER = 1 << 15
