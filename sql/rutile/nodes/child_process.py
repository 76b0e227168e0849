"""A process that announces itself when it serves, and stops when its standard input ends."""

from __future__ import annotations

import contextlib
import os
import select
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from rutile_proto.errors import StorageError


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
    flight_location: str = ""

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
        """Read `ready <role> <address> [mysql=<address>] [flight=<location>]`.

        ChildFailed when the process ends or the deadline (monotonic) passes.
        """
        assert self.process is not None and self.process.stdout is not None
        line = _read_line(self.process.stdout, deadline)
        if not line.startswith("ready "):
            self.kill()
            raise ChildFailed(f"{self.name} did not start; {self.log_path} ends with:\n{self.log_tail()}")
        _, _, self.address, *others = line.split()
        told = dict(text.split("=", 1) for text in others)
        self.mysql_address, self.flight_location = told.get("mysql", ""), told.get("flight", "")

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
