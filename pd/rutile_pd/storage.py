"""What the placement driver keeps on disk, in the family `default` of an engine of its own.

    key                          value
    ---------------------------  -----------------------------------------------------------------------------
    pd/cluster                   metapb.Cluster: the identity of the cluster
    pd/member                    u64: this member's id
    pd/bootstrapped              empty, present once the first region was founded
    pd/tso                       u64: limit of timestamps given out, Unix ms
    pd/ids                       u64: end of ids given out
    pd/safe_point                u64
    pd/service/<id>              u64 safe point, u64 expiry in Unix seconds
    pd/store/<u64>               metapb.Store
    pd/region/<u64>              pdpb.Region: meta and last known leader

u64 is big-endian. A write is visible at once; what must survive a power cut is followed by `sync` before anybody hears
of it. Regions and leaders are not synced: their leaders report them again.
"""

from collections.abc import Sequence

from rutile_kv.engine.api import CF_DEFAULT, Engine
from rutile_pd.safe_points import ServiceSafePoint
from rutile_proto import metapb_pb2 as metapb
from rutile_proto import pdpb_pb2 as pdpb
from rutile_proto.codec import decode_uint64, encode_uint64
from rutile_proto.errors import DataDirMismatch
from rutile_proto.keys import prefix_next

_CLUSTER = b"pd/cluster"
_MEMBER = b"pd/member"
_BOOTSTRAPPED = b"pd/bootstrapped"
_TSO = b"pd/tso"
_IDS = b"pd/ids"
_SAFE_POINT = b"pd/safe_point"
_SERVICE = b"pd/service/"
_STORE = b"pd/store/"
_REGION = b"pd/region/"


class PdStorage:
    """Typed access to the table above. Never blocks, except `sync`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    # --- identity -------------------------------------------------------------------------------------------------

    def claim(self, cluster_id: int, member_id: int, expected_cluster_id: int = 0) -> tuple[int, int]:
        """(cluster id, member id) of this directory; a new one is given those offered.

        DataDirMismatch if the directory belongs to another cluster than the expected one (0: any), or not to a PD.
        """
        found = self._engine.get(CF_DEFAULT, _CLUSTER)
        if found is None:
            self._found_cluster(expected_cluster_id or cluster_id, member_id)
        held = metapb.Cluster.FromString(self._engine.get(CF_DEFAULT, _CLUSTER) or b"").id
        if expected_cluster_id and held != expected_cluster_id:
            raise DataDirMismatch(f"the directory belongs to cluster {held}, not to cluster {expected_cluster_id}")
        return held, self._number(_MEMBER)

    def _found_cluster(self, cluster_id: int, member_id: int) -> None:
        if next(self._engine.scan(CF_DEFAULT, b"", None), None) is not None:
            raise DataDirMismatch("the directory holds data, but not a placement driver's")
        batch = self._engine.batch()
        batch.put(CF_DEFAULT, _CLUSTER, metapb.Cluster(id=cluster_id).SerializeToString())
        batch.put(CF_DEFAULT, _MEMBER, encode_uint64(member_id))
        self._engine.write(batch)
        self._engine.sync()

    # --- reading back ---------------------------------------------------------------------------------------------

    def bootstrapped(self) -> bool:
        """Whether the cluster has its first region."""
        return self._engine.get(CF_DEFAULT, _BOOTSTRAPPED) is not None

    def timestamp_limit_ms(self) -> int:
        """What `TimestampOracle` starts from."""
        return self._number(_TSO)

    def id_end(self) -> int:
        """What `IdAllocator` starts from."""
        return self._number(_IDS)

    def safe_point(self) -> int:
        """The garbage collection safe point."""
        return self._number(_SAFE_POINT)

    def services(self) -> tuple[ServiceSafePoint, ...]:
        """The claims on the safe point."""
        return tuple(
            ServiceSafePoint(key[len(_SERVICE) :], decode_uint64(value)[0], decode_uint64(value, 8)[0])
            for key, value in self._scan(_SERVICE)
        )

    def stores(self) -> list[metapb.Store]:
        """All registered stores by id."""
        return [metapb.Store.FromString(value) for _, value in self._scan(_STORE)]

    def regions(self) -> list[pdpb.Region]:
        """All regions by id."""
        return [pdpb.Region.FromString(value) for _, value in self._scan(_REGION)]

    # --- writing --------------------------------------------------------------------------------------------------

    def save_timestamp_limit(self, limit_ms: int) -> None:
        self._put(_TSO, encode_uint64(limit_ms))

    def save_id_end(self, end: int) -> None:
        self._put(_IDS, encode_uint64(end))

    def save_safe_point(self, safe_point: int) -> None:
        self._put(_SAFE_POINT, encode_uint64(safe_point))

    def save_service(self, service: ServiceSafePoint) -> None:
        self._put(_SERVICE + service.service_id, encode_uint64(service.safe_point) + encode_uint64(service.expires_s))

    def delete_service(self, service_id: bytes) -> None:
        batch = self._engine.batch()
        batch.delete(CF_DEFAULT, _SERVICE + service_id)
        self._engine.write(batch)

    def save_bootstrap(self, store: metapb.Store, region: pdpb.Region) -> None:
        """The first store and region, and that there are such, all or none."""
        batch = self._engine.batch()
        batch.put(CF_DEFAULT, _STORE + encode_uint64(store.id), store.SerializeToString())
        batch.put(CF_DEFAULT, _REGION + encode_uint64(region.region.id), region.SerializeToString())
        batch.put(CF_DEFAULT, _BOOTSTRAPPED, b"")
        self._engine.write(batch)

    def save_store(self, store: metapb.Store) -> None:
        self._put(_STORE + encode_uint64(store.id), store.SerializeToString())

    def save_region(self, region: pdpb.Region, replaced: Sequence[int] = ()) -> None:
        """A region, and the end of those it replaced."""
        batch = self._engine.batch()
        for region_id in replaced:
            batch.delete(CF_DEFAULT, _REGION + encode_uint64(region_id))
        batch.put(CF_DEFAULT, _REGION + encode_uint64(region.region.id), region.SerializeToString())
        self._engine.write(batch)

    def sync(self) -> None:
        """Make everything written durable. Blocking; may run in a thread beside the loop."""
        self._engine.sync()

    def close(self) -> None:
        """Sync and close the engine."""
        self._engine.close()

    # --- helpers --------------------------------------------------------------------------------------------------

    def _number(self, key: bytes) -> int:
        value = self._engine.get(CF_DEFAULT, key)
        return 0 if value is None else decode_uint64(value)[0]

    def _put(self, key: bytes, value: bytes) -> None:
        batch = self._engine.batch()
        batch.put(CF_DEFAULT, key, value)
        self._engine.write(batch)

    def _scan(self, prefix: bytes) -> list[tuple[bytes, bytes]]:
        return list(self._engine.scan(CF_DEFAULT, prefix, prefix_next(prefix)))
