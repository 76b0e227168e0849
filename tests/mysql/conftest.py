"""Lets the tests of this folder import their helpers, and those of tests/sql they share."""

import sys
from pathlib import Path

for folder in (Path(__file__).parent, Path(__file__).parents[1] / "sql"):
    sys.path.append(str(folder))
