"""`rutile.connect` with await: the same connections, cursors and results, for asyncio.

    import rutile.aio

    async with rutile.aio.connect("shop") as connection:
        async with connection.transaction():
            await connection.execute("INSERT INTO item VALUES (?, ?)", (3, "plum"))
        async for id, name in await connection.execute("SELECT id, name FROM item"):
            print(id, name)

    worker.py        one thread a connection, which does what blocks; a cancelled task stops its statement
    connection.py    AsyncConnection, AsyncTransaction
    cursor.py        AsyncCursor

An `AsyncConnection` is a `rutile.Connection` in a thread of its own: everything it means, raises and leaves out is
written there (rutile.dbapi). What holds besides:

* A statement runs in the thread while the loop goes on; statements of one connection run one after the other, those of
  several connections at the same time.
* Cancelling the awaiting task (a timeout, a task group that fails) stops the statement in the database, and the task
  ends when it has stopped: the connection can be used again at once.

Results that were fetched are plain values: `QueryResult` needs no await.
"""

from __future__ import annotations

from rutile.aio.batch_stream import AsyncBatchStream
from rutile.aio.connection import AsyncConnection, AsyncTransaction, connect
from rutile.aio.cursor import AsyncCursor

__all__ = ["AsyncBatchStream", "AsyncConnection", "AsyncCursor", "AsyncTransaction", "connect"]
