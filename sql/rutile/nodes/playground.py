"""`rutile playground`: a placement driver, stores and a SQL front end as real processes on loopback, from one command.

    Playground.start()
      rutile pd  ──ready──►  rutile kv × n  ──ready──►  rutile sql  ──ready──►  "ready"

Every child holds the read end of a pipe whose other end is ours (its standard input): when this process ends, even by
kill -9, the children read the end of the pipe and stop. Logs lie beside the data, one file a process.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import select
import signal
import socket
import sys
import tempfile
import time
from pathlib import Path
from typing import Self

from rutile.nodes.child_process import Child, ChildFailed

__all__ = ["Child", "ChildFailed", "Playground", "endpoints", "run_until_stopped"]

START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 15.0


class Playground:
    """A cluster on loopback; a context manager that starts and stops it.

    `data_dir=None` puts the data into a temporary directory that goes with the playground. Ports given as 0 are chosen
    by the system.
    """

    def __init__(
        self,
        stores: int = 3,
        data_dir: Path | None = None,
        *,
        pd_port: int = 0,
        kv_port: int = 0,
        sql_port: int = 0,
        mysql_port: int = 0,
        flight_port: int = 0,
        max_store_down_s: float = 1800.0,
        pds: int = 1,
    ) -> None:
        if stores < 1 or pds < 1:
            raise ValueError(f"a cluster has at least one store and one placement driver, not {stores} and {pds}")
        self._temporary = None if data_dir else tempfile.TemporaryDirectory(prefix="rutile-")
        self.data_dir = Path(data_dir or self._temporary.name)  # type: ignore[union-attr]
        self._ports = (pd_port, kv_port, sql_port, mysql_port, flight_port)
        self._max_store_down_s = max_store_down_s
        self.pds: list[Child] = []
        self.stores: list[Child] = []
        self.sql: Child | None = None
        self._store_count = stores
        self._pd_count = pds

    def start(self) -> Self:
        """Start every process and return once SQL is served. ChildFailed, with everything stopped, when one fails."""
        deadline = time.monotonic() + START_TIMEOUT_S
        self.data_dir.mkdir(parents=True, exist_ok=True)
        self._make_flight_secret()
        try:
            self._start_pd(deadline)
            self._start_stores(deadline)
            self._start_sql(deadline)
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """Stop the processes, front end first; those that do not stop by themselves are killed."""
        for group in ([self.sql], self.stores, self.pds):
            children = [child for child in group if child is not None]
            for child in children:
                child.ask_to_stop()
            deadline = time.monotonic() + STOP_TIMEOUT_S
            for child in children:
                child.wait_stopped(deadline)
        if self._temporary is not None:
            self._temporary.cleanup()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *exc: object) -> None:
        self.stop()

    @property
    def sql_address(self) -> str:
        """Where `rutile.connect("host:port")` and `rutile shell` go."""
        assert self.sql is not None, "the playground is not started"
        return self.sql.address

    @property
    def mysql_address(self) -> str:
        """Where MySQL clients go, as root without a password."""
        assert self.sql is not None, "the playground is not started"
        return self.sql.mysql_address

    @property
    def flight_location(self) -> str:
        """Where Arrow Flight SQL clients go: grpc://host:port."""
        assert self.sql is not None, "the playground is not started"
        return self.sql.flight_location

    @property
    def pd_address(self) -> str:
        """Where TiKV clients and `rutile.connect("pd://host:port")` go: one of the members."""
        assert self.pds, "the playground is not started"
        return self.pds[0].address

    @property
    def pd_addresses(self) -> str:
        """All members of the placement driver, with commas between."""
        return ",".join(child.address for child in self.pds)

    @property
    def store_addresses(self) -> list[str]:
        """What PD tells others to dial, in the order of `stores`."""
        return [child.address for child in self.stores]

    def restart_store(self, index: int) -> None:
        """Start store `index` again, on its old address and data, after it was killed or stopped."""
        child = self.stores[index]
        arguments = self._store_arguments(index, child.address)
        self.stores[index] = self._spawn(child.name, arguments)
        self.stores[index].wait_ready(time.monotonic() + START_TIMEOUT_S)

    def add_store(self) -> Child:
        """Start one store more, on a new directory, and return once it serves; PD moves regions to it by and by."""
        index = len(self.stores)
        child = self._spawn(f"kv{index + 1}", self._store_arguments(index, "127.0.0.1:0"))
        child.wait_ready(time.monotonic() + START_TIMEOUT_S)
        self.stores.append(child)
        return child

    def restart_pd(self, index: int) -> None:
        """Start member `index` of the placement driver again, on its old address and data."""
        old = self.pds[index]
        arguments = [*old.arguments]
        arguments[arguments.index("--addr") + 1] = old.address
        self.pds[index] = self._spawn(old.name, arguments)
        self.pds[index].wait_ready(time.monotonic() + START_TIMEOUT_S)

    def died(self) -> Child | None:
        """A process that ended without being told to, if there is one."""
        for child in (*self.pds, *self.stores, self.sql):
            if child is not None and child.process is not None and child.process.poll() is not None:
                return child
        return None

    def _spawn(self, name: str, arguments: list[str]) -> Child:
        child = Child(name, arguments, self.data_dir / f"{name}.log")
        child.spawn()
        return child

    def _start_pd(self, deadline: float) -> None:
        names = ["pd"] if self._pd_count == 1 else [f"pd{index + 1}" for index in range(self._pd_count)]
        addresses = [f"127.0.0.1:{self._ports[0]}"] if len(names) == 1 else self._pd_group_addresses()
        founders = ",".join(f"{name}={address}" for name, address in zip(names, addresses, strict=True))
        options = ["--max-replicas", str(min(3, self._store_count)), "--max-store-down", str(self._max_store_down_s)]
        for name, address in zip(names, addresses, strict=True):
            arguments = ["pd", "--data", str(self.data_dir / name), "--addr", address, *options]
            if len(names) > 1:
                arguments += ["--name", name, "--initial-cluster", founders]
            self.pds.append(self._spawn(name, arguments))
        for child in self.pds:
            child.wait_ready(deadline)

    def _pd_group_addresses(self) -> list[str]:
        """The members must know each other's ports before they listen; those left to the system are asked for here."""
        if self._ports[0]:
            return [f"127.0.0.1:{self._ports[0] + index}" for index in range(self._pd_count)]
        sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(self._pd_count)]
        addresses = [f"127.0.0.1:{each.getsockname()[1]}" for each in sockets]
        for each in sockets:
            each.close()
        return addresses

    def _start_stores(self, deadline: float) -> None:
        port = self._ports[1]
        for index in range(self._store_count):
            address = f"127.0.0.1:{port + index if port else 0}"
            self.stores.append(self._spawn(f"kv{index + 1}", self._store_arguments(index, address)))
        for child in self.stores:
            child.wait_ready(deadline)

    def _store_arguments(self, index: int, address: str) -> list[str]:
        data = ["--data", str(self.data_dir / f"kv{index + 1}"), "--addr", address, "--pd", self.pd_addresses]
        return ["kv", *data, *self._flight_arguments(0)]

    def _flight_arguments(self, port: int) -> list[str]:
        return ["--flight-addr", f"127.0.0.1:{port}", "--flight-secret-file", str(self._flight_secret_file)]

    @property
    def _flight_secret_file(self) -> Path:
        return self.data_dir / "flight.secret"

    def _make_flight_secret(self) -> None:
        """What stores and SQL sign with, kept with the data; readable by its owner only."""
        with contextlib.suppress(FileExistsError):
            handle = os.open(self._flight_secret_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with open(handle, "w") as file:
                file.write(secrets.token_hex(32))

    def _start_sql(self, deadline: float) -> None:
        addresses = ["--addr", f"127.0.0.1:{self._ports[2]}", "--mysql-addr", f"127.0.0.1:{self._ports[3]}"]
        arguments = ["sql", "--pd", self.pd_addresses, *addresses, *self._flight_arguments(self._ports[4])]
        self.sql = self._spawn("sql", arguments)
        self.sql.wait_ready(deadline)


def run_until_stopped(playground: Playground) -> int:
    """What `rutile playground` does: start, print the endpoints and `ready`, wait for ^C or SIGTERM, stop."""
    stopping = _StopSignal()
    with playground:
        print(endpoints(playground), flush=True)
        print("ready", flush=True)
        dead = stopping.wait(playground)
    if dead is not None:
        print(f"{dead.name} ended by itself; its log ended with:\n{dead.log_tail()}", file=sys.stderr)
        return 1
    return 0


def endpoints(playground: Playground) -> str:
    """Where each face is served, one a line."""
    mysql_port = playground.mysql_address.rpartition(":")[2]
    lines = [
        f"SQL               {playground.sql_address}    rutile shell {playground.sql_address}",
        f"MySQL clients     {playground.mysql_address}    mysql -h 127.0.0.1 -P {mysql_port} -u root",
        f"Arrow Flight SQL  {playground.flight_location}    adbc_driver_flightsql.dbapi.connect(...)",
        *(f"placement driver  {child.address}    TiKV clients connect here" for child in playground.pds),
        *(f"store {child.name:<11} {child.address}    pid {child.pid}" for child in playground.stores),
        f"data and logs     {playground.data_dir}",
    ]
    return "\n".join(lines)


class _StopSignal:
    """Turns SIGINT and SIGTERM into a flag one can wait for."""

    def __init__(self) -> None:
        self._read, self._write = os.pipe()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: os.write(self._write, b"s"))

    def wait(self, playground: Playground) -> Child | None:
        """Return None when told to stop, or the child that ended by itself."""
        while not select.select([self._read], [], [], 0.5)[0]:
            if (dead := playground.died()) is not None:
                return dead
        return None
