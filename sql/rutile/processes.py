"""The roles as processes: what `rutile pd`, `rutile kv` and `rutile sql` run until they are told to stop.

A process says `ready <role> <address>` on standard output once it serves, so that whoever started it can wait for that
line; everything else it has to say goes to the log on standard error. SIGTERM and SIGINT stop it cleanly. With
`--stop-with-stdin` the end of its standard input does too: a parent that dies, however it dies, takes it along.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from rutile.cluster import open_database
from rutile.service import SqlServicer
from rutile_kv.env.rpc import start_server
from rutile_kv.server.config import StoreConfig
from rutile_kv.server.node import StoreNode
from rutile_pd.node import PdConfig, PdNode
from rutile_proto.rutilepb_pb2_grpc import add_SqlServicer_to_server

log = logging.getLogger(__name__)


class Role(Protocol):
    """Something that serves until stopped."""

    @property
    def address(self) -> str: ...

    async def stop(self) -> None: ...


class SqlNode:
    """A SQL front end serving `rutilepb.Sql`."""

    def __init__(self, pd_addresses: Sequence[str], address: str) -> None:
        self._pd_addresses = list(pd_addresses)
        self.address = address

    async def start(self) -> None:
        """Connect to the cluster, then listen. Raises PdError, PortInUse."""
        self.client, self.database = await open_database(self._pd_addresses)
        servicer = SqlServicer(self.database)
        try:
            self._server, self.address = await start_server(
                self.address, [lambda server: add_SqlServicer_to_server(servicer, server)]
            )
        except BaseException:
            await self.database.close()
            await self.client.close()
            raise

    async def stop(self) -> None:
        """Refuse new sessions, end the open ones, leave the cluster."""
        await self._server.stop(grace=0.5)
        await self.database.close()
        await self.client.close()


async def pd_role(data_dir: Path, address: str, config: PdConfig) -> Role:
    """A started placement driver."""
    node = PdNode(data_dir, address, config=config)
    await node.start()
    return node


async def kv_role(config: StoreConfig) -> Role:
    """A started store, registered with its placement driver."""
    node = StoreNode(config)
    await node.start()
    return node


async def sql_role(pd_addresses: Sequence[str], address: str) -> Role:
    """A started SQL front end."""
    node = SqlNode(pd_addresses, address)
    await node.start()
    return node


async def serve(name: str, starting: asyncio.Future[Role] | asyncio.Task[Role], stop_with_stdin: bool) -> None:
    """Announce the role once it is up, wait for a reason to stop, stop it."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    if stop_with_stdin:
        loop.add_reader(sys.stdin.fileno(), _on_stdin, loop, stop)
    role = await starting
    print(f"ready {name} {role.address}", flush=True)
    try:
        await stop.wait()
    finally:
        log.info("%s at %s stops", name, role.address)
        await role.stop()


def _on_stdin(loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> None:
    if not sys.stdin.buffer.raw.read(4096):  # type: ignore[attr-defined]  # the end: the parent is gone
        loop.remove_reader(sys.stdin.fileno())
        stop.set()
