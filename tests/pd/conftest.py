"""Lets the tests of this folder import `toy_stores`: --import-mode=importlib puts no folder on the path."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parent))
