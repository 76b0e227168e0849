"""`rutile.kv`: the cluster as what it is underneath, a sorted map from bytes to bytes. No SQL.

>>> import rutile.kv as kv
>>> client = kv.connect()                       # in this process, in memory; a directory makes it durable
>>> with client.begin() as txn:                 # commits at the end, rolls back on an exception
...     txn[b"alice"] = b"90"
...     txn[b"bob"] = b"110"
>>> client.snapshot().scan(b"a", b"c")
[(b'alice', b'90'), (b'bob', b'110')]

`kv.connect("127.0.0.1:2379")` is the same on a cluster, by the address of its placement driver, and
`await kv.connect_async(...)` the same with await. There are two ways to hold data, which never meet:

*Transactions* read one snapshot, plus what they wrote themselves, and commit any number of keys at once. One that loses
a conflict raises `WriteConflict` when it commits; `client.run` calls a function again until it does not:

>>> def pay(txn: kv.Transaction, amount: int) -> int:
...     left = int(txn[b"alice"]) - amount
...     txn[b"alice"] = b"%d" % left
...     txn[b"bob"] = b"%d" % (int(txn[b"bob"]) + amount)
...     return left
>>> client.run(lambda txn: pay(txn, 20))
70

*Raw* keys have no versions and no transactions; each operation stands for itself and costs one round trip. Values may
have a time to live:

>>> client.raw.put(b"session/7", b"alice", ttl_s=3600)
>>> client.raw.get(b"session/7")
b'alice'
>>> client.raw.compare_and_swap(b"leader", None, b"node 1")     # only if nobody was there
(True, None)

A range can be watched: every commit from a timestamp on, each once, in commit order for each key.

>>> before = client.snapshot().ts
>>> client.run(lambda txn: txn.put(b"bob", b"0"))
>>> with client.watch(b"a", b"c", from_ts=before) as changes:
...     change = next(changes)
>>> (change.key, change.value, change.commit_ts > before)
(b'bob', b'0', True)
>>> client.close()

What holds:

* Keys and values are `bytes`. A `str` is a TypeError, not a guess at its encoding.
* What can safely be sent again is: leaders may change and regions split without anybody noticing here. What cannot
  raises; `UndeterminedResult` says that a write may or may not have happened.
* Errors are `RutileError`s with a type each (below). They carry what they are about, not only a text.
* A client may be shared: the plain one by threads, the asynchronous one by the tasks of its loop. A transaction belongs
  to one of them at a time.
* SQL's rows are transactional keys too, below b"m" and b"t": begin yours with other letters if you use both.

Everything here is a thin face over `rutile_kv.client`, which has more (bulk loads, coprocessor fragments, splits,
watching raw keys).
"""

from rutile.kv.async_client import AsyncClient, AsyncSnapshot, AsyncTransaction
from rutile.kv.async_raw import AsyncRaw
from rutile.kv.client import Client, Snapshot, Transaction
from rutile.kv.opening import connect, connect_async
from rutile.kv.raw import Raw
from rutile_kv.client.watch import Change
from rutile_proto.errors import (
    AlreadyExist,
    DataDirMismatch,
    Deadlock,
    InvalidRequest,
    KeyIsLocked,
    LockWaitTimeout,
    PdError,
    RegionError,
    RetriesExhausted,
    RutileError,
    StorageError,
    TxnAborted,
    TxnError,
    TxnLockNotFound,
    TxnRetryable,
    UndeterminedResult,
    WatchEnded,
    WriteConflict,
)

__all__ = [
    "AlreadyExist",
    "AsyncClient",
    "AsyncRaw",
    "AsyncSnapshot",
    "AsyncTransaction",
    "Change",
    "Client",
    "DataDirMismatch",
    "Deadlock",
    "InvalidRequest",
    "KeyIsLocked",
    "LockWaitTimeout",
    "PdError",
    "Raw",
    "RegionError",
    "RetriesExhausted",
    "RutileError",
    "Snapshot",
    "StorageError",
    "Transaction",
    "TxnAborted",
    "TxnError",
    "TxnLockNotFound",
    "TxnRetryable",
    "UndeterminedResult",
    "WatchEnded",
    "WriteConflict",
    "connect",
    "connect_async",
]
