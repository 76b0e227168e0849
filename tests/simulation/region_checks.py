"""What must hold in every run of a cluster of regions, whatever went wrong.

Looked at after every write of a store, for that store (cheap: its own regions), and at the end for all of them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

from region_promises import Promises

from rutile_kv.engine.api import Modify
from rutile_kv.raftstore.peer import Peer
from rutile_proto import metapb_pb2 as metapb

if TYPE_CHECKING:
    from region_machine import Machine


class Violation(AssertionError):
    """A promise of the raftstore was broken."""


class Checks:
    """The history of a cluster, as far as the promises need it."""

    def __init__(self) -> None:
        self.leaders: dict[tuple[int, int], int] = {}
        """(region, term) -> store that led it."""
        self.newest_terms: dict[int, int] = {}
        """region -> newest term in which anybody led it."""
        self.applied: dict[tuple[int, int], str] = {}
        """(region, index) -> what was applied there, by whoever was first."""
        self.states: dict[tuple[int, int], tuple[str, str]] = {}
        """(region, applied index) -> (region meta, digest of the data)."""
        self.ranges: dict[tuple[int, int], tuple[bytes, bytes]] = {}
        """(region, version) -> its range."""
        self.by_version: dict[int, dict[int, tuple[bytes, bytes]]] = {}
        self.destroyed: dict[tuple[int, int], int] = {}
        """(store, region) -> the peer that was destroyed there, durably."""
        self._peers: dict[int, dict[int, int]] = {}
        self._epochs: dict[tuple[int, int], tuple[int, int, int, int]] = {}
        self._going: dict[int, dict[int, int]] = {}
        self.looks = 0
        self.promises = Promises()
        self.born: dict[int, None] = {}
        """Regions that began as a part of another."""
        self.merged: dict[int, None] = {}
        """Regions that were handed over to another."""
        self.snapshots = 0

    # --- what the simulation tells ------------------------------------------------------------------------------------

    def booted(self, machine: Machine) -> None:
        """A store runs again: what it had not synced may be undone, so it is compared with itself from here on."""
        machine.store.observe(_Witness(self, machine.id))
        for key in [key for key in self._epochs if key[0] == machine.id]:
            del self._epochs[key]
        self._going[machine.id] = {}
        self._peers[machine.id] = {}
        self.after_write(machine)

    def after_write(self, machine: Machine) -> None:
        """One leader a term, regions side by side, epochs rising, nobody back from the dead."""
        registry = machine.store._registry  # `region_infos` would cost more than the rest of this
        border: bytes | None = b""
        peers: dict[int, int] = {}
        for region in registry.regions:
            peer = registry.peers[region.id]
            if border is None or region.start_key < border:
                raise Violation(f"store {machine.id}: region {region.id} overlaps its left neighbour")
            border = region.end_key or None
            if peer.is_leader and (region.id, peer.term) not in self.leaders:
                self._look_for_leases(machine, peer)
            self._look_at(machine.id, peer)
            peers[region.id] = peer.id
        self._look_for_the_gone(machine.id, peers)

    def after_sync(self, machine: Machine) -> None:
        """What was destroyed is destroyed for good."""
        for region_id, peer_id in self._going[machine.id].items():
            self.destroyed[machine.id, region_id] = max(peer_id, self.destroyed.get((machine.id, region_id), 0))
        self._going[machine.id] = {}

    def read_by_lease(self, store_id: int, region_id: int, term: int) -> None:
        """A lease promises that nobody leads a later term."""
        newest = self.newest_terms.get(region_id, 0)
        if newest > term:
            raise Violation(
                f"store {store_id} reads region {region_id} by a lease of term {term}; term {newest} is led"
            )

    def applied_at(self, store_id: int, region_id: int, index: int, modifies: Sequence[Modify]) -> None:
        """State machine safety: whoever applies an index applies the same there."""
        digest = hashlib.blake2b(repr(list(modifies)).encode(), digest_size=12).hexdigest()
        known = self.applied.setdefault((region_id, index), digest)
        if known != digest:
            raise Violation(
                f"store {store_id}: entry {index} of region {region_id} is {modifies}, elsewhere it was not"
            )

    # --- inside -------------------------------------------------------------------------------------------------------

    def _look_at(self, store_id: int, peer: Peer) -> None:
        self.looks += 1
        region = peer.region
        if peer.is_leader:
            known = self.leaders.setdefault((region.id, peer.term), store_id)
            self.newest_terms[region.id] = max(peer.term, self.newest_terms.get(region.id, 0))
            if known != store_id:
                raise Violation(f"region {region.id}, term {peer.term}: stores {known} and {store_id} both led it")
        epoch = region.region_epoch
        now = (peer.id, epoch.version, epoch.conf_ver, peer.storage.applied_index)
        before = self._epochs.get((store_id, region.id))
        if before == now:
            return
        self._epochs[store_id, region.id] = now
        if before is not None and before[0] == now[0] and any(was > is_ for was, is_ in zip(before, now, strict=True)):
            raise Violation(f"store {store_id}, region {region.id}: (peer, version, conf_ver, index) {before} -> {now}")
        if before is None or before[1] != now[1]:
            self._look_at_range(region)

    @staticmethod
    def _look_for_leases(elected: Machine, leader: Peer) -> None:
        """Nobody is elected while a leader of an earlier term may believe in its lease."""
        for machine in elected.simulation.machines.values():
            peer = machine.store._registry.peers.get(leader.region_id) if machine.up else None
            if peer is None or not peer.is_leader or peer.term >= leader.term or peer.asleep_since is not None:
                continue
            if peer.node.lease_valid(machine.now_tick()):
                raise Violation(
                    f"region {leader.region_id}: store {elected.id} leads term {leader.term} while store {machine.id}"
                    f" has a lease of term {peer.term}"
                )

    def _look_at_range(self, region: metapb.Region) -> None:
        """A version names one range, and no two regions of one version overlap: of two that overlap, one is newer."""
        version, (start, end) = region.region_epoch.version, (region.start_key, region.end_key)
        found = start, end
        known = self.ranges.setdefault((region.id, version), found)
        if known != found:
            raise Violation(f"region {region.id} version {version} is {known} and {found}")
        others = self.by_version.setdefault(version, {})
        for other, (start, end) in others.items():
            if other != region.id and (not end or region.start_key < end) and (not found[1] or start < found[1]):
                raise Violation(
                    f"regions {other} and {region.id} of version {version} overlap: {(start, end)}, {found}"
                )
        others[region.id] = found

    def _look_for_the_gone(self, store_id: int, peers: dict[int, int]) -> None:
        before = self._peers.get(store_id, {})
        for region_id, peer_id in before.items():
            if peers.get(region_id) != peer_id:
                self._going[store_id][region_id] = peer_id
        for region_id, peer_id in peers.items():
            dead = self.destroyed.get((store_id, region_id), 0)
            if before.get(region_id) != peer_id and peer_id <= dead:
                raise Violation(f"store {store_id}: peer {peer_id} of region {region_id} is back, {dead} was destroyed")
        self._peers[store_id] = peers

    # --- at the end, and now and then ---------------------------------------------------------------------------------

    def replicas_agree(self, machines: Sequence[Machine]) -> None:
        """Who applied equally far holds the same region and the same data."""
        for machine in machines:
            peers = machine.store._registry.peers
            for info in machine.store.region_infos():
                if peers[info.region.id].installation is not None:
                    continue  # its data is being replaced; nobody may read it
                data = hashlib.blake2b(repr(machine.disk.contents(info.region)).encode(), digest_size=12).hexdigest()
                state = (_text(info.region), data)
                known = self.states.setdefault((info.region.id, info.applied_index), state)
                if known != state:
                    raise Violation(
                        f"store {machine.id}: region {info.region.id} at {info.applied_index} is {state}, not {known}"
                    )


def tiles(regions: Sequence[metapb.Region]) -> bool:
    """Whether regions cover all keys without gap or overlap."""
    ordered = sorted(regions, key=lambda region: region.start_key)
    starts = [region.start_key for region in ordered]
    return bool(ordered) and [*starts[1:], b""] == [region.end_key for region in ordered] and not starts[0]


def _text(region: metapb.Region) -> str:
    epoch = region.region_epoch
    peers = sorted((peer.store_id, peer.id, peer.role) for peer in region.peers)
    return f"{region.start_key!r}..{region.end_key!r} {epoch.conf_ver}/{epoch.version} {peers}"


class _Witness:
    """ApplyObserver of one store's life."""

    def __init__(self, checks: Checks, store_id: int) -> None:
        self._checks = checks
        self._store_id = store_id

    def on_applied(self, region: metapb.Region, index: int, modifies: Sequence[Modify]) -> None:
        self._checks.applied_at(self._store_id, region.id, index, modifies)

    def on_region_changed(self, region: metapb.Region, came_from: metapb.Region | None) -> None:
        if came_from is not None and came_from.id != region.id:
            self._checks.born[region.id] = None

    def on_snapshot_installed(self, region: metapb.Region, index: int) -> None:
        self._checks.snapshots += 1

    def on_region_merged(self, source: metapb.Region, target: metapb.Region, index: int) -> None:
        self._checks.merged[source.id] = None

    def on_log_cut(self, region: metapb.Region, index: int) -> None:
        """Nothing is looked up in logs."""

    def on_region_destroyed(self, region: metapb.Region) -> None:
        """Looked at after the write."""
