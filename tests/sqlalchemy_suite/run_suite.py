"""Runs SQLAlchemy's dialect compliance suite over mysql+pymysql, for Rutile and for MariaDB, and compares.

    python tests/sqlalchemy_suite/run_suite.py [--only embedded] [-k EXPRESSION] [--port PORT]

The suite ships in SQLAlchemy's wheel (`sqlalchemy.testing.suite`); what it may ask of a MySQL is in
`mysql_requirements.py`. Rutile is a playground of one store, or everything in one process; MariaDB is Debian's, started
as the benchmarks start it.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
sys.path.append(str(ROOT / "benchmarks"))
TEST_TIMEOUT_S = 60
DATABASES = ("test", "test_schema")
"""The suite's own names: the database it connects to, and another one to reach into."""
CONFIGURATION = """
[sqla_testing]
requirement_cls=mysql_requirements:Requirements
profile_file=profiles.txt
[db]
"""
_SERVER = re.compile(r"_(mysql|mariadb)\+pymysql[\d_]*")
"""What the suite adds to the names of its classes."""
Outcomes = dict[str, tuple[str, str]]


@contextlib.contextmanager
def playground_port() -> Iterator[int]:
    """A playground's port for MySQL clients."""
    from rutile.nodes.playground import Playground

    with Playground(1) as cluster:
        yield int(cluster.mysql_address.rpartition(":")[2])


@contextlib.contextmanager
def embedded_port() -> Iterator[int]:
    """The port of everything in one process."""
    command = [sys.executable, "-W", "ignore", str(HERE / "embedded_server.py")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None and process.stdout is not None
        yield int(process.stdout.readline())
        process.stdin.close()


@contextlib.contextmanager
def mariadb_port() -> Iterator[int | None]:
    """The port of a MariaDB of its own; None if there is none on this machine."""
    import sysbench

    if sysbench.mariadb_missing():
        print(sysbench.mariadb_missing())
        yield None
        return
    with sysbench.mariadb_server() as target:
        yield target.port


def run(name: str, port: int, folder: Path, selection: list[str]) -> Outcomes:
    """The outcome of every test on the server at `port`."""
    _make_databases(port)
    report = folder / f"{name}.jsonl"
    report.write_text("")
    (folder / "test_suite.py").write_text("from sqlalchemy.testing.suite import *\n")
    (folder / "setup.cfg").write_text(CONFIGURATION)
    (folder / "pytest.ini").write_text("[pytest]\n")
    inherited = filter(None, [os.environ.get("PYTHONPATH")])
    environment = os.environ | {
        "RUTILE_SUITE_REPORT": str(report), "PYTHONPATH": os.pathsep.join([str(HERE), *inherited]),
    }  # fmt: skip
    command = [
        sys.executable, "-m", "pytest", "-q", "-c", "pytest.ini", "--rootdir", ".", "-W", "ignore", "--tb=short",
        "-p", "sqlalchemy.testing.plugin.pytestplugin", "-p", "suite_report", "-p", "no:cacheprovider",
        "--timeout", str(TEST_TIMEOUT_S), "--dburi", f"mysql+pymysql://root@127.0.0.1:{port}/test?charset=utf8mb4",
        "test_suite.py", *selection,
    ]  # fmt: skip
    with (folder / f"{name}.log").open("wb") as log:
        subprocess.run(command, cwd=folder, env=environment, stdout=log, stderr=log, check=False)
    lines = map(json.loads, report.read_text().splitlines())
    return {_SERVER.sub("", test): (outcome, reason) for outcome, test, reason in lines}


def _make_databases(port: int) -> None:
    import pymysql

    with contextlib.closing(pymysql.connect(host="127.0.0.1", port=port, user="root")) as connection:
        for name in DATABASES:
            connection.cursor().execute(f"CREATE DATABASE IF NOT EXISTS {name} CHARACTER SET utf8mb4")


SERVERS = {"playground": playground_port, "embedded": embedded_port, "mariadb": mariadb_port}


def report(name: str, found: Outcomes) -> None:
    """Print the counts, and each failure with its reason."""
    print(name, dict(collections.Counter(outcome for outcome, _ in found.values())))
    for test, (outcome, reason) in sorted(found.items()):
        if outcome == "failed":
            print(" ", test, "|", reason)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=SERVERS, help="default: playground and mariadb")
    parser.add_argument("--port", type=int, help="of a server that runs already")
    parser.add_argument("--keep", type=Path, help="a folder for pytest's output and the outcomes")
    parser.add_argument("-k", dest="expression", help="as pytest's")
    options = parser.parse_args()
    selection = ["-k", options.expression] if options.expression else []
    failed = 0
    with contextlib.ExitStack() as stack:
        folder = options.keep or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="sqlalchemy-suite-")))
        folder.mkdir(parents=True, exist_ok=True)
        for name in [options.only] if options.only else ["playground", "mariadb"]:
            port = options.port or stack.enter_context(SERVERS[name]())
            if port is not None:
                found = run(name, port, folder, selection)
                report(name, found)
                failed += name != "mariadb" and any(outcome == "failed" for outcome, _ in found.values())
    sys.exit(failed)


if __name__ == "__main__":
    main()
