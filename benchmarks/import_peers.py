"""MariaDB and PostgreSQL of one's own on loopback, with durable default settings, to load a CSV file into."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from sysbench import mariadb_missing, mariadb_server

COLUMNS = (
    "l_orderkey BIGINT NOT NULL, l_partkey BIGINT NOT NULL, l_suppkey BIGINT NOT NULL, l_linenumber INT NOT NULL,"
    " l_quantity DECIMAL(15,2) NOT NULL, l_extendedprice DECIMAL(15,2) NOT NULL, l_discount DECIMAL(15,2) NOT NULL,"
    " l_tax DECIMAL(15,2) NOT NULL, l_returnflag VARCHAR(1) NOT NULL, l_linestatus VARCHAR(1) NOT NULL,"
    " l_shipdate DATE NOT NULL, l_commitdate DATE NOT NULL, l_receiptdate DATE NOT NULL,"
    " l_shipinstruct VARCHAR(25) NOT NULL, l_shipmode VARCHAR(10) NOT NULL, l_comment VARCHAR(44) NOT NULL,"
    " PRIMARY KEY (l_orderkey, l_linenumber)"
)


@dataclass(frozen=True, slots=True)
class Peer:
    """A server to load into: `load` takes a CSV file with a header line; `directory` is what its processes run in."""

    name: str
    pid: int
    load: Callable[[Path], None]


def postgres_missing() -> str:
    """Why PostgreSQL cannot run here; empty if it can."""
    return "" if _postgres_bin() else "PostgreSQL is not installed (Debian: apt-get install postgresql)"


def _postgres_bin() -> Path | None:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    on_path = shutil.which("initdb")
    return found[-1].parent if found else Path(on_path).parent if on_path else None


@contextlib.contextmanager
def postgres() -> Iterator[Peer]:
    """PostgreSQL as it comes: fsync and synchronous_commit on."""
    programs = _postgres_bin()
    assert programs is not None, "look at postgres_missing first"
    with tempfile.TemporaryDirectory(prefix="postgres-") as name:
        folder, data = Path(name), Path(name) / "data"
        if os.geteuid() == 0:
            shutil.chown(folder, "postgres", "postgres")
        _as_postgres(str(programs / "initdb"), "-D", str(data), "-U", "postgres", "--auth=trust")
        options = f"-k {folder} -c listen_addresses= -c port=5432"
        control = [str(programs / "pg_ctl"), "-D", str(data), "-w", "-l", str(folder / "log")]
        _as_postgres(*control, "-o", options, "start")
        try:
            _psql(programs, folder, f"CREATE TABLE lineitem ({COLUMNS})")
            pid = int((data / "postmaster.pid").read_text().split()[0])
            copy = "COPY lineitem FROM STDIN WITH (FORMAT csv, HEADER true)"
            yield Peer("PostgreSQL COPY", pid, lambda file: _psql(programs, folder, copy, file))
        finally:
            _as_postgres(*control, "-m", "fast", "stop")


def _as_postgres(*command: str) -> None:
    """Its programs refuse to be root's."""
    prefix = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    subprocess.run([*prefix, *command], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/")


def _psql(programs: Path, folder: Path, sql: str, file: Path | None = None) -> None:
    command = [str(programs / "psql"), "-h", str(folder), "-U", "postgres", "-q", "-v", "ON_ERROR_STOP=1", "-c", sql]
    with open(file or os.devnull, "rb") as given:
        subprocess.run(command, check=True, stdin=given)


@contextlib.contextmanager
def mariadb() -> Iterator[Peer]:
    """MariaDB, every commit flushed, binary log on."""
    with mariadb_server() as target:
        client = ["mariadb", "--no-defaults", "-h127.0.0.1", f"-P{target.port}", "-uroot", "--local-infile=1", "sbtest"]
        subprocess.run([*client, "-e", f"CREATE TABLE lineitem ({COLUMNS})"], check=True)

        def load(file: Path) -> None:
            form = "FIELDS TERMINATED BY ',' OPTIONALLY ENCLOSED BY '\"' IGNORE 1 LINES"
            subprocess.run([*client, "-e", f"LOAD DATA LOCAL INFILE '{file}' INTO TABLE lineitem {form}"], check=True)

        yield Peer("MariaDB LOAD DATA", _listener(target.port), load)


def _listener(port: int) -> int:
    """The process that was started with that port."""
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if f"--port={port}".encode() in entry.read_bytes():
                return int(entry.parent.name)
    raise RuntimeError(f"nobody listens on {port}")


PEERS = ((mariadb_missing, mariadb), (postgres_missing, postgres))
