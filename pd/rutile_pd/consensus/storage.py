"""What the placement driver keeps, in the family `default` of an engine of its own.

    key                          value
    ---------------------------  -----------------------------------------------------------------------------
    pd/cluster                   metapb.Cluster: the identity of the cluster
    pd/members/<u64>             pdpb.Member: a member of the group that keeps all this
    pd/took_part/<u64>           empty: the member has stored some of it once
    pd/bootstrapped              empty, present once the first region was founded
    pd/tso                       u64: limit of timestamps given out, Unix ms
    pd/ids                       u64: end of ids given out
    pd/safe_point                u64
    pd/service/<id>              u64 safe point, u64 expiry in Unix seconds
    pd/store/<u64>               metapb.Store
    pd/region/<u64>              pdpb.Region: meta and last known leader
    pd/setting/<name>            what was set by hand, as JSON (rutile_pd.settings lists the names)

u64 is big-endian. Nothing is written here: changes are *staged*, and whoever leads puts them into the log, all of a
moment at once (`leadership`). Reading sees what was applied. Changes are of two kinds. A *promise* must be committed
before anybody hears of it: timestamps, ids, stores, safe points. A *hint* may get lost: regions and their leaders,
which the stores report again.
"""

from collections.abc import Iterator, Sequence

from rutile_kv.engine.api import CF_DEFAULT, Reader
from rutile_pd.allocation.safe_points import ServiceSafePoint
from rutile_proto import metapb_pb2 as metapb
from rutile_proto import pdpb_pb2 as pdpb
from rutile_proto.codec import decode_uint64, encode_uint64
from rutile_proto.keys import prefix_next

Changes = dict[bytes, bytes | None]
"""Keys to their new values; None deletes the key."""

STATE_START, STATE_END = b"pd/", b"pd0"
"""All keys of the state are in here."""
_CLUSTER = b"pd/cluster"
_MEMBERS = b"pd/members/"
_TOOK_PART = b"pd/took_part/"
_BOOTSTRAPPED = b"pd/bootstrapped"
_TSO = b"pd/tso"
_IDS = b"pd/ids"
_SAFE_POINT = b"pd/safe_point"
_SERVICE = b"pd/service/"
_STORE = b"pd/store/"
_REGION = b"pd/region/"
_SETTING = b"pd/setting/"


class PdStorage:
    """Typed access to the table above. `applied` shows what the log has made of it so far."""

    def __init__(self, applied: Reader) -> None:
        self._applied = applied
        self._promises: Changes = {}
        self._hints: Changes = {}

    def promises(self) -> Changes:
        """What was promised and not yet taken."""
        return self._promises

    def promises_taken(self) -> None:
        """What `promises` returned is in the log."""
        self._promises = {}

    def hints(self, max_bytes: int) -> Changes:
        """Some of the hints not yet taken, oldest first, in about `max_bytes`; none if there are none."""
        shown: Changes = {}
        size_bytes = 0
        for key, value in self._hints.items():
            if size_bytes >= max_bytes:
                break
            shown[key] = value
            size_bytes += len(key) + len(value or b"")
        return shown

    def hints_taken(self, taken: Changes) -> None:
        """What `hints` returned is in the log."""
        for key in taken:
            del self._hints[key]

    # --- reading back ---------------------------------------------------------------------------------------------

    def cluster_id(self) -> int:
        """The cluster's id; 0 before the first leader gave it one."""
        return int(metapb.Cluster.FromString(self._applied.get(CF_DEFAULT, _CLUSTER) or b"").id)

    def members(self) -> list[pdpb.Member]:
        """Who keeps this state, by id."""
        return [pdpb.Member.FromString(value) for _, value in self._scan(_MEMBERS)]

    def member(self, member_id: int) -> pdpb.Member | None:
        """One of them, if there is such a one."""
        found = self._applied.get(CF_DEFAULT, member_key(member_id))
        return None if found is None else pdpb.Member.FromString(found)

    def took_part(self, member_id: int) -> bool:
        """Whether the member has stored something once, so that it may not come back with an empty directory."""
        return self._applied.get(CF_DEFAULT, _TOOK_PART + encode_uint64(member_id)) is not None

    def bootstrapped(self) -> bool:
        """Whether the cluster has its first region."""
        return self._applied.get(CF_DEFAULT, _BOOTSTRAPPED) is not None

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

    def regions(self) -> Iterator[pdpb.Region]:
        """All regions by id, lazily: there may be very many."""
        pairs = self._applied.scan(CF_DEFAULT, _REGION, prefix_next(_REGION))
        return (pdpb.Region.FromString(value) for _, value in pairs)

    def region(self, region_id: int) -> pdpb.Region | None:
        """One of them."""
        found = self._applied.get(CF_DEFAULT, _REGION + encode_uint64(region_id))
        return None if found is None else pdpb.Region.FromString(found)

    def settings(self, prefix: str) -> list[tuple[str, bytes]]:
        """(rest of the name, JSON) of the settings whose names begin so, by name."""
        begin = _SETTING + prefix.encode()
        return [(key[len(begin) :].decode(), value) for key, value in self._scan(begin)]

    # --- staging --------------------------------------------------------------------------------------------------

    def save_cluster_id(self, cluster_id: int) -> None:
        self._promise(_CLUSTER, metapb.Cluster(id=cluster_id).SerializeToString())

    def save_member(self, member: pdpb.Member) -> None:
        self._promise(member_key(member.member_id), member.SerializeToString())

    def save_took_part(self, member_id: int) -> None:
        self._promise(_TOOK_PART + encode_uint64(member_id), b"")

    def save_timestamp_limit(self, limit_ms: int) -> None:
        self._promise(_TSO, encode_uint64(limit_ms))

    def save_id_end(self, end: int) -> None:
        self._promise(_IDS, encode_uint64(end))

    def save_safe_point(self, safe_point: int) -> None:
        self._promise(_SAFE_POINT, encode_uint64(safe_point))

    def save_service(self, service: ServiceSafePoint) -> None:
        self._promise(
            _SERVICE + service.service_id, encode_uint64(service.safe_point) + encode_uint64(service.expires_s)
        )

    def delete_service(self, service_id: bytes) -> None:
        self._promise(_SERVICE + service_id, None)

    def save_bootstrap(self, store: metapb.Store, region: pdpb.Region) -> None:
        """The first store and region, and that there are such."""
        self.save_store(store)
        self._promise(_REGION + encode_uint64(region.region.id), region.SerializeToString())
        self._promise(_BOOTSTRAPPED, b"")

    def save_store(self, store: metapb.Store) -> None:
        self._promise(_STORE + encode_uint64(store.id), store.SerializeToString())

    def save_region(self, region: pdpb.Region, replaced: Sequence[int] = ()) -> None:
        """A region, and the end of those it replaced."""
        for region_id in replaced:
            self.forget_region(region_id)
        self._hints[_REGION + encode_uint64(region.region.id)] = region.SerializeToString()

    def forget_region(self, region_id: int) -> None:
        """The end of a region."""
        self._hints[_REGION + encode_uint64(region_id)] = None

    def save_setting(self, name: str, value: bytes | None) -> None:
        """Keep a setting, or forget it."""
        self._promise(_SETTING + name.encode(), value)

    # --- helpers --------------------------------------------------------------------------------------------------

    def _promise(self, key: bytes, value: bytes | None) -> None:
        self._promises[key] = value

    def _number(self, key: bytes) -> int:
        value = self._applied.get(CF_DEFAULT, key)
        return 0 if value is None else decode_uint64(value)[0]

    def _scan(self, prefix: bytes) -> list[tuple[bytes, bytes]]:
        return list(self._applied.scan(CF_DEFAULT, prefix, prefix_next(prefix)))


def member_key(member_id: int) -> bytes:
    """Where the member's record is."""
    return _MEMBERS + encode_uint64(member_id)
