"""An in-process cluster for tests that are not asynchronous, and the pytest fixture `rutile_cluster`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Self

import pytest

from rutile.dbapi import Connection
from rutile.nodes.local import Closer, LocalBackend, SharedDatabase
from rutile.session.engine import Database
from rutile.testing.cluster import InProcessCluster
from rutile.testing.loops import ClusterLoop
from rutile.testing.places import ClusterSettings
from rutile_kv.client.loop_thread import LoopThread


class RutileCluster:
    """A cluster in this process, in real time, with SQL.

    >>> with RutileCluster() as cluster:
    ...     connection = cluster.connect()
    ...     cluster.kill_store(1)
    ...     connection.execute("SELECT 1")

    Stores are called by number, from 1. Everything is in memory; each store's disk outlives the store and forgets, when
    the store is killed, what it had not synced.
    """

    def __init__(self, settings: ClusterSettings | None = None) -> None:
        """Returns when the first region has its replicas. Close it, or use it as a context manager."""
        self._shared = SharedDatabase(lambda: self._open(settings), LoopThread(ClusterLoop()))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close connections first; this ends the cluster."""
        self._shared.release()

    def connect(self, schema: str | None = "test", autocommit: bool = True) -> Connection:
        """A DB-API connection, as `rutile.connect` gives."""
        return Connection(LocalBackend(self._shared.acquire(), schema), autocommit)

    @property
    def stores(self) -> list[int]:
        """The numbers of all stores, running or not."""
        return list(range(1, len(self._cluster.stores) + 1))

    def add_store(self) -> int:
        """One store more; its number."""
        name: str = self._shared.loop.run(self._cluster.add_store())
        return int(name.removeprefix("store"))

    def kill_store(self, number: int) -> None:
        """Power off: what was not synced is gone."""
        self._now(lambda: self._cluster.kill(_name(number)))

    def restart_store(self, number: int) -> None:
        """Start a killed store on what its disk holds; returns when it serves."""
        self._shared.loop.run(self._cluster.start_again(_name(number)))

    def pause_store(self, number: int) -> None:
        """Let nothing run there, as SIGSTOP does."""
        self._now(lambda: self._cluster.pause(_name(number)))

    def resume_store(self, number: int) -> None:
        """Let it go on."""
        self._now(lambda: self._cluster.resume(_name(number)))

    def partition(self, *numbers: int) -> None:
        """Cut these stores off from everybody else; they still reach each other."""
        self._now(lambda: self._cluster.partition(*map(_name, numbers)))

    def heal(self) -> None:
        """End all partitions."""
        self._now(self._cluster.heal)

    def skew_clock(self, number: int, ahead_s: float = 0.0, rate: float = 1.0) -> None:
        """Set a store's wall clock wrong, or let its clocks run too fast or too slow."""
        self._now(lambda: self._cluster.skew(_name(number), ahead_s, rate))

    # --- inside -------------------------------------------------------------------------------------------------------

    def _now(self, act: Callable[[], None]) -> None:
        async def run() -> None:
            act()

        self._shared.loop.run(run())

    async def _open(self, settings: ClusterSettings | None) -> tuple[Database, Closer]:
        self._cluster = cluster = InProcessCluster(settings)
        try:
            await cluster.start()
        except BaseException:
            await cluster.close()
            raise
        database = Database(cluster.client("sql"))
        await database.start()

        async def close() -> None:
            await database.close()
            await cluster.close()

        return database, close


def _name(number: int) -> str:
    return f"store{number}"


@pytest.fixture
def rutile_cluster() -> Iterator[RutileCluster]:
    """Three stores and a placement driver in this process, with every fault on call."""
    with RutileCluster() as cluster:
        yield cluster
