"""Definitions while no store answers: an error that says so, within the budget of one operation."""

import time

import pytest

import rutile
from rutile.nodes.playground import Playground

ER_REGION_UNAVAILABLE = 9005
LIMIT_S = 40.0
"""Twice what one operation may take."""


@pytest.mark.slow
@pytest.mark.parametrize("statement", ["CREATE TABLE u (a INT)", "ALTER TABLE t ADD COLUMN b INT", "DROP TABLE t"])
def test_a_definition_ends_in_an_error_that_names_the_cause(statement: str) -> None:
    with Playground(1) as playground, rutile.connect(playground.sql_address) as connection:
        connection.execute("CREATE TABLE t (a INT PRIMARY KEY)")
        playground.stores[0].kill()
        started = time.monotonic()
        with pytest.raises(rutile.Error) as caught:
            connection.execute(statement)
        assert getattr(caught.value, "code", None) == ER_REGION_UNAVAILABLE
        assert time.monotonic() - started < LIMIT_S
