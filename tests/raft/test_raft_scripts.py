"""Raft's behaviour, one golden script each; RUTILE_REWRITE=1 writes the outputs anew."""

from pathlib import Path

import pytest
from goldenscript import run_script, scripts
from raft_script import RaftScript


@pytest.mark.parametrize("path", scripts(__file__), ids=lambda path: path.stem)
def test_raft_script(path: Path) -> None:
    run_script(path, RaftScript())
