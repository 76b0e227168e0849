"""sysbench's OLTP workloads as a command: what is run, and how many transactions a second it says it made."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass

OLTP = (
    "oltp_point_select", "oltp_read_only", "oltp_read_write", "oltp_write_only", "oltp_update_index",
    "oltp_update_non_index", "oltp_insert", "oltp_delete", "select_random_points", "select_random_ranges",
)  # fmt: skip
"""They share the tables that one `prepare` makes."""
BULK = "bulk_insert"
"""Makes tables of its own, one a thread, under the same names: it wants a database for itself."""
_RATE = re.compile(r"transactions:\s+\d+\s+\(([\d.]+) per sec\.\)")
_QUERIES = re.compile(r"queries:\s+\d+\s+\(([\d.]+) per sec\.\)")
_IGNORED = re.compile(r"ignored errors:\s+(\d+)")
TIMEOUT_S = 120.0
BULK_TIMEOUT_S = 300.0
"""bulk_insert ends when each thread has written a statement of 500 KiB, whatever --time says."""


@dataclass(frozen=True)
class Target:
    """A server that speaks MySQL's protocol, its root without a password."""

    port: int
    database: str = "sbtest"


@dataclass(frozen=True)
class Outcome:
    """One run: transactions a second (queries, for bulk_insert), and retried conflicts."""

    rate: float
    ignored_errors: int


class SysbenchFailed(Exception):
    """sysbench stopped with an error; the message is what it printed."""


def missing() -> str:
    """Why sysbench cannot run here; empty if it can."""
    return "" if shutil.which("sysbench") else "sysbench is not installed (Debian: apt-get install sysbench)"


def run(target: Target, workload: str, command: str, **options: object) -> str:
    """What `sysbench WORKLOAD COMMAND` prints. Raises SysbenchFailed."""
    arguments = [f"--{name.replace('_', '-')}={value}" for name, value in options.items()]
    connection = ["--db-driver=mysql", "--mysql-host=127.0.0.1", f"--mysql-port={target.port}", "--mysql-user=root"]
    done = subprocess.run(
        ["sysbench", *connection, f"--mysql-db={target.database}", *arguments, workload, command],
        capture_output=True, text=True, timeout=BULK_TIMEOUT_S if workload == BULK else TIMEOUT_S,
    )  # fmt: skip
    if done.returncode or "FATAL" in done.stdout:
        raise SysbenchFailed(f"{workload} {command} {' '.join(arguments)}:\n{done.stdout[-2000:]}{done.stderr[-1000:]}")
    return done.stdout


def measure(target: Target, workload: str, **options: object) -> Outcome:
    """Run a prepared workload and read its figures. Raises SysbenchFailed."""
    printed = run(target, workload, "run", **options)
    rate = (_QUERIES if workload == BULK else _RATE).search(printed)
    ignored = _IGNORED.search(printed)
    if rate is None or ignored is None:
        raise SysbenchFailed(f"{workload} printed no figures:\n{printed[-2000:]}")
    return Outcome(float(rate[1]), int(ignored[1]))
