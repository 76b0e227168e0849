"""`rutile playground`: a placement driver, stores and a SQL front end as real processes on loopback, from one command.

    Playground.start()
      rutile pd  ──ready──►  rutile kv × n  ──ready──►  rutile sql  ──ready──►  "ready"

Every child holds the read end of a pipe whose other end is ours (its standard input): when this process ends, even by
kill -9, the children read the end of the pipe and stop. Logs lie beside the data, one file a process.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Self

from rutile_proto.errors import StorageError

START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 15.0


class ChildFailed(StorageError):
    """A process of the playground ended, or did not become ready in time; the text has the last lines of its log."""


@dataclass
class Child:
    """One process of the playground."""

    name: str
    arguments: list[str]
    log_path: Path
    process: subprocess.Popen[bytes] | None = None
    address: str = ""
    mysql_address: str = ""

    @property
    def pid(self) -> int:
        """The process id; StorageError when it was never started."""
        if self.process is None:
            raise StorageError(f"{self.name} was not started")
        return self.process.pid

    def spawn(self) -> None:
        """Start the process; it announces itself later (`wait_ready`)."""
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "rutile", *self.arguments, "--stop-with-stdin"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,  # ^C reaches the playground only, which stops its children in order
            )

    def wait_ready(self, deadline: float) -> None:
        """Read `ready <role> <address> [mysql=<address>]`.

        ChildFailed when the process ends or the deadline (monotonic) passes.
        """
        assert self.process is not None and self.process.stdout is not None
        line = _read_line(self.process.stdout, deadline)
        if not line.startswith("ready "):
            self.kill()
            raise ChildFailed(f"{self.name} did not start; {self.log_path} ends with:\n{self.log_tail()}")
        _, _, self.address, *others = line.split()
        self.mysql_address = next((text.removeprefix("mysql=") for text in others if text.startswith("mysql=")), "")

    def log_tail(self, lines: int = 12) -> str:
        """The last lines the process logged."""
        text = self.log_path.read_text(errors="replace") if self.log_path.exists() else ""
        return "\n".join(text.splitlines()[-lines:])

    def kill(self) -> None:
        """End the process at once (SIGKILL), as a crash would."""
        if self.process is not None:
            self.process.kill()
            self._reap()

    def ask_to_stop(self) -> None:
        """Close its standard input: it stops by itself."""
        if self.process is not None and self.process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self.process.stdin.close()

    def wait_stopped(self, deadline: float) -> None:
        """Wait for the process to end; kill it when the deadline (monotonic) passes."""
        if self.process is None:
            return
        try:
            self.process.wait(max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            self.process.kill()
        self._reap()

    def _reap(self) -> None:
        assert self.process is not None
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()


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
        max_store_down_s: float = 1800.0,
        pds: int = 1,
    ) -> None:
        if stores < 1 or pds < 1:
            raise ValueError(f"a cluster has at least one store and one placement driver, not {stores} and {pds}")
        self._temporary = None if data_dir else tempfile.TemporaryDirectory(prefix="rutile-")
        self.data_dir = Path(data_dir or self._temporary.name)  # type: ignore[union-attr]
        self._ports = (pd_port, kv_port, sql_port, mysql_port)
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
    def pd_address(self) -> str:
        """Where TiKV clients and `rutile.connect("pd://host:port")` go: one of the members."""
        assert self.pds, "the playground is not started"
        return self.pds[0].address

    @property
    def pd_addresses(self) -> str:
        """All members of the placement driver, with commas between."""
        return ",".join(child.address for child in self.pds)

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
        return ["kv", "--data", str(self.data_dir / f"kv{index + 1}"), "--addr", address, "--pd", self.pd_addresses]

    def _start_sql(self, deadline: float) -> None:
        addresses = ["--addr", f"127.0.0.1:{self._ports[2]}", "--mysql-addr", f"127.0.0.1:{self._ports[3]}"]
        self.sql = self._spawn("sql", ["sql", "--pd", self.pd_addresses, *addresses])
        self.sql.wait_ready(deadline)


def _read_line(pipe: IO[bytes], deadline: float) -> str:
    """One line from `pipe`; what there is of it when the writer goes away or the deadline passes."""
    line = b""
    while not line.endswith(b"\n"):
        readable, _, _ = select.select([pipe], [], [], max(0.0, deadline - time.monotonic()))
        chunk = os.read(pipe.fileno(), 1) if readable else b""
        if not chunk:
            break
        line += chunk
    return line.decode(errors="replace").strip()


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
