"""Asking the placement driver of a playground, and waiting with a deadline."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable

import grpc
import pytest

from rutile.nodes.playground import Playground
from rutile_proto import pdpb_pb2 as pdpb
from rutile_proto import pdpb_pb2_grpc as pdpb_grpc


def wait_until(what: str, condition: Callable[[], bool], timeout_s: float = 30.0) -> None:
    """Poll until `condition` holds; fail naming `what` when the deadline passes."""
    deadline = time.monotonic() + timeout_s
    pause = threading.Event()
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"waited {timeout_s} s for: {what}")
        pause.wait(0.05)


def wait_for_replicas(cluster: Playground, count: int) -> None:
    """Wait until every region has `count` voters, none of them pending."""
    wait_until(f"{count} replicas of every region", lambda: _replicated(cluster, count), 60.0)


def _replicated(cluster: Playground, count: int) -> bool:
    found = regions(cluster)
    return bool(found) and all(len(r.region.peers) == count and not r.pending_peers for r in found)


def regions(cluster: Playground) -> list[pdpb.Region]:
    """What the placement driver knows of the regions."""
    with contextlib.closing(grpc.insecure_channel(cluster.pd_address)) as channel:
        stub = pdpb_grpc.PDStub(channel)
        cluster_id = stub.GetMembers(pdpb.GetMembersRequest(), timeout=5).header.cluster_id
        request = pdpb.ScanRegionsRequest(header=pdpb.RequestHeader(cluster_id=cluster_id), limit=1000)
        return list(stub.ScanRegions(request, timeout=5).regions)


def leader_index(cluster: Playground, region: int = -1) -> int | None:
    """Which of `cluster.stores` leads the (last) region, None when nobody is known to.

    `region` counts round: there may be fewer of them by now than when the caller looked.
    """
    known = regions(cluster)
    leader = known[region % len(known)].leader
    with contextlib.closing(grpc.insecure_channel(cluster.pd_address)) as channel:
        stub = pdpb_grpc.PDStub(channel)
        cluster_id = stub.GetMembers(pdpb.GetMembersRequest(), timeout=5).header.cluster_id
        request = pdpb.GetStoreRequest(header=pdpb.RequestHeader(cluster_id=cluster_id), store_id=leader.store_id)
        address = stub.GetStore(request, timeout=5).store.address
    addresses = cluster.store_addresses
    return addresses.index(address) if address in addresses else None
