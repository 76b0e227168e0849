"""Places where a process can be told to die: RUTILE_FAILPOINTS="store.write.after=exit@3;pd.sync.before=exit@1".

A point has a name, and dies (as by kill -9: nothing is flushed, nothing is said) when it is passed for the n-th time.
Nothing is looked at unless the variable is set when an engine is opened (`rutile_kv.engine.failing`).
"""

import os
import signal
from dataclasses import dataclass, field
from typing import Self

from rutile_proto.errors import InvalidRequest

VARIABLE = "RUTILE_FAILPOINTS"
_ACTION = "exit@"


@dataclass
class Failpoints:
    """How often each point may yet be passed."""

    left: dict[str, int] = field(default_factory=dict)

    @classmethod
    def of_environment(cls) -> Self:
        """What the variable asks for; InvalidRequest if it cannot be read."""
        return cls.parse(os.environ.get(VARIABLE, ""))

    @classmethod
    def parse(cls, text: str) -> Self:
        """`name=exit@n;name=exit@n`, n from 1."""
        left = {}
        for part in filter(None, (each.strip() for each in text.split(";"))):
            name, _, action = part.partition("=")
            number = action.removeprefix(_ACTION)
            if not action.startswith(_ACTION) or not number.isdigit() or int(number) < 1:
                raise InvalidRequest(f"{VARIABLE}: {part!r} is not name=exit@n with n from 1")
            left[name] = int(number)
        return cls(left)

    def hit(self, name: str) -> None:
        """Pass a point, or die there."""
        if name in self.left:
            self.left[name] -= 1
            if self.left[name] == 0:
                os.kill(os.getpid(), signal.SIGKILL)
