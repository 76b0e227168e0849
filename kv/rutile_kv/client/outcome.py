"""How a transaction ends that was not simply committed: what became of it if the deciding answer was lost, which its
primary key knows, and its roll-back."""

from __future__ import annotations

from collections.abc import Sequence

from rutile_kv.client.backoff import Backoff
from rutile_kv.client.batches import Batch, Errand, has_error, only_an_error, send_all
from rutile_kv.client.cluster import Cluster
from rutile_proto import kvrpcpb_pb2 as kvrpcpb
from rutile_proto.errors import RutileError, TxnLockNotFound, UndeterminedResult
from rutile_proto.types import Timestamp
from rutile_proto.wire_errors import lock_from_pb


async def find_out(cluster: Cluster, primary: bytes, start_ts: int, cause: BaseException) -> Timestamp:
    """The commit timestamp, or TxnLockNotFound: what is not committed by now is rolled back by asking, for good. With
    async commit all keys are asked: if each is prewritten, the transaction is committed.

    The roll-back is protected, so a request of ours that is still on its way can no longer commit anything.
    `UndeterminedResult` if the primary does not answer either; `cause` is why we have to ask.
    """
    backoff = Backoff("find out", cluster.options.find_out_budget_s, cluster.pace)
    try:
        answer = await cluster.locks.ask_primary(primary, start_ts, backoff)
        if answer.lock_info.use_async_commit:
            commit_ts = await cluster.locks.settle_async(lock_from_pb(answer.lock_info), backoff)
            if commit_ts is None:
                answer = await cluster.locks.ask_primary(primary, start_ts, backoff, force_sync=True)
            else:
                answer = kvrpcpb.CheckTxnStatusResponse(commit_version=commit_ts)
    except RutileError as error:
        raise UndeterminedResult(start_ts, str(cause)) from error
    if answer.commit_version:
        return Timestamp(answer.commit_version)
    if answer.lock_ttl:
        raise UndeterminedResult(start_ts, str(cause)) from cause
    raise TxnLockNotFound(start_ts, 0, primary) from cause


async def committed_at(cluster: Cluster, primary: bytes, start_ts: int) -> int:
    """Where the transaction is committed, 0 if it only has a lock there.

    Changes nothing: as of its own start no lock has expired.
    """
    backoff = cluster.write_backoff("find out")
    answer = await cluster.locks.ask_primary(primary, start_ts, backoff, now=start_ts, rollback_if_missing=False)
    return answer.commit_version


async def roll_back(cluster: Cluster, start_ts: int, keys: Sequence[bytes]) -> None:
    """Give the transaction up on `keys`. Raises RutileError if a store was out of reach, or it is committed."""

    def ask(batch: Batch) -> kvrpcpb.BatchRollbackRequest:
        return kvrpcpb.BatchRollbackRequest(context=batch.region.plain_context, start_version=start_ts, keys=batch.keys)

    errand = Errand("KvBatchRollback", ask, has_error, only_an_error)
    await send_all(cluster, keys, len, errand, cluster.write_backoff("roll back"), budget_each=True)
