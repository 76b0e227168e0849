"""Somebody who kills and stops stores, by process id."""

from __future__ import annotations

import os
import random
import signal
import threading

from e2e_tools import leader_index, regions

from rutile.nodes.playground import Playground


class Nemesis:
    """One fault at a time: a quorum is always there, though it may not know that yet."""

    def __init__(self, cluster: Playground, seed: int = 0) -> None:
        self.cluster = cluster
        self.kills = 0
        self.stops = 0
        self._dice = random.Random(seed)
        self._pause = threading.Event()

    def kill_leader(self) -> None:
        """kill -9 of the store that leads some region, and start it again."""
        victim = leader_index(self.cluster, self._dice.randrange(len(regions(self.cluster))))
        if victim is None:
            return
        self.cluster.stores[victim].kill()
        self.cluster.restart_store(victim)
        self.kills += 1

    def stop_store(self, seconds: float) -> None:
        """SIGSTOP to a store, SIGCONT after a while: it wakes up with old leases and old beliefs."""
        pid = self._dice.choice(self.cluster.stores).pid
        os.kill(pid, signal.SIGSTOP)
        try:
            self._pause.wait(seconds)
        finally:
            os.kill(pid, signal.SIGCONT)
        self.stops += 1

    def rage(self, seconds: float, stop: threading.Event) -> None:
        """A fault now and then for `seconds`, or until `stop` is set; the two kinds take turns."""
        for _ in range(round(seconds / 4)):
            if stop.wait(self._dice.uniform(1.0, 3.0)):
                return
            if self.kills <= self.stops:
                self.kill_leader()
            else:
                self.stop_store(self._dice.uniform(2.0, 3.0))
