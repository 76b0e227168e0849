"""Golden scripts: what commands answer, what readers see, and which records lie in the engine afterwards."""

from pathlib import Path

import pytest
from goldenscript import run_script, scripts
from mvcc_runner import MvccRunner


@pytest.mark.parametrize("path", scripts(__file__), ids=lambda path: path.stem)
def test_mvcc_script(path: Path) -> None:
    run_script(path, MvccRunner())
