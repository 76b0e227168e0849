"""A network between the processes of a playground that can be cut, per pair and per direction.

Every store is reached through a proxy of its own, whose address it advertises. A proxy knows who dials: the
connection's inode in /proc/net/tcp is among the file descriptors of one of our processes. Cut, a link delivers nothing;
what was sent waits, as TCP would have it sent again, and arrives when the link heals and the connection still lives.
"""

from __future__ import annotations

import asyncio
import os
import socket
import threading
from collections.abc import Callable
from pathlib import Path

from rutile.nodes.playground import Child, Playground

OUTSIDE = "outside"
"""Whoever is not a process of the playground: the tests' own clients."""
RAFT = "raft"
CHUNK_BYTES = 256 * 1024


class Network:
    """Proxies in a thread of their own. Names are those of the playground's processes: kv1, kv2, sql, pd."""

    def __init__(self, pids: Callable[[], dict[int, str]]) -> None:
        self._pids = pids
        self._targets: dict[tuple[str, str], str] = {}
        self._cut: set[tuple[str, str]] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="network")
        self._changed = asyncio.Condition()
        self._tasks: set[asyncio.Task[None]] = set()
        self._servers: list[asyncio.Server] = []
        self._thread.start()

    def open(self, name: str, service: str = "") -> str:
        """A new proxy's address; it forwards to that service of `name` once `lead` says where that is."""
        return asyncio.run_coroutine_threadsafe(self._open(name, service), self._loop).result(10)

    def lead(self, name: str, address: str, service: str = "") -> None:
        """Where `name` really listens for `service`."""

        async def change() -> None:
            async with self._changed:
                self._targets[name, service] = address
                self._changed.notify_all()

        asyncio.run_coroutine_threadsafe(change(), self._loop).result(10)

    def cut(self, *links: tuple[str, str]) -> None:
        """Deliver nothing from the first to the second of each pair."""
        self._set(self._cut | set(links))

    def isolate(self, name: str, others: list[str]) -> None:
        """Deliver nothing between `name` and `others`, in both directions."""
        self.cut(*((name, other) for other in others), *((other, name) for other in others))

    def heal(self) -> None:
        """Deliver everything again."""
        self._set(set())

    def close(self) -> None:
        """End all connections and the thread."""
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def _set(self, cut: set[tuple[str, str]]) -> None:
        async def change() -> None:
            async with self._changed:
                self._cut = cut
                self._changed.notify_all()

        asyncio.run_coroutine_threadsafe(change(), self._loop).result(10)

    async def _open(self, name: str, service: str) -> str:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            self._tasks.add(task)
            try:
                await self._connect(name, service, reader, writer)
            except (OSError, asyncio.CancelledError):
                return  # one side is gone, or the test is over
            finally:
                self._tasks.discard(task)
                writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        self._servers.append(server)
        host, port = server.sockets[0].getsockname()
        return f"{host}:{port}"

    async def _connect(
        self, name: str, service: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        source = self._who(writer.get_extra_info("peername")[1])
        await self._passable(source, name)
        async with self._changed:
            await self._changed.wait_for(lambda: (name, service) in self._targets)
        host, _, port = self._targets[name, service].rpartition(":")
        onward_reader, onward_writer = await asyncio.open_connection(host, int(port))
        pumps = [
            asyncio.ensure_future(self._pump(reader, onward_writer, source, name)),
            asyncio.ensure_future(self._pump(onward_reader, writer, name, source)),
        ]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
            onward_writer.close()

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, source: str, destination: str
    ) -> None:
        while chunk := await reader.read(CHUNK_BYTES):
            await self._passable(source, destination)
            writer.write(chunk)
            await writer.drain()

    async def _passable(self, source: str, destination: str) -> None:
        if (source, destination) in self._cut:
            async with self._changed:
                await self._changed.wait_for(lambda: (source, destination) not in self._cut)

    def _who(self, port: int) -> str:
        inode = _inode_of(port)
        for pid, name in self._pids().items():
            if inode and _holds(pid, inode):
                return name
        return OUTSIDE

    async def _close(self) -> None:
        for server in self._servers:
            server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


def _inode_of(port: int) -> str:
    """The inode of the socket on loopback that has `port` at its own end."""
    wanted = f"0100007F:{port:04X}"
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in Path(table).read_text().splitlines()[1:]:
            fields = line.split()
            if fields[1].endswith(wanted) and fields[9] != "0":
                return fields[9]
    return ""


def _holds(pid: int, inode: str) -> bool:
    folder = f"/proc/{pid}/fd"
    try:
        return any(_link(f"{folder}/{each}") == f"socket:[{inode}]" for each in os.listdir(folder))
    except OSError:
        return False  # the process is gone


def _link(path: str) -> str:
    try:
        return os.readlink(path)
    except OSError:
        return ""  # closed meanwhile


class CutPlayground(Playground):
    """A playground whose stores are reached through proxies; the settings are NAME=VALUE for each store, and for the
    placement driver."""

    def __init__(
        self,
        stores: int,
        data_dir: Path,
        *,
        store_settings: tuple[str, ...] = (),
        pd_settings: tuple[str, ...] = (),
        max_store_down_s: float = 1800.0,
    ) -> None:
        super().__init__(stores, data_dir, max_store_down_s=max_store_down_s)
        self.network = Network(self._names_by_pid)
        self._settings = {"kv": store_settings, "pd": pd_settings}
        self._proxies: dict[int, tuple[str, str, int]] = {}

    def stop(self) -> None:
        self.network.heal()
        super().stop()
        self.network.close()

    @property
    def store_addresses(self) -> list[str]:
        return [self._proxied(index)[0] for index in range(len(self.stores))]

    def _proxied(self, index: int) -> tuple[str, str, int]:
        """What the others dial to reach store `index`, for requests and for Raft, and the port it takes Raft at."""
        if index not in self._proxies:
            name, peer_port = f"kv{index + 1}", _free_port()
            self._proxies[index] = self.network.open(name), self.network.open(name, RAFT), peer_port
            self.network.lead(name, f"127.0.0.1:{peer_port}", RAFT)
        return self._proxies[index]

    def restart_store(self, index: int) -> None:
        super().restart_store(index)
        self.network.lead(self.stores[index].name, self.stores[index].address)

    def _spawn(self, name: str, arguments: list[str]) -> Child:
        settings = [part for each in self._settings.get(name.rstrip("0123456789"), ()) for part in ("--set", each)]
        return super()._spawn(name, [*arguments, *settings])

    def _store_arguments(self, index: int, address: str) -> list[str]:
        advertised, peer_address, peer_port = self._proxied(index)
        settings = [
            "--advertise-addr",
            advertised,
            "--advertise-peer-addr",
            peer_address,
            "--set",
            f"peer_port={peer_port}",
        ]
        return [*super()._store_arguments(index, address), *settings]

    def _start_stores(self, deadline: float) -> None:
        super()._start_stores(deadline)
        for child in self.stores:
            self.network.lead(child.name, child.address)

    def add_store(self) -> Child:
        child = super().add_store()
        self.network.lead(child.name, child.address)
        return child

    def _names_by_pid(self) -> dict[int, str]:
        children = [*self.pds, self.sql, *self.stores]
        return {child.pid: child.name for child in children if child is not None and child.process is not None}


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])
