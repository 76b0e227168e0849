"""sysbench's OLTP workloads beside MariaDB with durable settings in the same run.

    python benchmarks/sysbench.py [--seconds 3] [--rutile one,three] [--threads 1,16] [--workloads bulk_insert,...]

Against `rutile standalone` (`one`: one process, one copy, as MariaDB is) and a playground of three stores (`three`:
five processes, three copies, each commit on two disks). Prints transactions a second (queries for bulk_insert), ratios
to MariaDB's, and the conflicts that sysbench retried; a run that ended with an error is told in the table and after it.
With the defaults it takes about ten minutes; run it on an otherwise idle machine. bulk_insert, which knows no prepared
statements, is run once for each number of threads; each of its threads writes at least one statement of 500 KiB.

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

from sysbench_tool import BULK, OLTP, Outcome, SysbenchFailed, Target, measure, missing, run

import rutile
from rutile.nodes.playground import Playground
from rutile.nodes.standalone_process import StandaloneProcess

START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 30.0
DATABASES = ("sbtest", "bulk")
TABLES = {"tables": 2, "table_size": 1000}


@contextlib.contextmanager
def rutile_server(topology: str) -> Iterator[Target]:
    """`rutile standalone` for "one", a playground of three stores for "three", with the databases sbtest and bulk."""
    with StandaloneProcess() if topology == "one" else Playground(3) as server:
        with rutile.connect(server.sql_address) as connection:
            for name in DATABASES:
                connection.execute(f"CREATE DATABASE {name}")
        yield Target(int(server.mysql_address.rpartition(":")[2]))


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


Measured = dict[Case, Outcome | SysbenchFailed]


def measure_all(target: Target, cases: Sequence[Case], seconds: int) -> Measured:
    """Every case, on tables made once; bulk_insert on fresh ones."""
    if any(workload in OLTP for workload, _, _ in cases):
        run(target, OLTP[0], "prepare", **TABLES)
    return {case: _one(target, case, seconds) for case in cases}


def _one(target: Target, case: Case, seconds: int) -> Outcome | SysbenchFailed:
    workload, ps_mode, threads = case
    options = {"time": seconds, "threads": threads, "db_ps_mode": ps_mode}
    try:
        return _bulk(target, options) if workload == BULK else measure(target, workload, **options, **TABLES)
    except SysbenchFailed as failure:
        return failure


def _bulk(target: Target, options: dict[str, object]) -> Outcome:
    alone = Target(target.port, "bulk")
    run(alone, BULK, "prepare", threads=options["threads"])
    try:
        return measure(alone, BULK, **options)
    finally:
        run(alone, BULK, "cleanup", threads=options["threads"])


def report(cases: Sequence[Case], peer: Measured, ours: dict[str, Measured]) -> None:
    """One line a case, then what failed."""
    heading = f"{'workload':<22} {'prepared':<8} {'threads':>7} {'MariaDB':>10}"
    print(heading + "".join(f" {name:>10} {'ratio':>7} {'retried':>7}" for name in ours))
    for case in cases:
        workload, ps_mode, threads = case
        line = f"{workload:<22} {'no' if ps_mode == 'disable' else 'yes':<8} {threads:>7} {_rate(peer.get(case)):>10}"
        print(line + "".join(_columns(measured[case], peer.get(case)) for measured in ours.values()))
    for name, measured in {"MariaDB": peer, **ours}.items():
        for case, outcome in measured.items():
            if isinstance(outcome, SysbenchFailed):
                print(f"\n{name} {case}: {outcome}")


def _columns(outcome: Outcome | SysbenchFailed, peer: Outcome | SysbenchFailed | None) -> str:
    ratio, retried = "", ""
    if isinstance(outcome, Outcome):
        retried = str(outcome.ignored_errors)
        ratio = f"{outcome.rate / peer.rate:.3f}" if isinstance(peer, Outcome) and peer.rate else ""
    return f" {_rate(outcome):>10} {ratio:>7} {retried:>7}"


def _rate(outcome: Outcome | SysbenchFailed | None) -> str:
    return "" if outcome is None else "FAILED" if isinstance(outcome, SysbenchFailed) else f"{outcome.rate:.1f}"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--rutile", default="one,three", help="one: a process; three: a playground of three stores")
    parser.add_argument("--threads", default="1,16")
    parser.add_argument("--ps-modes", default="auto,disable")
    parser.add_argument("--workloads", default=",".join((*OLTP, BULK)))
    options = parser.parse_args()
    if missing():
        raise SystemExit(missing())
    cases = [
        (workload, ps_mode, int(threads))
        for workload in options.workloads.split(",")
        for ps_mode in (options.ps_modes.split(",") if workload != BULK else ["disable"])
        for threads in options.threads.split(",")
    ]
    peer: Measured = {}
    if mariadb_missing():
        print(mariadb_missing())
    else:
        with mariadb_server() as target:
            peer = measure_all(target, cases, options.seconds)
    ours: dict[str, Measured] = {}
    for topology in options.rutile.split(","):
        with rutile_server(topology) as target:
            ours[topology] = measure_all(target, cases, options.seconds)
    report(cases, peer, ours)


if __name__ == "__main__":
    main()
