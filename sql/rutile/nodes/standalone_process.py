"""`rutile standalone` as a child process: for benchmarks and tests that want a server with the data in it."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Self

from rutile.nodes.child_process import Child
from rutile.nodes.playground import START_TIMEOUT_S, STOP_TIMEOUT_S


class StandaloneProcess:
    """One process with placement driver, store and SQL; a context manager. Its data goes with it."""

    def __init__(self) -> None:
        self._temporary = tempfile.TemporaryDirectory(prefix="rutile-")
        folder = Path(self._temporary.name)
        addresses = ["--addr", "127.0.0.1:0", "--mysql-addr", "127.0.0.1:0"]
        self._child = Child("standalone", ["standalone", "--data", str(folder / "data"), *addresses], folder / "log")

    @property
    def sql_address(self) -> str:
        """Where `rutile.connect("host:port")` goes."""
        return self._child.address

    @property
    def mysql_address(self) -> str:
        """Where MySQL clients go, as root without a password."""
        return self._child.mysql_address

    @property
    def pid(self) -> int:
        return self._child.pid

    def __enter__(self) -> Self:
        """Raises ChildFailed."""
        self._child.spawn()
        self._child.wait_ready(time.monotonic() + START_TIMEOUT_S)
        return self

    def __exit__(self, *exc: object) -> None:
        self._child.ask_to_stop()
        self._child.wait_stopped(time.monotonic() + STOP_TIMEOUT_S)
        self._temporary.cleanup()
