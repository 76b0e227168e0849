"""kill -9 at each place where a store or a placement driver writes: what was acknowledged is there afterwards."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import rutile
from rutile_kv.env.failpoints import VARIABLE, Failpoints
from rutile_proto.errors import InvalidRequest

WRITER = """
import sys, rutile
connection = rutile.connect(sys.argv[1])
connection.execute("CREATE TABLE IF NOT EXISTS t (id INT PRIMARY KEY, twin INT)")
for number in range(8):
    connection.begin()
    connection.execute("INSERT INTO t VALUES (?, ?)", (2 * number, number))
    connection.execute("INSERT INTO t VALUES (?, ?)", (2 * number + 1, number))
    connection.commit()
    print(number, flush=True)
connection.execute("DROP TABLE IF EXISTS other")
connection.close()
"""
POINTS = [
    f"{owner}.{door}.{side}" for owner in ("store", "pd") for door in ("write", "sync") for side in ("before", "after")
]
AT_BIRTH = ["pd.found", "pd.cluster", "pd.bootstrapped", "pd.region", "pd.store", "store.ident", "store.first_region"]
"""What is written once; everything else is in test_write_places.py."""
ENOUGH = 120
"""Passages after which every point has been passed for the last time."""


def write_until_killed(path: Path, failpoint: str) -> tuple[list[int], bool]:
    """(numbers acknowledged, whether the point was reached)."""
    environment = {**os.environ, VARIABLE: failpoint}
    command = [sys.executable, "-c", WRITER, str(path)]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert ended.returncode in (0, -signal.SIGKILL), ended.stderr
    return [int(line) for line in ended.stdout.split()], ended.returncode != 0


def check(path: Path, acknowledged: list[int]) -> None:
    """Every acknowledged pair is there, and no pair is there in half."""
    with rutile.connect(path) as connection:
        tables = {row[0] for row in connection.execute("SHOW TABLES").fetchall()}
        found = connection.execute("SELECT twin FROM t ORDER BY id").fetchall() if "t" in tables else []
        twins = [row[0] for row in found]
        assert all(twins.count(number) == 2 for number in acknowledged)
        assert all(twins.count(number) == 2 for number in set(twins))
        connection.execute("CREATE TABLE IF NOT EXISTS afterwards (id INT PRIMARY KEY)")


@pytest.mark.parametrize("failpoint", ["store.sync.before=exit@12", "pd.sync.after=exit@2"])
def test_a_kill_at_a_failpoint_loses_nothing(tmp_path: Path, failpoint: str) -> None:
    acknowledged, reached = write_until_killed(tmp_path, failpoint)
    assert reached
    check(tmp_path, acknowledged)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("point", POINTS)
def test_a_kill_at_every_passage_loses_nothing(tmp_path: Path, point: str) -> None:
    for passage in range(1, ENOUGH):
        path = tmp_path / str(passage)
        acknowledged, reached = write_until_killed(path, f"{point}=exit@{passage}")
        check(path, acknowledged)
        if not reached:
            return


@pytest.mark.slow
@pytest.mark.parametrize("side", ["before", "after"])
@pytest.mark.parametrize("place", AT_BIRTH)
def test_a_kill_at_birth_leaves_what_can_still_be_born(tmp_path: Path, place: str, side: str) -> None:
    acknowledged, reached = write_until_killed(tmp_path, f"{place}.{side}=exit@1")
    assert reached
    assert acknowledged == []
    _, reached = write_until_killed(tmp_path, "pd.tso.before=exit@1000000")
    assert not reached
    check(tmp_path, list(range(8)))


@pytest.mark.parametrize("text", ["nonsense", "a=exit@0", "a=die@1", "a=exit@x"])
def test_a_failpoint_that_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest, match="exit@n"):
        Failpoints.parse(text)
