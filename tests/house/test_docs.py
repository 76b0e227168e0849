"""The documents keep their word: README's Python runs, every command it names exists, every name in docs/ is there."""

from __future__ import annotations

import importlib
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
PACKAGES = ("rutile", "rutile_pd", "rutile_kv", "rutile_coprocessor", "rutile_proto")
DOTTED = re.compile(rf"`((?:{'|'.join(PACKAGES)})(?:\.\w+)+)(?:\(\))?`")


def blocks(page: Path, language: str) -> list[str]:
    """The fenced code blocks of a page in one language."""
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)


def resolve(name: str) -> object:
    """The object behind `package.module.Class.method`; ImportError or AttributeError when there is none."""
    parts = name.split(".")
    for cut in range(len(parts), 0, -1):
        try:
            found: object = importlib.import_module(".".join(parts[:cut]))
        except ModuleNotFoundError:
            continue
        for part in parts[cut:]:
            found = getattr(found, part)
        return found
    raise ImportError(name)


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_every_name_mentioned_exists(page: Path) -> None:
    gone = []
    for name in sorted(set(DOTTED.findall(page.read_text()))):
        try:
            resolve(name)
        except (ImportError, AttributeError):
            gone.append(name)
    assert gone == []


def test_architecture_names_many_things() -> None:
    assert len(set(DOTTED.findall((ROOT / "docs/architecture.md").read_text()))) > 30


def test_readme_embedded_example_runs(tmp_path: Path) -> None:
    example = next(block for block in blocks(ROOT / "README.md", "python") if 'connect("shop")' in block)
    run = subprocess.run(
        [sys.executable, "-c", example + "print(table.num_rows)"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout.splitlines() == ["[('apple', Decimal('0.50'))]", "2"]


def test_commands_in_the_readme_exist() -> None:
    shell = "\n".join(block for block in blocks(ROOT / "README.md", "sh"))
    verbs = set(re.findall(r"^rutile (\w+)", shell, re.MULTILINE))
    targets = set(re.findall(r"^make ([\w-]+)", shell, re.MULTILINE))
    assert verbs and targets
    makefile = (ROOT / "Makefile").read_text()
    assert all(re.search(rf"^{target}:", makefile, re.MULTILINE) for target in targets)
    for verb in verbs:
        run = subprocess.run(
            [sys.executable, "-m", "rutile", verb, "--help"], capture_output=True, text=True, timeout=30
        )
        assert run.returncode == 0 and len(run.stdout.splitlines()) > 5


def test_bank_example_runs() -> None:
    environment = {**os.environ, "PYTHONWARNINGS": "error"}
    run = subprocess.run(
        [sys.executable, "examples/bank.py"], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=100
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout.strip() == "(10, Decimal('1000'))"
