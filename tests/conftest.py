"""For all tests: Hypothesis judges results, not speed, because the machine may be busy with other things."""

import pytest
from hypothesis import settings

from rutile.cli.servers import tune_interpreter

settings.register_profile("rutile", deadline=None)
settings.load_profile("rutile")


@pytest.fixture(scope="session", autouse=True)
def interpreter_of_a_server() -> None:
    """A thread beside a busy loop gets the interpreter soon, and cycles are looked for as seldom as in a server."""
    tune_interpreter()
