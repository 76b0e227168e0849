"""What PD knows of one region, in as few bytes as Python allows: there may be a million of them.

A protobuf message of a region keeps the whole heartbeat alive that it came with; here its fields are taken out. What
two reports share (range and members, as long as the epoch is the same) is one object in memory.
"""

from dataclasses import dataclass
from typing import NamedTuple

from rutile_proto import metapb_pb2 as metapb
from rutile_proto import pdpb_pb2 as pdpb


class Peer(NamedTuple):
    """A replica. The fields are those of metapb.Peer."""

    id: int
    store_id: int
    role: int = metapb.Voter

    @classmethod
    def of(cls, peer: metapb.Peer) -> "Peer":
        return cls(peer.id, peer.store_id, peer.role)

    def to_pb(self) -> metapb.Peer:
        return metapb.Peer(id=self.id, store_id=self.store_id, role=metapb.PeerRole.ValueType(self.role))

    @property
    def is_learner(self) -> bool:
        return self.role == metapb.Learner


@dataclass(slots=True)
class RegionInfo:
    """A region. Never changed, but replaced as a whole by each report (not frozen, because that costs microseconds)."""

    id: int
    start_key: bytes
    end_key: bytes
    conf_ver: int
    version: int
    peers: tuple[Peer, ...]
    leader: Peer | None = None
    term: int = 0
    down: tuple[tuple[int, int], ...] = ()
    """Peers the leader does not hear: (peer id, seconds)."""
    pending: tuple[int, ...] = ()
    """Ids of peers too far behind to count."""
    approximate_size_bytes: int = 0
    approximate_keys: int = 0
    written_bytes: int = 0
    read_bytes: int = 0
    """In the interval of the last report that named one."""

    @classmethod
    def of(cls, meta: metapb.Region, leader: metapb.Peer | None = None, term: int = 0) -> "RegionInfo":
        """A region of which only members and range are known."""
        peers = tuple(Peer.of(peer) for peer in meta.peers)
        led = Peer.of(leader) if leader is not None and leader.id else None
        epoch = meta.region_epoch
        return cls(meta.id, meta.start_key, meta.end_key, epoch.conf_ver, epoch.version, peers, led, term)

    @classmethod
    def unheard(
        cls, meta: metapb.Region, leader: metapb.Peer | None = None, kin: "RegionInfo | None" = None
    ) -> "RegionInfo":
        """A region whose leader has reported nothing of it as it is now. Its peers are as well as those of `kin`, the
        region it was cut from or another piece of that, on the same stores. A learner of which the whole told nothing
        counts as too far behind: it was added to catch up, and to promote one that has not could cost the majority."""
        info = cls.of(meta, leader)
        beside = [(peer, None if kin is None else kin.peer_on(peer.store_id)) for peer in info.peers]
        seconds = {} if kin is None else dict(kin.down)
        behind = () if kin is None else kin.pending
        is_whole = kin is not None and kin.version < info.version
        info.down = tuple((peer.id, seconds[old.id]) for peer, old in beside if old is not None and old.id in seconds)
        info.pending = tuple(
            peer.id
            for peer, old in beside
            if (old is not None and old.id in behind) or (peer.is_learner and (old is None or not is_whole))
        )
        return info

    @classmethod
    def of_heartbeat(cls, report: pdpb.RegionHeartbeatRequest, known: "RegionInfo | None" = None) -> "RegionInfo":
        """What a leader reported. Range and members are `known`'s if the epoch is."""
        meta, epoch, leader_id = report.region, report.region.region_epoch, report.leader.id
        if known is not None and known.version == epoch.version and known.conf_ver == epoch.conf_ver:
            start_key, end_key, peers = known.start_key, known.end_key, known.peers
        else:
            start_key, end_key, peers = meta.start_key, meta.end_key, tuple(Peer.of(peer) for peer in meta.peers)
        if report.HasField("interval"):
            written, read = report.bytes_written, report.bytes_read
        else:
            written, read = (known.written_bytes, known.read_bytes) if known is not None else (0, 0)
        led = next((peer for peer in peers if peer.id == leader_id), None)
        if led is None and leader_id:
            led = Peer.of(report.leader)
        return cls(
            id=meta.id,
            start_key=start_key,
            end_key=end_key,
            conf_ver=epoch.conf_ver,
            version=epoch.version,
            peers=peers,
            leader=led,
            term=report.term,
            down=tuple((down.peer.id, down.down_seconds) for down in report.down_peers),
            pending=tuple(peer.id for peer in report.pending_peers),
            approximate_size_bytes=report.approximate_size,
            approximate_keys=report.approximate_keys,
            written_bytes=written,
            read_bytes=read,
        )

    @property
    def meta(self) -> metapb.Region:
        """The region as a message, made anew each time."""
        return metapb.Region(
            id=self.id,
            start_key=self.start_key,
            end_key=self.end_key,
            region_epoch=metapb.RegionEpoch(conf_ver=self.conf_ver, version=self.version),
            peers=[peer.to_pb() for peer in self.peers],
        )

    def contains(self, key: bytes) -> bool:
        """Whether the storage key lies in the region."""
        return self.start_key <= key and (not self.end_key or key < self.end_key)

    def peer_on(self, store_id: int) -> Peer | None:
        """The region's peer on a store."""
        return next((peer for peer in self.peers if peer.store_id == store_id), None)

    def peer(self, peer_id: int) -> Peer | None:
        """The region's peer of that id."""
        return next((peer for peer in self.peers if peer.id == peer_id), None)

    def leads(self, peer: Peer) -> bool:
        """Whether the peer is the leader."""
        return self.leader is not None and self.leader.id == peer.id

    def is_pending(self, peer_id: int) -> bool:
        """Whether the peer is too far behind to count."""
        return peer_id in self.pending

    def is_down(self, peer_id: int) -> bool:
        """Whether the leader has not heard of the peer for a while."""
        return any(down_id == peer_id for down_id, _ in self.down)

    def is_well(self, peer: Peer) -> bool:
        """Whether the peer answers and has kept up."""
        return not self.is_pending(peer.id) and not self.is_down(peer.id)

    @property
    def in_joint(self) -> bool:
        """Whether the region has two sets of voters at the moment."""
        return any(peer.role in (metapb.IncomingVoter, metapb.DemotingVoter) for peer in self.peers)

    @property
    def stores(self) -> tuple[int, ...]:
        """The stores it has peers on."""
        return tuple(peer.store_id for peer in self.peers)

    def down_peers(self) -> list[pdpb.PeerStats]:
        """As answers carry them."""
        found = ((self.peer(peer_id), seconds) for peer_id, seconds in self.down)
        return [pdpb.PeerStats(peer=peer.to_pb(), down_seconds=seconds) for peer, seconds in found if peer is not None]

    def pending_peers(self) -> list[metapb.Peer]:
        """As answers carry them."""
        found = (self.peer(peer_id) for peer_id in self.pending)
        return [peer.to_pb() for peer in found if peer is not None]

    def leader_pb(self) -> metapb.Peer | None:
        """The leader as a message."""
        return None if self.leader is None else self.leader.to_pb()

    def to_pb(self) -> pdpb.Region:
        """As ScanRegions answers it."""
        return pdpb.Region(
            region=self.meta,
            leader=self.leader_pb(),
            down_peers=self.down_peers(),
            pending_peers=self.pending_peers(),
        )
