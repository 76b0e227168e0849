"""From what the caller names to a connection."""

from __future__ import annotations

from pathlib import Path

from rutile.dbapi.connection import Connection
from rutile.nodes.local import LocalBackend, shared_database


def connect(
    target: str | Path | None = None,
    *,
    database: str | None = "test",
    autocommit: bool = True,
    user: str = "root",
    password: str = "",
) -> Connection:
    """Open a connection.

    `target` is one of
      * None or ":memory:": an in-memory database of its own, gone when the connection closes;
      * a directory: the database in it, run in this process (made when missing);
      * "host:port": a SQL server (`rutile sql`, or the one `rutile playground` prints);
      * "pd://host:port[,host:port]": a cluster by its placement driver, the SQL front end running in this process;
      * "tikv://host:port[,host:port]": the same where only TiKV's protocol is spoken: rows are fetched, not pushed to.

    `database` is the one `USE`d at first. A server is told who comes: `user`, `password`;
    what runs in this process asks nobody. Raises OperationalError when nothing answers or the directory is not ours.
    """
    text = str(target)
    if isinstance(target, str) and _is_address(text):
        from rutile.nodes.remote import RemoteBackend  # a face of its own: embedded users need not load it

        return Connection(RemoteBackend.open(text, database, user, password), autocommit)
    return Connection(LocalBackend(shared_database(target), database), autocommit)


def _is_address(text: str) -> bool:
    host, colon, port = text.rpartition(":")
    return bool(colon and host and "/" not in host and "\\" not in host and port.isdigit())
