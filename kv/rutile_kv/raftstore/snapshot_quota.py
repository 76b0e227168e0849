"""How many snapshots a store sends at a time."""


class SnapshotQuota:
    """A counter with a bound, shared by all regions of a store."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.in_use = 0

    def try_take(self) -> bool:
        """True, and one less to give, if there is one left."""
        if self.in_use >= self._limit:
            return False
        self.in_use += 1
        return True

    def give_back(self) -> None:
        assert self.in_use > 0, "a snapshot slot given back twice"
        self.in_use -= 1
