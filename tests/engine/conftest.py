"""Both engines, so that every conformance test runs on each."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rutile_kv.engine.api import Engine
from rutile_kv.engine.memory import MemoryEngine
from rutile_kv.engine.options import MIB, EngineOptions
from rutile_kv.engine.rocks import RocksEngine

SMALL = EngineOptions(block_cache_bytes=4 * MIB, memtable_bytes=4 * MIB)


@pytest.fixture(params=["memory", "rocks"])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    opened: Engine = MemoryEngine() if request.param == "memory" else RocksEngine.open(tmp_path / "db", options=SMALL)
    yield opened
    opened.close()


@pytest.fixture
def reopen(tmp_path: Path) -> Iterator[Callable[[], RocksEngine]]:
    """Closes the engine given out before and opens the same directory again."""
    opened: list[RocksEngine] = []

    def again() -> RocksEngine:
        for engine in opened:
            engine.close()
        opened.append(RocksEngine.open(tmp_path / "durable", options=SMALL))
        return opened[-1]

    yield again
    opened[-1].close()
