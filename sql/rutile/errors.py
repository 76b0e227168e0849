"""SQL errors with MySQL's codes, and how the errors of the floors below become them.

One class, `SqlError`, because a client tells errors apart by number: `code` is MySQL's (or TiDB's, from 8000 and 9000
up), `sqlstate` its five characters, `retryable` whether running the same transaction again may succeed. The functions
below name each error once, so that a message reads the same wherever it arises.

    code  sqlstate  when
    1007  HY000     CREATE DATABASE of one that exists          1264  22003  a number does not fit its column
    1008  HY000     DROP DATABASE of one that does not          1292  22007  a text is no date, time or number
    1044  42000     a write to information_schema               1305  42000  no such function
    1046  3D000     no database chosen                          1317  70100  interrupted by KILL or cancel()
    1048  23000     NULL for a NOT NULL column                  1364  HY000  no value and no default
    1049  42000     unknown database                            1366  HY000  a value of the wrong kind for its column
    1050  42S01     CREATE TABLE of one that exists             1406  22001  a text is longer than its column
    1051  42S02     DROP TABLE of one that does not             1690  22003  an expression left its type's range
    1054  42S22     unknown column                              3024  HY000  max_execution_time passed
    1062  23000     duplicate key                               8028  HY000  a table's definition changed (retry)
    1064  42000     syntax                                      8141  HY000  an assertion of the transaction failed
    1136  21S01     column count differs from value count       9005  HY000  a region stayed out of reach
    1146  42S02     unknown table                               9007  HY000  write conflict (retry)
    1205  HY000     lock wait timeout (retry)                   1213  40001  deadlock (retry)
    3572  HY000     NOWAIT met a lock (retry)                   8004  HY000  the transaction is too large
    8022  HY000     a lock was lost with its leader (retry)
    1235  42000     MySQL has it, Rutile does not (yet): the message names it
"""

from __future__ import annotations

import re

from rutile_proto import errors as floor

ER_RESULT_UNDETERMINED = 2
"""TiDB's number in its own class: the answer to a commit was lost."""
ER_DB_CREATE_EXISTS = 1007
ER_DB_DROP_EXISTS = 1008
ER_VIRTUAL_TABLE = 1044
ER_NO_DB = 1046
ER_BAD_NULL = 1048
ER_BAD_DB = 1049
ER_TABLE_EXISTS = 1050
ER_BAD_TABLE = 1051
ER_NON_UNIQUE = 1052
ER_BAD_FIELD = 1054
ER_DUP_FIELDNAME = 1060
ER_DUP_ENTRY = 1062
ER_PARSE = 1064
ER_EMPTY_QUERY = 1065
ER_INVALID_DEFAULT = 1067
ER_MULTIPLE_PRI_KEY = 1068
ER_KEY_COLUMN_MISSING = 1072
ER_WRONG_AUTO_KEY = 1075
ER_UNKNOWN = 1105
ER_FIELD_SPECIFIED_TWICE = 1110
ER_WRONG_VALUE_COUNT = 1136
ER_NO_SUCH_TABLE = 1146
ER_UNKNOWN_SYSTEM_VARIABLE = 1193
ER_LOCK_WAIT_TIMEOUT = 1205
ER_LOCK_DEADLOCK = 1213
ER_WRONG_VALUE_FOR_VAR = 1231
ER_NOT_SUPPORTED = 1235
ER_INCORRECT_GLOBAL_LOCAL = 1238
ER_OUT_OF_RANGE = 1264
ER_TRUNCATED_VALUE = 1292
ER_SP_DOES_NOT_EXIST = 1305
ER_QUERY_INTERRUPTED = 1317
ER_NO_DEFAULT = 1364
ER_INCORRECT_VALUE = 1366
ER_DATA_TOO_LONG = 1406
ER_DATA_OUT_OF_RANGE = 1690
ER_QUERY_TIMEOUT = 3024
ER_LOCK_NOWAIT = 3572
ER_TXN_TOO_LARGE = 8004
ER_TXN_RETRYABLE = 8022
ER_SCHEMA_CHANGED = 8028
ER_ASSERTION = 8141
ER_REGION_UNAVAILABLE = 9005
ER_WRITE_CONFLICT = 9007

_SQLSTATES = {
    ER_VIRTUAL_TABLE: "42000",
    ER_NO_DB: "3D000",
    ER_BAD_NULL: "23000",
    ER_BAD_DB: "42000",
    ER_TABLE_EXISTS: "42S01",
    ER_BAD_TABLE: "42S02",
    ER_NON_UNIQUE: "23000",
    ER_BAD_FIELD: "42S22",
    ER_DUP_FIELDNAME: "42S21",
    ER_DUP_ENTRY: "23000",
    ER_PARSE: "42000",
    ER_EMPTY_QUERY: "42000",
    ER_INVALID_DEFAULT: "42000",
    ER_MULTIPLE_PRI_KEY: "42000",
    ER_KEY_COLUMN_MISSING: "42000",
    ER_WRONG_AUTO_KEY: "42000",
    ER_FIELD_SPECIFIED_TWICE: "42000",
    ER_WRONG_VALUE_COUNT: "21S01",
    ER_NO_SUCH_TABLE: "42S02",
    ER_LOCK_DEADLOCK: "40001",
    ER_WRONG_VALUE_FOR_VAR: "42000",
    ER_NOT_SUPPORTED: "42000",
    ER_OUT_OF_RANGE: "22003",
    ER_TRUNCATED_VALUE: "22007",
    ER_SP_DOES_NOT_EXIST: "42000",
    ER_QUERY_INTERRUPTED: "70100",
    ER_DATA_TOO_LONG: "22001",
    1265: "01000",
    ER_DATA_OUT_OF_RANGE: "22003",
}
_REFUSED_FUNCTION = re.compile(r"function (\w+) is not allowed")
_RETRYABLE = {
    ER_LOCK_WAIT_TIMEOUT,
    ER_LOCK_NOWAIT,
    ER_LOCK_DEADLOCK,
    ER_TXN_RETRYABLE,
    ER_SCHEMA_CHANGED,
    ER_WRITE_CONFLICT,
}


class SqlError(Exception):
    """What a statement failed with: MySQL's number, its sqlstate, and a message that names the thing."""

    def __init__(self, code: int, message: str, *, sqlstate: str | None = None, retryable: bool | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.sqlstate = sqlstate or _SQLSTATES.get(code, "HY000")
        self.retryable = code in _RETRYABLE if retryable is None else retryable

    def __str__(self) -> str:
        return f"ERROR {self.code} ({self.sqlstate}): {self.message}"


def syntax_error(near: str, detail: str = "") -> SqlError:
    """1064, with the text from where the parser stopped."""
    reason = f" ({detail})" if detail else ""
    return SqlError(ER_PARSE, f"You have an error in your SQL syntax{reason} near '{near[:80]}'")


def not_supported(feature: str) -> SqlError:
    """1235: MySQL has it, this version of Rutile does not; `feature` names it."""
    return SqlError(ER_NOT_SUPPORTED, f"This version of Rutile doesn't yet support '{feature}'")


def unknown_database(name: str) -> SqlError:
    return SqlError(ER_BAD_DB, f"Unknown database '{name}'")


def unknown_table(database: str, table: str) -> SqlError:
    return SqlError(ER_NO_SUCH_TABLE, f"Table '{database}.{table}' doesn't exist")


def unknown_column(column: str, where: str = "field list") -> SqlError:
    return SqlError(ER_BAD_FIELD, f"Unknown column '{column}' in '{where}'")


def unknown_function(name: str) -> SqlError:
    return SqlError(ER_SP_DOES_NOT_EXIST, f"FUNCTION {name} does not exist")


def no_database_selected() -> SqlError:
    return SqlError(ER_NO_DB, "No database selected")


def duplicate_entry(values: str, key: str = "PRIMARY") -> SqlError:
    return SqlError(ER_DUP_ENTRY, f"Duplicate entry '{values}' for key '{key}'")


def null_not_allowed(column: str) -> SqlError:
    return SqlError(ER_BAD_NULL, f"Column '{column}' cannot be null")


def out_of_range(column: str, row: int = 1) -> SqlError:
    return SqlError(ER_OUT_OF_RANGE, f"Out of range value for column '{column}' at row {row}")


def data_too_long(column: str, row: int = 1) -> SqlError:
    return SqlError(ER_DATA_TOO_LONG, f"Data too long for column '{column}' at row {row}")


def incorrect_value(kind: str, value: object, column: str, row: int = 1) -> SqlError:
    """1366 for numbers and texts ("Incorrect integer value: 'x' for column 'a' at row 1")."""
    return SqlError(ER_INCORRECT_VALUE, f"Incorrect {kind} value: '{_shown(value)}' for column '{column}' at row {row}")


def incorrect_time(kind: str, value: object, column: str, row: int = 1) -> SqlError:
    """1292, the same for dates and times."""
    return SqlError(ER_TRUNCATED_VALUE, f"Incorrect {kind} value: '{_shown(value)}' for column '{column}' at row {row}")


def value_out_of_range(kind: str, expression: str) -> SqlError:
    """1690: an arithmetic result left its type."""
    return SqlError(ER_DATA_OUT_OF_RANGE, f"{kind} value is out of range in '{expression}'")


def write_conflict(detail: str) -> SqlError:
    """9007: another transaction committed a key this one wrote; nothing was written, begin again."""
    return SqlError(ER_WRITE_CONFLICT, f"Write conflict, {detail}; begin the transaction again")


def schema_changed(detail: str) -> SqlError:
    return SqlError(ER_SCHEMA_CHANGED, f"Information schema is changed during the execution of the statement: {detail}")


def lock_not_free() -> SqlError:
    """3572: somebody else holds a lock and NOWAIT was asked for."""
    message = "Statement aborted because lock(s) could not be acquired immediately and NOWAIT is set."
    return SqlError(ER_LOCK_NOWAIT, message)


def interrupted() -> SqlError:
    return SqlError(ER_QUERY_INTERRUPTED, "Query execution was interrupted")


def timed_out() -> SqlError:
    return SqlError(ER_QUERY_TIMEOUT, "Query execution was interrupted, maximum statement execution time exceeded")


def from_floor(error: floor.RutileError) -> SqlError:
    """The SQL error a client sees for an error of the floors below; chain it with `raise ... from error`."""
    match error:
        case floor.WriteConflict(start_ts, _, commit_ts, key):
            return write_conflict(f"transaction {start_ts} met one committed at {commit_ts} on key {key.hex()}")
        case floor.TxnLockNotFound() | floor.CommitTsExpired():
            return write_conflict(str(error))
        case floor.TxnRetryable():
            return SqlError(ER_TXN_RETRYABLE, f"Error: KV error safe to retry: {error} [try again later]")
        case floor.Deadlock():
            return SqlError(ER_LOCK_DEADLOCK, "Deadlock found when trying to get lock; try restarting transaction")
        case floor.KeyIsLocked() | floor.LockWaitTimeout():
            return SqlError(ER_LOCK_WAIT_TIMEOUT, f"Lock wait timeout exceeded; try restarting transaction ({error})")
        case floor.AssertionFailed():
            return SqlError(ER_ASSERTION, str(error))
        case floor.TransactionTooLarge():
            return SqlError(ER_TXN_TOO_LARGE, f"Transaction is too large, size: {error.size_bytes}")
        case floor.AlreadyExist():
            return duplicate_entry(error.key.hex())
        case floor.UndeterminedResult():
            return SqlError(ER_RESULT_UNDETERMINED, f"Execution result undetermined: {error}")
        case floor.RegionError() | floor.RetriesExhausted() | floor.PdError():
            return SqlError(ER_REGION_UNAVAILABLE, f"Region is unavailable: {error}")
        case floor.LayoutMismatch():
            return schema_changed(str(error))
        case floor.FragmentCancelled():
            return interrupted()
        case floor.FragmentRefused():
            return _refused(str(error))
        case _:
            return SqlError(ER_UNKNOWN, str(error) or type(error).__name__)


def _refused(text: str) -> SqlError:
    function = _REFUSED_FUNCTION.match(text)
    return unknown_function(function[1]) if function else not_supported(text)


def _shown(value: object) -> str:
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")[:64]
    return str(value)[:64]
