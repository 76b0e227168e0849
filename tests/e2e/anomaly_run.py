"""All the workloads of `anomaly_workloads` against one cluster at once, and the judgement of what they saw."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace

from anomaly_workloads import (
    GENERATIONS,
    LISTS,
    KvListWorker,
    ListPool,
    ListWorker,
    RegisterWorker,
    SqlListWorker,
    Worker,
    list_key,
)
from checkers.histories import ListTransaction, Outcome, Recorder, RegisterCall
from checkers.list_append import ALLOWED_UNDER_SNAPSHOT_ISOLATION, judge
from checkers.registers import judge_registers
from checkers.snapshots import judge_snapshots
from e2e_tools import wait_for_replicas, wait_until

import rutile
from rutile.nodes.playground import Playground
from rutile_kv.client.cluster import ClientOptions
from rutile_kv.client.sync import SyncClient

PATIENT = ClientOptions(read_budget_s=8.0, write_budget_s=8.0, find_out_budget_s=1.0, pd_budget_s=8.0)
HASTY = ClientOptions(read_budget_s=8.0, write_budget_s=0.5, find_out_budget_s=0.1, pd_budget_s=8.0)
"""Gives up long before a new leader is elected: leaves locks and unknown outcomes behind."""
MANNERS = (PATIENT, HASTY, replace(HASTY, async_commit=False))


@dataclass
class Run:
    """All histories of one run."""

    kv_lists: Recorder[ListTransaction] = field(default_factory=Recorder)
    sql_lists: Recorder[ListTransaction] = field(default_factory=Recorder)
    registers: Recorder[RegisterCall] = field(default_factory=Recorder)
    kv_pool: ListPool = field(default_factory=ListPool)
    sql_pool: ListPool = field(default_factory=ListPool)


@contextmanager
def clients(cluster: Playground) -> Iterator[list[SyncClient]]:
    """One of each of the manners, and regions split for them."""
    with ExitStack() as opened:
        made = [opened.enter_context(SyncClient.connect([cluster.pd_address], options=each)) for each in MANNERS]
        made[0].split_regions([list_key(GENERATIONS), list_key(3 * GENERATIONS), b"register"])
        wait_for_replicas(cluster, 3)
        yield made


def work(cluster: Playground, disturb: Callable[[threading.Event], None]) -> Run:
    """Eight threads on lists in the key-value store, four on lists in SQL, four on registers, for as long as `disturb`
    takes; then a last look at everything."""
    run, stop = Run(), threading.Event()
    _make_table(cluster)
    with clients(cluster) as made:
        workers: list[Worker] = []
        workers += [KvListWorker(seed, stop, [], run.kv_pool, run.kv_lists, made[seed % 3]) for seed in range(8)]
        workers += [RegisterWorker(seed, stop, [], made[seed % 3], run.registers) for seed in range(20, 24)]
        for seed in range(40, 44):
            workers.append(SqlListWorker(seed, stop, [], run.sql_pool, run.sql_lists, cluster.sql_address))
        _run_all(workers, stop, disturb)
        _look_at_all(KvListWorker(0, stop, [], run.kv_pool, run.kv_lists, made[0]))
        _look_at_all(SqlListWorker(0, stop, [], run.sql_pool, run.sql_lists, cluster.sql_address))
    return run


def _make_table(cluster: Playground) -> None:
    with rutile.connect(cluster.sql_address) as connection:
        connection.execute("DROP TABLE IF EXISTS lists")
        connection.execute("CREATE TABLE lists (id INT PRIMARY KEY, elements VARCHAR(4000) NOT NULL)")
        rows = ", ".join(f"({id}, '')" for id in range(LISTS * GENERATIONS))
        connection.execute(f"INSERT INTO lists VALUES {rows}")


def _run_all(workers: list[Worker], stop: threading.Event, disturb: Callable[[threading.Event], None]) -> None:
    threads = [threading.Thread(target=worker.run) for worker in workers]
    for thread in threads:
        thread.start()
    try:
        disturb(stop)
    finally:
        stop.set()
        for thread in threads:
            thread.join(60)
    unexpected = [error for worker in workers for error in worker.unexpected]
    assert not unexpected, unexpected
    assert not any(thread.is_alive() for thread in threads)


def _look_at_all(worker: ListWorker) -> None:
    """What the others have left behind, all of it."""

    def seen() -> bool:
        steps: list = []
        invoked = time.monotonic()
        outcome, start_ts, commit_ts = worker.look(worker.pool.used(), steps)
        worker.note(steps, outcome, invoked, start_ts, commit_ts)
        return outcome is Outcome.OK

    wait_until("a last look at all lists", seen)
    worker.close()


def check(run: Run, at_least: int) -> None:
    """The histories hold what snapshot isolation promises in real time, and registers are linearizable."""
    for name, lists in (("kv", run.kv_lists), ("sql", run.sql_lists)):
        verdict = judge(lists.events)
        outcomes = Counter(each.outcome.name for each in lists.events)
        edges = {kind.value: count for kind, count in verdict.edges.items()}
        allowed = Counter(each.anomaly.name for each in verdict.findings)
        print(f"\n{name} lists: {dict(outcomes)}, edges {edges}, findings {dict(allowed)}", end="")
        assert [str(each) for each in verdict.forbidden] == []
        assert verdict.kinds <= ALLOWED_UNDER_SNAPSHOT_ISOLATION
        assert outcomes["OK"] >= at_least
    assert judge_snapshots(run.kv_lists.events) == []
    outcomes = Counter(f"{type(each.action).__name__} {each.outcome.name}" for each in run.registers.events)
    print(f"\nregisters: {dict(outcomes)}", end="")
    assert [str(each) for each in judge_registers(run.registers.events)] == []
    assert outcomes["Look OK"] and outcomes["Write OK"] and outcomes["Swap OK"]
