"""The last step of a commit: the other locks of a transaction that is committed become versions too."""

from __future__ import annotations

from collections.abc import Sequence

from rutile_kv.client.batches import Batch, Errand, has_error, only_an_error, send_all
from rutile_kv.client.cluster import Cluster
from rutile_proto import kvrpcpb_pb2 as kvrpcpb


def commit_request(batch: Batch, start_ts: int, primary: bytes, commit_ts: int) -> kvrpcpb.CommitRequest:
    """Turn the batch's locks into versions. With the primary in it, this is what decides."""
    return kvrpcpb.CommitRequest(
        context=batch.region.plain_context,
        start_version=start_ts,
        keys=batch.keys,
        commit_version=commit_ts,
        primary_key=primary,
    )


async def commit_keys(cluster: Cluster, start_ts: int, primary: bytes, keys: Sequence[bytes], commit_ts: int) -> None:
    """Turn the locks on sorted `keys`. Raises RutileError; what is left then is finished by whoever meets it."""

    def ask(batch: Batch) -> kvrpcpb.CommitRequest:
        return commit_request(batch, start_ts, primary, commit_ts)

    errand = Errand("KvCommit", ask, has_error, only_an_error)
    await send_all(cluster, keys, len, errand, cluster.write_backoff("commit secondaries"), budget_each=True)
