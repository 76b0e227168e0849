"""How fast bytes may pass: a bucket that fills with time. It has no clock: the caller tells the time, and waits."""


class RateLimit:
    """`bytes_per_second` on the long run, a second's worth at once; 0 is no limit."""

    def __init__(self, bytes_per_second: int) -> None:
        self._rate = bytes_per_second
        self._free_at = float("-inf")
        """When all that was let through would have passed at the rate."""

    def delay_seconds(self, now: float, size_bytes: int) -> float:
        """How long to wait before letting `size_bytes` through, which are counted with this call. `now` never falls."""
        if not self._rate:
            return 0.0
        self._free_at = max(self._free_at, now - 1.0) + size_bytes / self._rate
        return max(0.0, self._free_at - now)
