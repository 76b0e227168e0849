"""Gets and short scans answered in the turn of the loop that asks (`rutile_kv.env.prompt`): no await, no messages.

The same steps as KvGet and KvScan in the same order: max_ts first, then a view under the lease, then the data with the
locks on their way laid over it. Whatever stands in the way is NotNow, and the ordinary call finds out what it was.
"""

from __future__ import annotations

from rutile_kv.env.prompt import NotNow, Pair
from rutile_kv.mvcc.reader import MvccReader
from rutile_kv.server.boundary import check_cluster
from rutile_kv.server.region_store import RegionStore, clip
from rutile_kv.server.validation import check_key, check_timestamp
from rutile_kv.txn.shell import TxnScheduler
from rutile_proto import kvrpcpb_pb2 as kvrpcpb
from rutile_proto import metapb_pb2 as metapb
from rutile_proto.errors import KeyIsLocked, RutileError


class PromptReads:
    """Mixed into the Tikv service; needs `kv`, `scheduler`, `closed` and `cluster_id`."""

    kv: RegionStore
    scheduler: TxnScheduler
    closed: bool
    cluster_id: int

    def get_now(self, context: kvrpcpb.Context, key: bytes, version: int) -> bytes | None:
        """The value of `key` as of `version`, or None. Raises NotNow."""
        try:
            return self._reader_now(context, version)[0].get(key, version)
        except RutileError as error:
            raise NotNow from error

    def get_promptly(self, request: kvrpcpb.GetRequest) -> kvrpcpb.GetResponse | None:
        """What KvGet would answer, if that takes no await and the request asks for nothing special; else None."""
        context = request.context
        if context.stale_read or context.replica_read or context.resolved_locks or context.committed_locks:
            return None
        try:
            check_cluster(context, self.cluster_id)
            check_key("key", request.key)
            check_timestamp("version", request.version)
            value = self.get_now(context, request.key, request.version)
        except (NotNow, RutileError):
            return None  # KvGet meets it again, and says what it is
        return kvrpcpb.GetResponse(value=value, not_found=value is None)

    def scan_now(self, context: kvrpcpb.Context, start: bytes, end: bytes, version: int, limit: int) -> list[Pair]:
        """The first `limit` pairs of [start, end), which the region holds. Raises NotNow."""
        try:
            reader, region = self._reader_now(context, version)
            if clip(start, end, region) != (start, end):
                raise NotNow
            return [_unlocked(pair) for pair in reader.scan(start, end, version, limit)]
        except RutileError as error:
            raise NotNow from error

    def _reader_now(self, context: kvrpcpb.Context, version: int) -> tuple[MvccReader, metapb.Region]:
        if self.closed:
            raise NotNow
        self.scheduler.safe_point.check(version)
        self.scheduler.max_ts.raise_to(version)
        found = self.kv.view_now(context)
        if found is None:
            raise NotNow
        return MvccReader(self.scheduler.over(found[0])), found[1]


def _unlocked(pair: tuple[bytes, bytes | KeyIsLocked]) -> Pair:
    key, value = pair
    if isinstance(value, KeyIsLocked):
        raise NotNow
    return key, value
