"""A selection of Ibis' own backend suite; all of it is `make ibis-suite`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SUITE = Path(__file__).parent / "suite"
SELECTION = ("test_struct.py", "test_conditionals.py", "test_set_ops.py")
FEWEST = 30
"""The selection is of more tests than these; fewer would mean that they were not found."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("suite")
    make = f"import pathlib, suite_data; suite_data.make(pathlib.Path({str(folder / 'data')!r}))"
    subprocess.run([sys.executable, "-W", "ignore", "-c", make], cwd=SUITE, check=True)
    (folder / "pytest.ini").write_text("[pytest]\n")
    return folder


def test_ibis_own_tests_pass_on_rutile(folder: Path) -> None:
    import ibis.backends

    tests = [str(Path(ibis.backends.__file__).parent / "tests" / name) for name in SELECTION]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-c", str(folder / "pytest.ini"), "--rootdir", str(folder),
         "-p", "rutile_suite", *tests, "-m", "rutile", "-W", "ignore", "--tb=short"],
        cwd=folder, capture_output=True, text=True, timeout=110,
        env=os.environ | {"RUTILE_SUITE_DATA": str(folder / "data"), "PYTHONPATH": _path()},
    )  # fmt: skip
    last = next(line for line in reversed(done.stdout.splitlines()) if " in " in line)
    assert done.returncode == 0, done.stdout[-4000:]
    assert int(last.split(" passed")[0].split()[-1]) > FEWEST, last


def _path() -> str:
    inherited = os.environ.get("PYTHONPATH")
    return f"{SUITE}{os.pathsep}{inherited}" if inherited else str(SUITE)
