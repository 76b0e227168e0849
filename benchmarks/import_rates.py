"""Loading TPC-H's lineitem: Rutile into three replicas on three stores, beside MariaDB's LOAD DATA and PostgreSQL's
COPY into one server each, in the same run on the same machine.

    python benchmarks/import_rates.py [--scale 0.1] [--formats parquet,csv]

Prints rows a second, processor time a row (of everything that took part, and of each process; on a busy machine the
number to look at), and the most memory that any process had. All of them have the same primary key; Rutile is told not
to decode the rows for analytical queries, which the others do not do either. MariaDB and PostgreSQL run in directories
of their own with durable default settings, and are ended by their pid; without them it says how to install them.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pa_parquet
from import_peers import PEERS

import rutile
from rutile.nodes.demo import TABLE_KEYS, make_tpch_files
from rutile.nodes.playground import Playground

MIB = 1 << 20
SETTLE_S = 5.0


@dataclass(frozen=True, slots=True)
class Load:
    """What a load took. `shares` are of processes: their name, most MiB, processor seconds."""

    name: str
    rows: int
    seconds: float
    processor_s: float
    shares: list[tuple[str, float, float]]


def main() -> None:
    """Load everywhere, print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", type=float, default=0.1)
    parser.add_argument("--formats", default="parquet,csv")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="import-rates-") as name:
        folder = Path(name)
        _keep_bytecode(folder / "bytecode")
        rows = _make_files(folder, options.scale)
        folder.chmod(0o755)  # PostgreSQL reads as another user
        loads = [_rutile(folder / f"lineitem.{form}", rows) for form in options.formats.split(",")]
        loads += _peers(folder / "lineitem.csv", rows)
    _report(loads)


def _keep_bytecode(folder: Path) -> None:
    """Have the processes started find their modules compiled, as they are wherever Rutile is installed."""
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    os.environ["PYTHONPYCACHEPREFIX"] = str(folder)
    subprocess.run([sys.executable, "-c", "import rutile.ingest.import_file"], check=True)


def _make_files(folder: Path, scale: float) -> int:
    """lineitem as Parquet and as CSV; its rows."""
    make_tpch_files(scale, folder)
    with pa_parquet.ParquetFile(folder / "lineitem.parquet") as file:
        plain = pa.schema([(field.name, _plain(field.type)) for field in file.schema_arrow])
        with pa_csv.CSVWriter(folder / "lineitem.csv", plain) as writer:
            for batch in file.iter_batches():
                writer.write_batch(batch.cast(plain))
        return int(file.metadata.num_rows)


def _plain(kind: pa.DataType) -> pa.DataType:
    """What the CSV writer knows."""
    return pa.string() if pa.types.is_string_view(kind) or pa.types.is_decimal(kind) else kind


# --- the loads --------------------------------------------------------------------------------------------------------


def _rutile(file: Path, rows: int) -> Load:
    with Playground(3) as cluster:
        target = f"pd://{cluster.pd_address}"
        key = ",".join(TABLE_KEYS["lineitem"])
        command = [
            sys.executable,
            "-m",
            "rutile",
            "import",
            "lineitem",
            str(file),
            "--target",
            target,
            "--create",
            "--no-mirror",
        ]
        with _measured() as taken:
            importer = subprocess.Popen([*command, "--primary-key", key], stdout=subprocess.DEVNULL)
            _, status, usage = os.wait4(importer.pid, 0)
            importer.returncode = os.waitstatus_to_exitcode(status)
            assert importer.returncode == 0, "the import failed"
            load = taken(f"Rutile import, {file.suffix[1:]}, 3 replicas", rows, usage.ru_utime + usage.ru_stime)
        with rutile.connect(cluster.sql_address) as connection:
            assert connection.execute("SELECT COUNT(*) FROM lineitem").fetchall() == [(rows,)]
    importer_s = usage.ru_utime + usage.ru_stime
    shares = [*load.shares, ("importer", usage.ru_maxrss / 1024, importer_s)]
    return Load(load.name, rows, load.seconds, load.processor_s, shares)


def _peers(file: Path, rows: int) -> Iterator[Load]:
    for missing, serve in PEERS:
        why = missing()
        if why:
            print(why)
            continue
        with serve() as peer, _measured(peer.pid) as taken:
            before = os.times()
            peer.load(file)
            after = os.times()
            client_s = after.children_user + after.children_system - before.children_user - before.children_system
            yield taken(peer.name, rows, client_s)


# --- measuring --------------------------------------------------------------------------------------------------------


@contextmanager
def _measured(server: int | None = None) -> Iterator[Callable[[str, int, float], Load]]:
    """Watches a server and its children, or this process's children. Gives what ends that: it takes a name, rows, and
    the processor time of others that took part."""
    watched = [*_children(server or os.getpid()), *([server] if server else [])]
    started, before = time.perf_counter(), {pid: _processor_s(pid) for pid in watched}

    def taken(name: str, rows: int, others_s: float) -> Load:
        seconds = time.perf_counter() - started
        _wait_for_end({*_children(server or os.getpid())} - {*watched})
        alive = [pid for pid in watched if Path(f"/proc/{pid}").exists()]
        shares = [(_role(pid), _peak_mib(pid), _processor_s(pid) - before[pid]) for pid in alive]
        return Load(name, rows, seconds, sum(taken_s for _, _, taken_s in shares) + others_s, shares)

    yield taken


def _wait_for_end(children: set[int]) -> None:
    """A server's children of a moment, whose processor time it has once they are gone."""
    deadline = time.monotonic() + SETTLE_S
    while time.monotonic() < deadline and any(Path(f"/proc/{pid}").exists() for pid in children):
        time.sleep(0.01)


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _processor_s(pid: int) -> float:
    """Of the process, and of its children that have ended."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def _peak_mib(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024 / MIB


def _role(pid: int) -> str:
    words = Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")
    return next((word for word in words if word in ("pd", "kv", "sql")), Path(words[0]).name.split(" ")[0].rstrip(":"))


def _report(loads: list[Load]) -> None:
    print(f"\n{'':<34} {'rows/s':>9} {'CPU us/row':>10}  by process: us/row, most MiB")
    for load in loads:
        shares = ", ".join(f"{name} {taken_s / load.rows * 1e6:.1f} {size:.0f}" for name, size, taken_s in load.shares)
        each = load.processor_s / load.rows * 1e6
        print(f"{load.name:<34} {load.rows / load.seconds:>9,.0f} {each:>10.1f}  {shares}")
    print(f"\n{loads[0].rows:,} rows; one minute's load on {os.cpu_count()} cores at the end: {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
