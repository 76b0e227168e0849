"""The client against a cluster that exists only in a dict: over LocalStubs, and over gRPC on the loopback."""

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))


@pytest.fixture(params=["local", "grpc"])
def transport(request: pytest.FixtureRequest) -> str:
    """Every test that asks for it runs on both."""
    return str(request.param)
