"""kvrpcpb mutations as the transaction commands take them."""

from __future__ import annotations

from collections.abc import Sequence

from rutile_kv.txn.model import Mutation, PessimisticAction
from rutile_proto import kvrpcpb_pb2 as kvrpcpb
from rutile_proto.errors import InvalidRequest


def mutations_of(mutations: Sequence[kvrpcpb.Mutation], actions: Sequence[int]) -> tuple[Mutation, ...]:
    """`actions` are parallel to `mutations`, or empty: then none was locked before. Raises InvalidRequest."""
    if actions and len(actions) != len(mutations):
        raise InvalidRequest(f"{len(actions)} pessimistic_actions for {len(mutations)} mutations")
    padded = actions or [PessimisticAction.SKIP] * len(mutations)
    return tuple(
        Mutation(mutation.op, mutation.key, mutation.value, mutation.assertion, action)
        for mutation, action in zip(mutations, padded, strict=True)
    )
