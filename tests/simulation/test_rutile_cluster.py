"""What is shipped in `rutile.testing`, used as docs/testing.md tells."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from rutile.testing.fixture import RutileCluster, rutile_cluster

__all__ = ["rutile_cluster"]  # the fixture, where pytest finds it


def test_every_fault_can_be_asked_for(rutile_cluster: RutileCluster) -> None:
    with rutile_cluster.connect() as connection:
        connection.execute("CREATE TABLE t (id INT PRIMARY KEY)")
        rutile_cluster.partition(2)
        connection.execute("INSERT INTO t VALUES (1)")
        rutile_cluster.heal()
        rutile_cluster.pause_store(3)
        connection.execute("INSERT INTO t VALUES (2)")
        rutile_cluster.resume_store(3)
        rutile_cluster.skew_clock(1, ahead_s=-5.0, rate=1.05)
        assert rutile_cluster.add_store() == 4
        assert rutile_cluster.stores == [1, 2, 3, 4]
        connection.execute("INSERT INTO t VALUES (3)")
        assert connection.execute("SELECT COUNT(*) FROM t").fetchone() == (3,)


def test_the_example_of_the_page_runs(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "testing.md").read_text()
    fixture, example = re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    (tmp_path / "conftest.py").write_text(fixture)
    (tmp_path / "test_example.py").write_text(example)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stdout + run.stderr
    assert "1 passed" in run.stdout
