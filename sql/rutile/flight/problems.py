"""Errors as Flight's kinds, with MySQL's text, its number in `extra_info`, and no tracebacks.

pyarrow knows few kinds that carry a message and nothing else. Which one an error becomes:

    cancelled          1317
    timed out          3024
    unauthorized       1044 1045 1142 1227
    unavailable        1040, or the SQL node is stopping
    internal           1105 that is our mistake; the log has the details
    server             everything else: the statement, its values, a constraint, a lost conflict
"""

from __future__ import annotations

import concurrent.futures
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager

import pyarrow as pa
from pyarrow import flight

from rutile.errors import ER_UNKNOWN, SqlError, from_floor
from rutile.pep249 import DatabaseError
from rutile_coprocessor.value_errors import ColumnValueError
from rutile_proto.errors import RutileError

log = logging.getLogger(__name__)

_KINDS: dict[int, type[flight.FlightError]] = {
    1317: flight.FlightCancelledError,
    3024: flight.FlightTimedOutError,
    1044: flight.FlightUnauthorizedError, 1045: flight.FlightUnauthorizedError,
    1142: flight.FlightUnauthorizedError, 1227: flight.FlightUnauthorizedError,
    1040: flight.FlightUnavailableError,
}  # fmt: skip


@contextmanager
def flight_errors() -> Iterator[None]:
    """Everything raised within, as FlightError."""
    try:
        yield
    except (flight.FlightError, GeneratorExit):
        raise
    except BaseException as error:
        raise flight_error(error) from None


def flight_error(error: BaseException) -> flight.FlightError:
    """The Flight error for an error. What is unexpected is logged and told as internal."""
    match error:
        case SqlError() | DatabaseError():
            return _of_sql(error.code, error.sqlstate, error.message, error.retryable)
        case ColumnValueError():
            return _of_sql(1366, "HY000", str(error), False)
        case RutileError():
            return flight_error(from_floor(error))
        case pa.ArrowInvalid() | pa.ArrowNotImplementedError():
            return _of_sql(1366, "HY000", str(error).partition("\n")[0], False)
        case concurrent.futures.CancelledError():
            return flight.FlightCancelledError("the call was cancelled")
        case _:
            log.error("a Flight call failed unexpectedly", exc_info=error)
            return flight.FlightInternalError("internal error; the server's log has the details")


def _of_sql(code: int, sqlstate: str, message: str, retryable: bool) -> flight.FlightError:
    details = json.dumps({"code": code, "sqlstate": sqlstate, "retryable": retryable}).encode()
    return _KINDS.get(code, flight.FlightServerError)(f"ERROR {code} ({sqlstate}): {message}", details)


def gone(what: str) -> SqlError:
    """Something that was here once is not any more, or never was."""
    return SqlError(ER_UNKNOWN, what)
