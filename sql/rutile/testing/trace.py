"""What happened in a run, for two uses: the last lines tell a person, the hash tells whether two runs were the same."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable

KEPT_LINES = 400


class Trace:
    """Lines with the simulated time; the hash is of all of them, the text of the last ones only."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._hash = hashlib.blake2b(digest_size=16)
        self._lines: deque[str] = deque(maxlen=KEPT_LINES)
        self.count = 0

    def note(self, line: str) -> None:
        """Something happened now."""
        stamped = f"{self._now():12.4f}  {line}"
        self.count += 1
        self._hash.update(stamped.encode())
        self._lines.append(stamped)

    def digest(self) -> str:
        """Equal for runs that did the same at the same times."""
        return self._hash.hexdigest()

    def tail(self, lines: int = 60) -> str:
        """The last lines."""
        return "\n".join(list(self._lines)[-lines:] if lines else ())
