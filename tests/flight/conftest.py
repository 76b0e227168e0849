"""Worlds of Flight tests."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import adbc_driver_flightsql.dbapi as adbc
import pytest

sys.path.append(str(Path(__file__).parent))

from flight_world import FlightWorld, flight_world


@pytest.fixture(scope="module")
def world() -> Iterator[FlightWorld]:
    """One server for a module's tests; each makes tables of its own."""
    with flight_world() as opened:
        yield opened


@pytest.fixture
def connection(world: FlightWorld) -> Iterator[adbc.Connection]:
    with world.connect() as opened:
        yield opened
