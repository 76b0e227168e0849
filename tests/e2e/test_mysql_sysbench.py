"""sysbench, unmodified, against a playground: every OLTP workload, text and prepared. Skipped where there is none."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import rutile
from rutile.nodes.playground import Playground

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))
from sysbench_tool import BULK, OLTP, Target, measure, missing, run

TABLES = {"tables": 1, "table_size": 100}

pytestmark = [pytest.mark.slow, pytest.mark.skipif(bool(missing()), reason=missing() or "sysbench is there")]


@pytest.fixture(scope="module")
def target(playground: Playground) -> Iterator[Target]:
    """The playground, with sysbench's tables."""
    with rutile.connect(playground.sql_address) as connection:
        connection.execute("CREATE DATABASE sbtest")
        connection.execute("CREATE DATABASE bulk")
    found = Target(int(playground.mysql_address.rpartition(":")[2]))
    run(found, OLTP[0], "prepare", **TABLES)
    yield found
    run(found, OLTP[0], "cleanup", **TABLES)


@pytest.mark.parametrize("threads", [1, 8])
@pytest.mark.parametrize("ps_mode", ["auto", "disable"])
@pytest.mark.parametrize("workload", OLTP)
def test_oltp(target: Target, workload: str, ps_mode: str, threads: int) -> None:
    assert measure(target, workload, events=40, time=30, threads=threads, db_ps_mode=ps_mode, **TABLES).rate > 0


@pytest.mark.parametrize("threads", [1, 2])
def test_bulk_insert(target: Target, threads: int) -> None:
    alone = Target(target.port, "bulk")
    run(alone, BULK, "prepare", threads=threads)
    assert measure(alone, BULK, time=1, threads=threads).rate > 0
    run(alone, BULK, "cleanup", threads=threads)
