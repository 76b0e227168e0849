"""The SQL engine by example: tests/sql/scripts. RUTILE_REWRITE=1 writes the outputs; then read the diff."""

import os
from pathlib import Path

import pytest
from goldenscript import REWRITE_VARIABLE, scripts
from sql_runner import run_script


@pytest.mark.parametrize("path", scripts(__file__), ids=lambda path: path.stem)
def test_script(path: Path) -> None:
    differences = run_script(path, rewrite=os.environ.get(REWRITE_VARIABLE) == "1")
    assert not differences, "\n\n".join([*differences, f"({REWRITE_VARIABLE}=1 writes the new outputs)"])
