"""Who may import whom, and what the cores may not touch (docs/architecture.md, "The house")."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

CORES = {
    "kv/rutile_kv/raft": (),
    "kv/rutile_kv/mvcc": (),
    "kv/rutile_kv/txn": ("shell.py", "lock_waiting.py"),
    "kv/rutile_kv/raw": ("writer.py",),
    "kv/rutile_kv/watch": (),
    "kv/rutile_kv/raftstore": ("driver.py", "region_checks.py", "snapshot_transfer.py"),
    "pd/rutile_pd": (
        *("node.py", "member.py", "door.py", "service.py", "boundary.py", "heartbeat_service.py", "region_service.py"),
        *("replication.py", "leadership.py", "peer_transport.py", "members_service.py", "etcd_service.py"),
        "joining.py",
    ),
}
"""Folders of pure state machines, with the shells among their files."""

FORBIDDEN = {"asyncio", "time", "random", "socket", "grpc", "threading", "rocksdict"}


def imported_modules(path: Path) -> set[str]:
    """Top-level names of everything `path` imports at run time."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names.add(node.module.split(".")[0])
    return names


@pytest.mark.parametrize("folder", CORES)
def test_cores_touch_no_clock_no_socket_no_thread(folder: str) -> None:
    shells = CORES[folder]
    files = [p for p in (ROOT / folder).rglob("*.py") if p.name not in shells and not p.name.startswith("driver")]
    assert files, f"{folder} has no core files: did it move?"
    broken = {str(p.relative_to(ROOT)): sorted(imported_modules(p) & FORBIDDEN) for p in files}
    assert {path: bad for path, bad in broken.items() if bad} == {}


def test_a_forbidden_import_would_be_seen(tmp_path: Path) -> None:
    sample = tmp_path / "sample.py"
    sample.write_text("import asyncio.events\nfrom time import sleep\n")
    assert imported_modules(sample) & FORBIDDEN == {"asyncio", "time"}


def test_import_floors() -> None:
    lint = Path(sys.executable).with_name("lint-imports")
    run = subprocess.run([lint, "--no-cache"], cwd=ROOT, capture_output=True, text=True, timeout=100)
    assert run.returncode == 0, run.stdout + run.stderr
