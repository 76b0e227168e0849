"""Every program in examples/ runs, and says what it should."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from rutile.nodes.playground import Playground

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
SAYS = {
    "bank.py": r"\(10, Decimal\('1000'\)\)",
    "kv_client.py": r"total of all accounts: 1000",
    "watch.py": r"stock/apple is gone",
    "notebook.py": r"10000 trips\n\[\(datetime.date",
    "flight_scan.py": r"partitions of city, amount\n49000 rows, total amount 2498951000\n",
    "tikv_client_program.py": r"raw: hello\ntransaction: \{b'stock/apple': b'10', b'stock/pear': b'4'\}",
    "live_analytics.py": r"in one store[\s\S]*60 orders; asked while they came in; every answer added up",
    "dask_scan.py": r"\{0: \d+, 1: \d+, 2: \d+, 3: \d+\}",
}
NEEDS = {"tikv_client_program.py": "tikv_client", "dask_scan.py": "dask"}
IN_THIS_PROCESS = ("bank.py", "kv_client.py", "watch.py", "notebook.py", "live_analytics.py")


def test_every_example_is_tested() -> None:
    assert {path.name for path in EXAMPLES.glob("*.py")} == set(SAYS)


@pytest.mark.parametrize("name", IN_THIS_PROCESS)
def test_an_embedded_example(name: str, tmp_path: Path) -> None:
    arguments = [str(tmp_path)] if name == "notebook.py" else []
    assert re.search(SAYS[name], run(EXAMPLES / name, arguments, tmp_path))


@pytest.mark.parametrize("name", sorted(SAYS.keys() - set(IN_THIS_PROCESS)))
def test_an_example_on_a_cluster(name: str, playground: Playground, tmp_path: Path) -> None:
    if name in NEEDS and importlib.util.find_spec(NEEDS[name]) is None:
        pytest.skip(f"{NEEDS[name]} is not installed")
    target = playground.pd_address if name.startswith("tikv") else playground.flight_location
    assert re.search(SAYS[name], run(EXAMPLES / name, [target], tmp_path))


def test_the_page_on_flight_keeps_its_word(playground: Playground, tmp_path: Path) -> None:
    """docs/flight.md's Python blocks run one after the other, on this cluster instead of the default address."""
    text = (ROOT / "docs" / "flight.md").read_text()
    code = "\n".join(re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL))
    program = tmp_path / "page.py"
    program.write_text(code.replace("grpc://127.0.0.1:31337", playground.flight_location))
    run(program, [], tmp_path)


def run(program: Path, arguments: list[str], folder: Path) -> str:
    """What a program prints; it has to end well."""
    done = subprocess.run(
        [sys.executable, str(program), *arguments],
        cwd=folder, capture_output=True, text=True, timeout=100, env=os.environ,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout
