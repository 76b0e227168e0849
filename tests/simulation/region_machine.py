"""One machine of the simulated cluster: a store's core, its disk, its clock; everything it does takes time.

It does what the driver does, in the driver's order (`StoreReady`), but each step is an event of the simulation's heap:
between any two of them the machine may crash, stand still, or hear of something else.
"""

from __future__ import annotations

import io
import random
from collections.abc import Callable
from itertools import islice
from typing import TYPE_CHECKING

from region_network import text_of
from region_power import PowerCut

from rutile.testing.disk import DiskError, ForgetfulDisk
from rutile_kv.engine.api import WriteBatch
from rutile_kv.raftstore.bootstrap import bootstrap_store
from rutile_kv.raftstore.events import (
    Event,
    InstallSnapshot,
    RaftMessageReceived,
    SendSnapshot,
    SnapshotInstalled,
    SnapshotReceived,
    SnapshotSent,
    StoodStill,
    StoreReady,
    StoreUnreachable,
    Tick,
)
from rutile_kv.raftstore.region_reader import RegionReader
from rutile_kv.raftstore.snapshot import SpooledSnapshot, encode_snapshot
from rutile_kv.raftstore.store import Store
from rutile_proto import raft_serverpb_pb2 as raft_serverpb
from rutile_proto.errors import InvalidRequest

if TYPE_CHECKING:
    from region_simulation import RegionSimulation

TICK_MS = 100
CATCH_UP_MS = 10
"""As in the driver: between two ticks that are made up for messages are taken."""
INSTALL_RECORDS = 3


class Machine:
    """See the module. `life` counts boots: what was scheduled in an earlier life does not happen in this one."""

    def __init__(self, simulation: RegionSimulation, store_id: int, cluster_id: int) -> None:
        self.simulation = simulation
        self.id = store_id
        self.config = simulation.world.store_config(simulation.random)
        self.rate = 1.0 + simulation.random.uniform(-1, 1) * simulation.world.drift
        self.failing = False
        """Whether its disk fails from here on, until the next boot."""
        self._cut_at_boot = False
        self.disk = ForgetfulDisk(fault=self._fault)
        bootstrap_store(self.disk, cluster_id, store_id)
        self.life = 0
        self.up = False
        self.paused = False
        self.gone = False
        """Dead for good."""
        self._parked: list[Callable[[], None]] = []
        self._busy = False
        self._started_ms = 0.0
        self.store: Store

    # --- life ---------------------------------------------------------------------------------------------------------

    def boot(self) -> None:
        """Start the process on what the disk holds."""
        if self.up or self.gone:
            return
        simulation = self.simulation
        self._cut_at_boot = simulation.power.goes_at_boot()
        try:
            self.store = Store(self.id, self.disk, self.config, random.Random(simulation.random.getrandbits(32)))
        except PowerCut:
            self.disk = self.disk.reboot(0)
            simulation.later(simulation.random.randint(1, simulation.world.max_down_ms), self.boot)
            return
        finally:
            self._cut_at_boot = False
        self.up, self._busy = True, False
        self._started_ms = self.clock_ms()
        simulation.checks.booted(self)
        simulation.note(f"store {self.id} boots: regions {[info.region.id for info in self.store.region_infos()]}")
        self.later(simulation.random.randint(1, TICK_MS), self._on_tick)
        self._wake()

    def crash(self, survivors: int = 0) -> None:
        """The power goes; of what was not synced, `survivors` batches are there afterwards."""
        if not self.up:
            return
        self.simulation.note(f"store {self.id} crashes, {survivors} of {self.disk.unsynced_batches} batches survive")
        self.disk = self.disk.reboot(survivors)
        self.life += 1
        self.up = self.paused = self.failing = False
        self._parked.clear()
        self.simulation.clients.store_crashed(self)

    def lose_power(self, survivors: int) -> None:
        """Crash, and come back."""
        self.crash(survivors)
        self.simulation.later(self.simulation.random.randint(1, self.simulation.world.max_down_ms), self.boot)

    def pause(self, paused: bool) -> None:
        """Stop the process as SIGSTOP does, or let it go on: its clock goes on all the while."""
        if self.up and paused != self.paused:
            self.simulation.note(f"store {self.id} {'stands still' if paused else 'goes on'}")
            self.paused = paused
            parked, self._parked = self._parked, []
            self.simulation.random.shuffle(parked)  # sockets and timers are looked at in no order
            for action in parked:
                self.later(0, action)

    def clock_ms(self) -> float:
        """The machine's own idea of the time."""
        return self.simulation.now_ms * self.rate

    def now_tick(self) -> int:
        """As the driver reckons it: ahead of the store's ticks when they could not be stepped in time."""
        return int((self.clock_ms() - self._started_ms) / TICK_MS)

    def later(self, delay_ms: int, action: Callable[[], None]) -> None:
        """Do something in this life, when the machine is not standing still."""
        life = self.life

        def run() -> None:
            if self.life != life or not self.up:
                return
            if self.paused:
                self._parked.append(run)
            else:
                action()

        self.simulation.later(delay_ms, run)

    # --- events -------------------------------------------------------------------------------------------------------

    def step(self, event: Event) -> None:
        """What the driver does with whatever comes; only while running."""
        self.simulation.note(f"store {self.id} < {text_of(event)}")
        self.store.late_ticks = max(0, self.now_tick() - self.store.tick_count)
        try:
            self.store.step(event)
        except InvalidRequest as error:
            self.simulation.note(f"store {self.id} refuses {type(event).__name__}: {error}")
        if isinstance(event, RaftMessageReceived):
            self.simulation.checks.promises.taken(self, event.message)
        self._wake()

    def _on_tick(self) -> None:
        due, made_up = self.now_tick() - self.store.tick_count, self.config.election_timeout_ticks // 2
        if due > made_up:
            self.store.step(StoodStill(due - made_up))
        self._catch_up(min(due, made_up))

    def _catch_up(self, ticks: int) -> None:
        """Make up for so many ticks, one after the other; then wait for the next."""
        if ticks > 0:
            self.store.step(Tick())
            self._wake()
        if ticks > 1:
            self.later(CATCH_UP_MS, lambda: self._catch_up(ticks - 1))
        else:
            self.later(TICK_MS, self._on_tick)

    def _wake(self) -> None:
        if not self._busy:
            self._busy = True
            self.later(self.simulation.random.randint(0, 1), self._round)

    # --- rounds -------------------------------------------------------------------------------------------------------

    def _round(self) -> None:
        ready = self.store.ready()
        if ready is None:
            self._busy = False
            return
        life = self.life
        for message in ready.messages:
            self._send(message)
        if len(ready.batch) and not self._write(ready.batch):
            return
        self.simulation.checks.after_write(self)
        self._complete(ready)
        if self.life != life:
            return  # the power went while a snapshot was being installed
        delay_ms = self.simulation.random.randint(0, self.simulation.world.max_sync_ms) if ready.must_sync else 0
        self.later(delay_ms, lambda: self._synced(ready))

    def _synced(self, ready: StoreReady) -> None:
        if ready.must_sync:
            try:
                self.disk.sync()
            except DiskError:
                self._fail()
                return
            self.simulation.checks.after_sync(self)
        for message in ready.persisted_messages:
            self._send(message)
        self.store.advance(ready)
        self._busy = False
        if self.store.has_work():
            self._wake()

    def _complete(self, ready: StoreReady) -> None:
        for completion in ready.completions:
            self.simulation.clients.completed(self, completion)
        for send in ready.snapshots_to_send:
            self._send_snapshot(send)
        for install in ready.installs:
            self._install(install)
        for heartbeat in ready.heartbeats:
            self.simulation.pd_proxy.report(self, heartbeat)
        for split in ready.splits:
            self.simulation.pd_proxy.report_split(self, split.regions)

    def _write(self, batch: WriteBatch) -> bool:
        """Whether the machine still runs afterwards."""
        try:
            return self.simulation.power.write(self, batch)
        except DiskError:
            self._fail()
            return False

    def _fail(self) -> None:
        """A store whose disk fails stops serving; somebody restarts it."""
        self.simulation.note(f"store {self.id}: disk error")
        self.lose_power(self.simulation.random.randint(0, self.disk.unsynced_batches))

    def _fault(self, operation: str) -> None:
        if self._cut_at_boot:
            self.simulation.power.cuts["snapshot_abandon", "before" if operation == "write" else "after"] += 1
            raise PowerCut(operation)
        if self.failing:
            raise DiskError(f"{operation} failed, as the simulation asked")

    # --- the network --------------------------------------------------------------------------------------------------

    def _send(self, message: raft_serverpb.RaftMessage) -> None:
        self.simulation.checks.promises.sent(self, message)
        self.simulation.network.send(self, message.to_peer.store_id, lambda to: to.step(RaftMessageReceived(message)))

    def unreachable(self, store_id: int) -> None:
        """A connection broke."""
        self.later(1, lambda: self.step(StoreUnreachable(store_id)))

    def _send_snapshot(self, send: SendSnapshot) -> None:
        payload = SpooledSnapshot(io.BytesIO())
        for chunk in encode_snapshot(send.data, send.region, chunk_bytes=256):
            payload.write(chunk)
        payload.verify(send.region)
        send.data.close()
        to_peer = send.message.to_peer
        delay_ms = self.simulation.random.randint(1, 300)
        arrives = self.simulation.network.reaches(self.id, to_peer.store_id) and self.simulation.random.random() < 0.9

        def arrive(machine: Machine) -> None:
            machine.step(SnapshotReceived(send.message, payload))

        if arrives:
            self.simulation.network.deliver(to_peer.store_id, delay_ms, arrive)
        self.simulation.note(f"snapshot of region {send.region.id} {self.id}>{to_peer.store_id} arrives={arrives}")
        self.later(delay_ms + 1, lambda: self.step(SnapshotSent(send.region.id, to_peer.id, arrives)))

    def _install(self, install: InstallSnapshot) -> None:
        records = install.payload.records()
        region_id, index = install.region.id, install.meta.index

        def write_slice() -> None:
            if not self.store.is_installing(region_id, index):
                return
            pairs = list(islice(records, INSTALL_RECORDS))
            if not pairs:
                self.step(SnapshotInstalled(region_id, index))
                return
            batch = self.disk.batch()
            batch.extend(pairs)
            if self._write(batch):
                self.later(self.simulation.random.randint(0, 20), write_slice)

        write_slice()

    # --- looking in ---------------------------------------------------------------------------------------------------

    def get(self, region_id: int, key: bytes) -> bytes | None:
        """What the store has applied."""
        region = self.store.region(region_id)
        assert region is not None
        return RegionReader(self.disk, region).get("default", key)
