"""`python -m rutile` is the `rutile` command."""

import sys

from rutile.cli import main

sys.exit(main())
