"""Real processes on loopback, started and stopped by the tests, by pid."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from e2e_tools import wait_for_replicas

from rutile.nodes.playground import Playground


@pytest.fixture(scope="module")
def playground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Playground]:
    """Three stores, a placement driver and SQL; every region already on three stores."""
    with Playground(3, tmp_path_factory.mktemp("playground")) as cluster:
        wait_for_replicas(cluster, 3)
        yield cluster


@pytest.fixture(scope="session")
def tpch_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """TPC-H tables at scale 0.1 as Parquet files."""
    from rutile.nodes.demo import make_tpch_files

    folder = tmp_path_factory.mktemp("tpch")
    make_tpch_files(0.1, folder)
    return folder
