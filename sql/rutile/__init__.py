"""Rutile: live transactional rows and fast analytics on them, replicated and consistent, from one `pip install`.

    import rutile

    connection = rutile.connect("some/dir")          # embedded and durable; rutile.connect() is in memory
    connection = rutile.connect("127.0.0.1:4001")    # a SQL server of a cluster

This package is the SQL front end and its faces. A statement travels

    dbapi / shell / service / mysql  ->  session  ->  parser, catalog, planner  ->  point plan | fragments | DuckDB here
                                                                                 ->  rutile_kv.client  ->  the stores

and what is true on that way (docs/architecture.md follows three statements step by step):

* the front end is stateless but for caches: catalogue and rows live in the KV store, so any number of them may run;
* a statement is atomic, a transaction reads one snapshot plus its own writes, a lost conflict is a retryable error;
* point statements by primary key never touch DuckDB; everything else is pushed to the stores in the largest piece
  that one of them can answer (`EXPLAIN` shows which).
"""

from rutile.dbapi import (
    BINARY,
    DATETIME,
    NUMBER,
    ROWID,
    STRING,
    Binary,
    Connection,
    Cursor,
    Date,
    DateFromTicks,
    QueryResult,
    Time,
    TimeFromTicks,
    Timestamp,
    TimestampFromTicks,
    Transaction,
    apilevel,
    connect,
    paramstyle,
    threadsafety,
)
from rutile.pep249 import (
    DatabaseError,
    DataError,
    Error,
    IntegrityError,
    InterfaceError,
    InternalError,
    NotSupportedError,
    OperationalError,
    ProgrammingError,
    Warning,
)

__all__ = [
    "BINARY",
    "DATETIME",
    "NUMBER",
    "ROWID",
    "STRING",
    "Binary",
    "Connection",
    "Cursor",
    "DataError",
    "DatabaseError",
    "Date",
    "DateFromTicks",
    "Error",
    "IntegrityError",
    "InterfaceError",
    "InternalError",
    "NotSupportedError",
    "OperationalError",
    "ProgrammingError",
    "QueryResult",
    "Time",
    "TimeFromTicks",
    "Timestamp",
    "TimestampFromTicks",
    "Transaction",
    "Warning",
    "apilevel",
    "connect",
    "paramstyle",
    "threadsafety",
]
__version__ = "0.1.0"
