"""sysbench's OLTP workloads against a playground, beside MariaDB with durable settings in the same run.

    python benchmarks/sysbench.py [--seconds 5] [--stores 1] [--threads 1,16] [--workloads oltp_point_select,...]

Prints transactions a second (queries for bulk_insert), the ratio to MariaDB's, and the conflicts that sysbench retried.
Without sysbench, or without MariaDB, it says so and does what is left. MariaDB runs in a directory of its own, on
loopback, every commit flushed (innodb_flush_log_at_trx_commit=1, sync_binlog=1, binary log on); it is ended by its pid.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from sysbench_tool import BULK, OLTP, Outcome, Target, measure, missing, run

import rutile
from rutile.nodes.playground import Playground

START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 30.0
DATABASES = ("sbtest", "bulk")
TABLES = {"tables": 2, "table_size": 1000}


@contextlib.contextmanager
def rutile_server(stores: int) -> Iterator[Target]:
    """A playground with the databases sbtest and bulk."""
    with Playground(stores) as cluster:
        with rutile.connect(cluster.sql_address) as connection:
            for name in DATABASES:
                connection.execute(f"CREATE DATABASE {name}")
        yield Target(int(cluster.mysql_address.rpartition(":")[2]))


def mariadb_missing() -> str:
    """Why MariaDB cannot run here; empty if it can."""
    found = shutil.which("mariadbd", path=f"{os.environ.get('PATH', '')}:/usr/sbin") and shutil.which(
        "mariadb-install-db"
    )
    return "" if found else "MariaDB is not installed (Debian: apt-get install mariadb-server): no ratios"


@contextlib.contextmanager
def mariadb_server() -> Iterator[Target]:
    """A MariaDB of its own on loopback, durable at each commit."""
    with tempfile.TemporaryDirectory(prefix="mariadb-") as folder:
        data = Path(folder) / "data"
        _install(data)
        port = _free_port()
        with _mariadb_process(Path(folder), data, port) as process:
            _wait_for(port, process)
            make = ";".join(f"CREATE DATABASE {name}" for name in DATABASES)
            subprocess.run(["mariadb", "--no-defaults", "-h127.0.0.1", f"-P{port}", "-uroot", "-e", make], check=True)
            yield Target(port)


def _install(data: Path) -> None:
    command = ["mariadb-install-db", "--no-defaults", f"--datadir={data}", "--auth-root-authentication-method=normal"]
    subprocess.run([*command, "--skip-test-db", *_as_user()], check=True, capture_output=True)


def _as_user() -> list[str]:
    """mariadbd does not start as root unless told to."""
    return ["--user=root"] if os.geteuid() == 0 else []


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


@contextlib.contextmanager
def _mariadb_process(folder: Path, data: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    server = shutil.which("mariadbd", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    assert server is not None
    options = [
        "--no-defaults", f"--datadir={data}", f"--socket={folder}/s", f"--pid-file={folder}/pid",
        "--bind-address=127.0.0.1", f"--port={port}", "--innodb-flush-log-at-trx-commit=1", "--sync-binlog=1",
        f"--log-bin={folder}/binlog", "--server-id=1", *_as_user(),
    ]  # fmt: skip
    with open(folder / "log", "wb") as log, subprocess.Popen([server, *options], stdout=log, stderr=log) as process:
        try:
            yield process
        finally:
            process.terminate()
            process.wait(STOP_TIMEOUT_S)


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.1)
    raise RuntimeError("MariaDB did not start")


Case = tuple[str, str, int]
"""Workload, --db-ps-mode, threads."""


def measure_all(target: Target, cases: Sequence[Case], seconds: int) -> dict[Case, Outcome]:
    """Every case, on tables made once; bulk_insert on fresh ones."""
    if any(workload in OLTP for workload, _, _ in cases):
        run(target, OLTP[0], "prepare", **TABLES)
    return {case: _one(target, case, seconds) for case in cases}


def _one(target: Target, case: Case, seconds: int) -> Outcome:
    workload, ps_mode, threads = case
    if workload != BULK:
        return measure(target, workload, time=seconds, threads=threads, db_ps_mode=ps_mode, **TABLES)
    alone = Target(target.port, "bulk")
    run(alone, BULK, "prepare", threads=threads)
    try:
        return measure(alone, BULK, time=seconds, threads=threads, db_ps_mode=ps_mode)
    finally:
        run(alone, BULK, "cleanup", threads=threads)


def report(ours: dict[Case, Outcome], theirs: dict[Case, Outcome]) -> None:
    """One line a case."""
    for case, outcome in ours.items():
        workload, ps_mode, threads = case
        line = f"{workload:<22} ps={ps_mode:<8} {threads:>2} threads {outcome.rate:>9.1f}/s"
        line += f" {outcome.ignored_errors:>4} retried"
        peer = theirs.get(case)
        print(line + (f"   MariaDB {peer.rate:>9.1f}/s   {outcome.rate / peer.rate:6.3f}x" if peer else ""))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--stores", type=int, default=1)
    parser.add_argument("--threads", default="1,16")
    parser.add_argument("--ps-modes", default="auto,disable")
    parser.add_argument("--workloads", default=",".join((*OLTP, BULK)))
    options = parser.parse_args()
    if missing():
        raise SystemExit(missing())
    cases = [
        (workload, ps_mode, int(threads))
        for workload in options.workloads.split(",")
        for ps_mode in options.ps_modes.split(",")
        for threads in options.threads.split(",")
    ]
    theirs: dict[Case, Outcome] = {}
    if mariadb_missing():
        print(mariadb_missing())
    else:
        with mariadb_server() as target:
            theirs = measure_all(target, cases, options.seconds)
    with rutile_server(options.stores) as target:
        report(measure_all(target, cases, options.seconds), theirs)


if __name__ == "__main__":
    main()
