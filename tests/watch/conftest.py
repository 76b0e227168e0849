"""Lets the tests of this folder import helpers: --import-mode=importlib puts no folder on the path."""

import sys
from pathlib import Path

for folder in ("watch", "locks", "txn", "server", "raw"):
    sys.path.append(str(Path(__file__).parents[1] / folder))
