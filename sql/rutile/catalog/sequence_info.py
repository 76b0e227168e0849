"""A sequence as the catalogue knows it."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass

from rutile.errors import SqlError

ER_SEQUENCE_CONFLICTING = 4136
MAX_VALUE = (1 << 63) - 2
MIN_VALUE = -(1 << 63) + 1
DEFAULT_CACHE = 1_000
_DEFAULT = re.compile(r"nextval\(", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class SequenceInfo:
    """A sequence as defined. `cache` counts values; 0 is NOCACHE."""

    sequence_id: int
    database: str
    name: str
    start: int = 1
    increment: int = 1
    low: int = 1
    high: int = MAX_VALUE
    cache: int = DEFAULT_CACHE
    cycle: bool = False
    comment: str = ""

    def to_bytes(self) -> bytes:
        return json.dumps(asdict(self), separators=(",", ":")).encode()

    @staticmethod
    def from_bytes(data: bytes) -> SequenceInfo:
        return SequenceInfo(**json.loads(data))

    def checked(self) -> SequenceInfo:
        """The same. Raises 4136 for bounds, a start, an increment or a cache that do not fit together."""
        bounded = MIN_VALUE <= self.low <= self.start <= self.high <= MAX_VALUE and self.low < self.high
        if not bounded or not self.increment or self.cache < 0 or self.cache * abs(self.increment) > MAX_VALUE:
            message = f"Sequence '{self.database}.{self.name}' values are conflicting"
            raise SqlError(ER_SEQUENCE_CONFLICTING, message)
        return self

    @property
    def again(self) -> int:
        """Where a cycle begins anew."""
        return self.low if self.increment > 0 else self.high

    def after(self, value: int) -> int | None:
        """The value that follows; None if there is none."""
        following = value + self.increment
        if self.low <= following <= self.high:
            return following
        return self.again if self.cycle else None

    def beyond(self, value: int) -> int | None:
        """The first value past `value` on the way from the start."""
        steps = (value - self.start) // self.increment + 1
        return self.after(self.start + (steps - 1) * self.increment)

    def text(self) -> str:
        """The statement that would make it."""
        quoted = "`" + self.name.replace("`", "``") + "`"
        cache = f"cache {self.cache}" if self.cache else "nocache"
        comment = f" COMMENT='{self.comment}'" if self.comment else ""
        return (
            f"CREATE SEQUENCE {quoted} start with {self.start} minvalue {self.low} maxvalue {self.high} increment by"
            f" {self.increment} {cache} {'cycle' if self.cycle else 'nocycle'} ENGINE=InnoDB{comment}"
        )


def names_sequence(default_sql: str) -> bool:
    """Whether a column's stored default is the next value of a sequence."""
    return _DEFAULT.match(default_sql) is not None
