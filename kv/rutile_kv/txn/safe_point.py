"""The safe point as this store knows it: versions that only readers below it can see may be gone."""

from rutile_proto.errors import TxnAborted


class SafePoint:
    """One timestamp, which only rises; and, while nobody tells it, how far it may have risen meanwhile."""

    def __init__(self) -> None:
        self._ts = 0
        self._presumed = 0

    @property
    def ts(self) -> int:
        """0 until one is known."""
        return self._ts

    def raise_to(self, ts: int) -> None:
        self._ts = max(self._ts, ts)

    def presume(self, ts: int) -> None:
        """It may be as high as `ts`, until something else is presumed; 0 means that it is known for sure."""
        self._presumed = ts

    def complaint(self, ts: int) -> str | None:
        """What is wrong with reading, or writing as a transaction begun, at `ts`; None if nothing is."""
        if ts >= max(self._ts, self._presumed):
            return None
        if ts >= self._ts:
            return (
                f"timestamp {ts} may be below the garbage collection safe point: this store has not heard from the"
                " placement driver for a while; begin a new transaction"
            )
        return (
            f"timestamp {ts} is below the garbage collection safe point {self._ts}: versions it could see may be gone;"
            " begin a new transaction"
        )

    def check(self, ts: int) -> None:
        """Raises TxnAborted for a timestamp that is too old."""
        complaint = self.complaint(ts)
        if complaint is not None:
            raise TxnAborted(complaint)
