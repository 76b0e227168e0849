"""The client against a cluster that exists only in a dict: over LocalStubs, over LocalStubs whose
small requests travel together, and over gRPC on the loopback."""

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))


@pytest.fixture(params=["local", "shared", "grpc"])
def transport(request: pytest.FixtureRequest) -> str:
    """Every test that asks for it runs on each."""
    return str(request.param)
