"""The placement driver's leader is killed under load: everybody follows the next one, and time never goes back."""

from __future__ import annotations

import asyncio
import os
import signal
import statistics
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import grpc
import pytest
from e2e_tools import wait_for_replicas, wait_until

import rutile
from rutile.nodes.playground import Playground
from rutile_kv.client.pd import PdClient
from rutile_proto import pdpb_pb2 as pdpb
from rutile_proto import pdpb_pb2_grpc as pdpb_grpc
from rutile_proto.errors import RutileError

LEADER_LIMIT_S = 3.0
"""A new leader serves within this, whatever else the machine does."""


def member_answers(address: str) -> pdpb.GetMembersResponse | None:
    """What the member says of its group; None if it does not answer, or knows no leader."""
    with grpc.insecure_channel(address) as channel:
        try:
            return pdpb_grpc.PDStub(channel).GetMembers(pdpb.GetMembersRequest(), timeout=1)  # type: ignore[no-any-return]
        except grpc.RpcError:
            return None


def leader_index(cluster: Playground) -> int | None:
    """Which of `cluster.pds` says that it leads."""
    for index, child in enumerate(cluster.pds):
        if child.process is None or child.process.poll() is not None:
            continue
        answer = member_answers(child.address)
        if answer is not None and answer.leader.client_urls[0] == f"http://{child.address}":
            return index
    return None


@dataclass
class Clock:
    """Takes timestamps as fast as they come, through our own client, in a thread of its own."""

    addresses: list[str]
    taken: int = 0
    went_back: list[tuple[int, int]] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    last_at: float = 0.0
    longest_gap_s: float = 0.0
    stop: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        asyncio.run(self._run())

    async def _run(self) -> None:
        pd, last = PdClient.connect(self.addresses), 0
        self.last_at = time.monotonic()
        while not self.stop.is_set():
            try:
                ts = await pd.timestamp()
            except RutileError as error:
                self.failures.append(str(error))
                continue
            if ts <= last:
                self.went_back.append((last, ts))
            last, self.taken = ts, self.taken + 1
            now = time.monotonic()
            self.longest_gap_s, self.last_at = max(self.longest_gap_s, now - self.last_at), now
            await asyncio.sleep(0.001)
        await pd.close()


@dataclass
class Writer:
    """Moves money between two accounts, and remembers what went wrong other than what may be tried again."""

    address: str
    commits: int = 0
    retried: int = 0
    unexpected: list[BaseException] = field(default_factory=list)
    stop: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        connection = rutile.connect(self.address)
        while not self.stop.is_set():
            try:
                connection.begin()
                connection.execute("UPDATE account SET balance = balance - 1 WHERE id = 1")
                connection.execute("UPDATE account SET balance = balance + 1 WHERE id = 2")
                connection.commit()
                self.commits += 1
            except rutile.OperationalError:
                self.retried += 1
                connection.rollback()
            except BaseException as error:
                self.unexpected.append(error)
                return
        connection.close()


@dataclass
class Load:
    clock: Clock
    writer: Writer
    threads: list[threading.Thread]

    def end(self) -> None:
        self.clock.stop.set()
        self.writer.stop.set()
        for thread in self.threads:
            thread.join(60)
        assert self.clock.went_back == []
        assert self.clock.failures == []
        assert self.writer.unexpected == []


def start_load(cluster: Playground) -> Load:
    with rutile.connect(cluster.sql_address) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS account (id INT PRIMARY KEY, balance BIGINT NOT NULL)")
        connection.execute("INSERT IGNORE INTO account VALUES (1, 1000), (2, 1000)")
    clock, writer = Clock(cluster.pd_addresses.split(",")), Writer(cluster.sql_address)
    threads = [threading.Thread(target=clock.run), threading.Thread(target=writer.run)]
    for thread in threads:
        thread.start()
    return Load(clock, writer, threads)


def total(cluster: Playground) -> int:
    with rutile.connect(cluster.sql_address) as connection:
        return int(connection.execute("SELECT SUM(balance) FROM account").fetchone()[0])  # type: ignore[index]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Playground]:
    """Three members of the placement driver, three stores, SQL."""
    with Playground(3, tmp_path_factory.mktemp("pds"), pds=3) as playground:
        wait_for_replicas_by_any(playground)
        yield playground


def wait_for_replicas_by_any(cluster: Playground) -> None:
    """Ask the leader, whichever it is, for three replicas of every region."""
    first = leader_index(cluster)
    wait_until("a leader", lambda: leader_index(cluster) is not None)
    first = leader_index(cluster)
    assert first is not None
    cluster.pds.insert(0, cluster.pds.pop(first))
    wait_for_replicas(cluster, 3)


def kill_leader(cluster: Playground) -> float:
    """kill -9; how long it took until another one said that it leads. The victim is started again."""
    victim = leader_index(cluster)
    assert victim is not None
    cluster.pds[victim].kill()
    killed_at = time.monotonic()
    wait_until("another leader", lambda: leader_index(cluster) is not None, 20)
    took_s = time.monotonic() - killed_at
    cluster.restart_pd(victim)
    return took_s


def settled(load: Load) -> None:
    """Wait until both clients get on."""
    taken, commits = load.clock.taken, load.writer.commits
    wait_until("timestamps", lambda: load.clock.taken > taken + 20)
    wait_until("commits", lambda: load.writer.commits > commits + 3)


def test_clients_follow_a_killed_leader(cluster: Playground) -> None:
    load = start_load(cluster)
    try:
        settled(load)
        took_s = kill_leader(cluster)
        settled(load)
    finally:
        load.end()
    print(f"\nnew leader after {took_s:.2f} s, gap in timestamps {load.clock.longest_gap_s:.2f} s,", end=" ")
    print(f"{load.writer.commits} commits, {load.writer.retried} tried again", end="")
    assert took_s < LEADER_LIMIT_S
    assert total(cluster) == 2000


def test_a_leader_that_stands_still_is_left(cluster: Playground) -> None:
    load = start_load(cluster)
    try:
        settled(load)
        victim = leader_index(cluster)
        assert victim is not None
        os.kill(cluster.pds[victim].pid, signal.SIGSTOP)
        try:
            settled(load)
        finally:
            os.kill(cluster.pds[victim].pid, signal.SIGCONT)
        settled(load)
    finally:
        load.end()
    assert total(cluster) == 2000


def test_members_answer_for_the_leader_and_followers_refuse(cluster: Playground) -> None:
    wait_until("a leader", lambda: leader_index(cluster) is not None)
    led = leader_index(cluster)
    assert led is not None
    for index, child in enumerate(cluster.pds):
        answer = member_answers(child.address)
        assert answer is not None
        assert answer.leader.client_urls[0] == f"http://{cluster.pds[led].address}"
        assert len(answer.members) == 3
        with grpc.insecure_channel(child.address) as channel:
            stub = pdpb_grpc.PDStub(channel)
            if index == led:
                assert stub.IsBootstrapped(pdpb.IsBootstrappedRequest(), timeout=5).bootstrapped
                continue
            with pytest.raises(grpc.RpcError) as caught:
                stub.IsBootstrapped(pdpb.IsBootstrappedRequest(), timeout=5)
            assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
            assert "not leader" in caught.value.details()
            with pytest.raises(grpc.RpcError) as caught:
                next(stub.Tso(iter([pdpb.TsoRequest(count=1)]), timeout=5))
            assert caught.value.code() is grpc.StatusCode.UNAVAILABLE


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_time_rises_over_many_leaders(cluster: Playground) -> None:
    gaps, took = [], []
    load = start_load(cluster)
    try:
        for _ in range(15):
            settled(load)
            load.clock.longest_gap_s = 0.0
            took.append(kill_leader(cluster))
            settled(load)
            gaps.append(load.clock.longest_gap_s)
    finally:
        load.end()
    for name, values in (("new leader", took), ("gap in timestamps", gaps)):
        print(f"\n{name}: median {statistics.median(values):.2f} s, worst {max(values):.2f} s", end="")
    print(f"\n{load.writer.commits} commits, {load.writer.retried} tried again", end="")
    assert statistics.median(took) < LEADER_LIMIT_S
    assert total(cluster) == 2000
