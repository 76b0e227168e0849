"""Lets the tests of this folder import their helpers: --import-mode=importlib puts no folder on the path."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

for folder in ("locks", "txn", "server"):
    sys.path.append(str(Path(__file__).parents[1] / folder))


@pytest.fixture(params=[True, False], ids=["memory", "written"])
def locks_in_memory(request: pytest.FixtureRequest) -> Iterator[bool]:
    """The same test with locks in the leader's memory, and with locks that are written through Raft."""
    from lock_modes import IN_MEMORY

    token = IN_MEMORY.set(request.param)
    yield request.param
    IN_MEMORY.reset(token)
