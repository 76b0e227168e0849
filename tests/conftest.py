"""For all tests: Hypothesis judges results, not speed, because the machine may be busy with other things."""

import sys

import pytest
from hypothesis import settings

from rutile.cli.servers import SWITCH_SECONDS

settings.register_profile("rutile", deadline=None)
settings.load_profile("rutile")


@pytest.fixture(scope="session", autouse=True)
def threads_take_turns() -> None:
    """As in a server: a thread beside a busy loop gets the interpreter soon."""
    sys.setswitchinterval(SWITCH_SECONDS)
