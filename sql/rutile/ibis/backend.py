"""The backend class, put together."""

from __future__ import annotations

from rutile.ibis.files import Files
from rutile.ibis.tables import Tables


class Backend(Tables, Files):
    """A connection of Ibis to Rutile; `ibis.rutile.connect(...)` makes one."""
