"""From what the caller names to a client: a cluster by its placement driver, a directory, or memory."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

from rutile.kv.async_client import AsyncClient
from rutile.kv.client import Client
from rutile.nodes.local import shared_database
from rutile.pep249 import OperationalError
from rutile_kv.client import client as floor
from rutile_kv.client.loop_thread import LoopThread
from rutile_proto.errors import RutileError

Target: TypeAlias = str | Path | Sequence[str] | None


def connect(target: Target = None) -> Client:
    """Open a client for threads. `target` is one of

      * "host:port", several with commas between, or a list of them, with or without "pd://": the placement driver of a
        cluster (`rutile playground` prints it);
      * a directory: a store in this process, made when missing and shared with `rutile.connect` of the same directory;
      * None: a store in memory, gone when the client is closed.

    Raises RetriesExhausted when no placement driver answers, DataDirMismatch when the directory is in use by another
    process or not ours.
    """
    addresses = _addresses(target)
    return _embedded(target) if addresses is None else _remote(addresses)


async def connect_async(target: Target = None) -> AsyncClient:
    """Open a client for the tasks of this loop; targets and errors as of `connect`.

    An embedded store runs in this loop, too: a directory can be opened once, and `rutile.connect` cannot share it.
    """
    addresses = _addresses(target)
    if addresses is not None:
        client = await floor.Client.connect(addresses)
        return AsyncClient(client, client.close)
    from rutile.nodes.embedded import EmbeddedNode  # loads the store and DuckDB: only those who embed them wait for it

    node = await EmbeddedNode.open(_directory(target))
    return AsyncClient(node.client, node.close)


def _remote(addresses: list[str]) -> Client:
    loop = LoopThread()
    try:
        client = loop.run(floor.Client.connect(addresses))
    except BaseException:
        loop.stop()
        raise

    def close() -> None:
        try:
            loop.run(client.close())
        finally:
            loop.stop()

    return Client(loop, AsyncClient(client, client.close), close)


def _embedded(target: Target) -> Client:
    try:
        shared = shared_database(_directory(target))
    except OperationalError as error:  # SQL's word for it
        if isinstance(error.__cause__, RutileError):
            raise error.__cause__ from None
        raise
    client = shared.database.client
    assert isinstance(client, floor.Client), "an embedded node has a client of its own"
    return Client(shared.loop, AsyncClient(client, client.close), shared.release)


def _directory(target: Target) -> Path | None:
    assert target is None or isinstance(target, str | Path)
    return None if target is None else Path(target)


def _addresses(target: Target) -> list[str] | None:
    """The placement drivers that `target` names; None when it does not name any."""
    if target is None or isinstance(target, Path):
        return None
    named = target.removeprefix("pd://").split(",") if isinstance(target, str) else list(target)
    if isinstance(target, str) and not target.startswith("pd://") and not all(map(_is_address, named)):
        return None
    return named


def _is_address(text: str) -> bool:
    host, colon, port = text.rpartition(":")
    return bool(colon and host and "/" not in host and "\\" not in host and port.isdigit())
