"""`rutile.connect(...)`: DB-API 2.0 (PEP 249), with Arrow beside the rows.

    import rutile
    with rutile.connect("shop") as connection:            # a directory: the database runs in this process
        connection.execute("CREATE TABLE item (id INT PRIMARY KEY, price DECIMAL(10,2))")
        connection.execute("INSERT INTO item VALUES (?, ?)", (1, "9.99"))
        print(connection.execute("SELECT * FROM item").fetchall())
        table = connection.sql("SELECT * FROM item").arrow()

    opening.py        connect: what a target means
    connection.py     Connection: a session; statements, transactions, Arrow in
    cursor.py         Cursor: PEP 249's, with its extensions (iteration, scroll, rownumber, messages, lastrowid)
    batch_stream.py   BatchStream: the rows of a query as Arrow batches while they are read
    query_result.py   QueryResult: what `sql` gives, shows itself, is an Arrow stream
    transaction.py    `with connection.transaction():`
    frames.py         to pandas and polars, from anything Arrow
    types.py          STRING, NUMBER, ..., Date, Binary, ...

A connection speaks to a `Backend`: `LocalBackend` runs the SQL front end in this process (embedded, or against the
placement driver of a cluster), `rutile.nodes.remote.RemoteBackend` sends statements to a `rutile sql` server.
`rutile.aio` is the same API with await.

What holds: statements commit by themselves, as at a MySQL prompt, unless `autocommit=False` asks for PEP 249's implicit
transactions. A result is complete when `execute` returns (`stream` is for those too large for that); rows become Python
values when they are first fetched.
Threads may share the module, not a connection (`threadsafety = 1`), except for `Connection.cancel`.

Not there: callproc and nextset (no stored procedures, one statement a call), two-phase commit by hand (tpc_*), `%s` and
named placeholders (`%` is SQL's modulo), reads as of a time in the past.
"""

from __future__ import annotations

from rutile.dbapi.batch_stream import BatchStream
from rutile.dbapi.connection import Connection
from rutile.dbapi.cursor import Cursor
from rutile.dbapi.opening import connect
from rutile.dbapi.query_result import QueryResult
from rutile.dbapi.transaction import Transaction
from rutile.dbapi.types import (
    BINARY,
    DATETIME,
    NUMBER,
    ROWID,
    STRING,
    Binary,
    Date,
    DateFromTicks,
    Time,
    TimeFromTicks,
    Timestamp,
    TimestampFromTicks,
    TypeObject,
)

apilevel = "2.0"
threadsafety = 1
paramstyle = "qmark"

__all__ = [
    "BINARY",
    "DATETIME",
    "NUMBER",
    "ROWID",
    "STRING",
    "BatchStream",
    "Binary",
    "Connection",
    "Cursor",
    "Date",
    "DateFromTicks",
    "QueryResult",
    "Time",
    "TimeFromTicks",
    "Timestamp",
    "TimestampFromTicks",
    "Transaction",
    "TypeObject",
    "apilevel",
    "connect",
    "paramstyle",
    "threadsafety",
]  # fmt: skip
