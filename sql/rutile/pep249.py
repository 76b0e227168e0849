"""PEP 249's exceptions, each carrying MySQL's code.

Exception
├── Warning
└── Error
    ├── InterfaceError              the API was used wrongly (closed connection, fetch without a result)
    └── DatabaseError               the database refused: `code`, `sqlstate`, `message`, `retryable`
        ├── DataError               1264 1292 1366 1406 1690 ...  a value does not fit
        ├── IntegrityError          1048 1062 1364                a constraint
        ├── OperationalError        1205 1213 9007 2003 2013 ...  nobody's mistake; see `retryable`
        ├── ProgrammingError        1064 1146 1054 1049 ...       the statement is wrong
        ├── NotSupportedError       1235                          MySQL has it, Rutile does not
        └── InternalError           1105                          Rutile's mistake
"""

from __future__ import annotations

from rutile.errors import SqlError


class Warning(Exception):
    """Truncation and the like."""


class Error(Exception):
    """Root of everything this package raises."""


class InterfaceError(Error):
    """The API was used wrongly."""


class DatabaseError(Error):
    """The database refused."""

    def __init__(self, message: str, code: int = 1105, sqlstate: str = "HY000", retryable: bool = False) -> None:
        super().__init__(code, message)
        self.message = message
        self.code = code
        self.sqlstate = sqlstate
        self.retryable = retryable

    def __str__(self) -> str:
        return f"ERROR {self.code} ({self.sqlstate}): {self.message}"


class DataError(DatabaseError):
    """A value does not fit."""


class OperationalError(DatabaseError):
    """Nobody's mistake: a lost conflict, a lost connection, a region out of reach."""


class IntegrityError(DatabaseError):
    """A constraint would be broken."""


class InternalError(DatabaseError):
    """A mistake in Rutile; the server's log has the details."""


class ProgrammingError(DatabaseError):
    """The statement, or its parameters, are wrong."""


class NotSupportedError(DatabaseError):
    """A feature of MySQL that Rutile does not have; the message names it."""


_CLASSES: dict[type[DatabaseError], tuple[int, ...]] = {
    DataError: (1264, 1292, 1365, 1366, 1367, 1406, 1690),
    IntegrityError: (1048, 1062, 1364, 1451, 1452),
    NotSupportedError: (1235,),
    InternalError: (1105,),
    OperationalError: (2, 1040, 1043, 1205, 1213, 1317, 2003, 2013, 3024, 8004, 8022, 8028, 8141, 9005, 9007),
}
_CLASS_OF = {code: kind for kind, codes in _CLASSES.items() for code in codes}


def exception_of(error: SqlError) -> DatabaseError:
    """The PEP 249 exception for an SQL error; chain it with `raise ... from`."""
    return exception_of_code(error.code, error.sqlstate, error.message, error.retryable)


def exception_of_code(code: int, sqlstate: str, message: str, retryable: bool) -> DatabaseError:
    """The same from an error's parts, as a server sends them."""
    return _CLASS_OF.get(code, ProgrammingError)(message, code, sqlstate, retryable)
