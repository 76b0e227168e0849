"""How many peers a store may be given, or lose, in a minute: a token bucket that holds a minute's worth."""

from dataclasses import dataclass

_MINUTE_MS = 60_000


@dataclass(slots=True)
class StoreLimit:
    """Starts full."""

    spent: float = 0.0
    """Tokens missing from a full bucket."""
    at_ms: int = 0

    def allows(self, per_minute: float, now_ms: int) -> bool:
        """Whether a token is there. A limit of 0 allows nothing."""
        return per_minute > 0 and self._spent_by(per_minute, now_ms) + 1 <= max(per_minute, 1.0)

    def take(self, per_minute: float, now_ms: int) -> None:
        """Spend a token; who does not ask before (a human's operator) makes debts."""
        self.spent, self.at_ms = self._spent_by(per_minute, now_ms) + 1, now_ms

    def _spent_by(self, per_minute: float, now_ms: int) -> float:
        return max(0.0, self.spent - per_minute * max(0, now_ms - self.at_ms) / _MINUTE_MS)
