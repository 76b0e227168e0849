"""mypy reads the public API as a user's program sees it: strictly, and it tells wrong uses."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
PROGRAM = Path(__file__).parent / "public_api.py"
WRONG = """
import rutile
connection = rutile.connect(5)
connection.execute(b"SELECT 1")
connection.insert_arrow("t", [], mode="upsert")
connection.nothing()
for batch in connection.stream("SELECT 1"):
    batch + ""
count: str = connection.execute("SELECT 1").rowcount
"""


def mypy(program: Path) -> list[str]:
    """What it complains of."""
    command = [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", str(program)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert not done.stderr, done.stderr
    return [line for line in done.stdout.splitlines() if Path(line.split(":")[0]).name == program.name]


def test_a_program_over_all_of_it_has_types() -> None:
    assert mypy(PROGRAM) == []


def test_wrong_uses_are_told(tmp_path: Path) -> None:
    program = tmp_path / "wrong.py"
    program.write_text(WRONG)
    lines = {int(line.split(":")[1]) for line in mypy(program)}
    assert {3, 4, 5, 6, 9} <= lines, lines
