"""Runs Ibis' backend suite for Rutile and for Ibis' DuckDB backend, on the same data, and compares.

    python tests/ibis/suite/run_suite.py [test module or node ...]

Ibis 12 is written for DuckDB 1 and for sqlglot as Python: where pip can fetch them, both are put before what is
installed, in a folder of their own; Rutile keeps the DuckDB it needs.
"""

from __future__ import annotations

import collections
import importlib.metadata
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import suite_data

HERE = Path(__file__).parent
DUCKDB_OF_IBIS = "duckdb==1.5.*"
PACKAGES = ("pytest-mock", "pytest-snapshot")
Outcomes = dict[str, tuple[str, str]]


def fetched(folder: Path, *requirements: str) -> Path:
    """A folder to put on the path, with these packages and nothing they depend on."""
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(folder)]
    subprocess.run([*pip, *requirements], check=True)
    return folder


def run(backend: str, tests: list[str], folder: Path, path: list[Path]) -> Outcomes:
    """The outcome of every test of one backend, by its name without the backend's."""
    report = folder / f"{backend}.jsonl"
    inherited = filter(None, [os.environ.get("PYTHONPATH")])
    environment = os.environ | {
        "RUTILE_SUITE_DATA": str(folder / "data"), "RUTILE_SUITE_REPORT": str(report),
        "PYTHONPATH": os.pathsep.join([*map(str, [*path, HERE]), *inherited]),
    }  # fmt: skip
    command = [
        sys.executable, "-m", "pytest", "-q", "-c", str(folder / "pytest.ini"), "--rootdir", str(folder),
        "-p", "rutile_suite", "--pyargs", *tests, "-m", backend, "-W", "ignore", "--tb=no", "--timeout", "240",
        "--ignore-glob", "*/tpc/*",
    ]  # fmt: skip
    subprocess.run(command, env=environment, cwd=folder, check=False)
    return outcomes(report, backend)


def outcomes(report: Path, backend: str) -> Outcomes:
    """What a report says."""
    found: Outcomes = {}
    for line in report.read_text().splitlines():
        outcome, node, reason = json.loads(line)
        name, _, parameters = node.rstrip("]").partition("[")
        parts = parameters.split("-")
        if backend in parts:  # the others are not about a backend
            parts.remove(backend)
            found[f"{name}[{'-'.join(parts)}]"] = (outcome, reason)
    return found


def compare(rutile: Outcomes, duckdb: Outcomes) -> float:
    """Print both, and each test that DuckDB passes and Rutile does not; the share that Rutile passes."""
    for name, found in (("rutile", rutile), ("duckdb", duckdb)):
        print(name, dict(collections.Counter(outcome for outcome, _ in found.values())))
    expected = {test for test, (outcome, _) in duckdb.items() if outcome == "passed"}
    missing = sorted(test for test in expected if rutile.get(test, ("not run", ""))[0] != "passed")
    for test in missing:
        print(*rutile.get(test, ("not run", "")), test, sep="  ")
    if not expected:
        raise SystemExit("DuckDB's own backend passed nothing: see its errors above")
    share = 1 - len(missing) / len(expected)
    print(f"of {len(expected)} that DuckDB passes, Rutile passes {len(expected) - len(missing)}: {share:.1%}")
    return share


def main() -> None:
    tests = sys.argv[1:] or ["ibis.backends.tests"]
    folder = Path(tempfile.mkdtemp(prefix="ibis-suite-"))
    try:
        suite_data.make(folder / "data")
        (folder / "schema").mkdir()
        shutil.copy(HERE / "duckdb.sql", folder / "schema")
        (folder / "pytest.ini").write_text("[pytest]\n")
        plain = fetched(folder / "plain", f"sqlglot=={importlib.metadata.version('sqlglot')}", *PACKAGES)
        ours = run("rutile", tests, folder, [plain])
        theirs = run("duckdb", tests, folder, [fetched(folder / "duckdb", DUCKDB_OF_IBIS), plain])
        share = compare(ours, theirs)
    finally:
        shutil.rmtree(folder)
    sys.exit(share < 0.95)


if __name__ == "__main__":
    main()
