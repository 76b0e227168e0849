"""Places where a process can be told to die: RUTILE_FAILPOINTS="store.write.after=exit@3;pd.sync.before=exit@1".

A point has a name, and dies (as by kill -9: nothing is flushed, nothing is said) when it is passed for the n-th time.
Nothing is looked at unless the variable is set when a store or a placement driver opens its data directory.

RUTILE_FAILPOINTS="@failpoints" names a file in the data directory instead. It may come and change while the process
runs, and counting begins anew whenever it does: so one process of many can be told, and late.

Which points there are: `rutile_kv.engine.failing`.
"""

import os
import signal
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from rutile_proto.errors import InvalidRequest

VARIABLE = "RUTILE_FAILPOINTS"
_ACTION = "exit@"
_FILE = "@"


@dataclass
class Failpoints:
    """How often each point may yet be passed."""

    left: dict[str, int] = field(default_factory=dict)
    file: Path | None = None
    """Where to look for points, if they may come later."""
    _read_at_ns: int = 0

    @classmethod
    def of_environment(cls, directory: Path) -> Self | None:
        """What the variable asks of the process whose data is in `directory`; None if it is not set. InvalidRequest if
        it cannot be read."""
        text = os.environ.get(VARIABLE, "")
        if text.startswith(_FILE):
            return cls(file=directory / text.removeprefix(_FILE))
        return cls.parse(text) if text else None

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
        if self.file is not None:
            self._look(self.file)
        if name in self.left:
            self.left[name] -= 1
            if self.left[name] == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    def _look(self, file: Path) -> None:
        """Take what the file says, if it says something new."""
        changed_at_ns = file.stat().st_mtime_ns if file.exists() else 0
        if changed_at_ns != self._read_at_ns:
            self._read_at_ns = changed_at_ns
            self.left = self.parse(file.read_text()).left if changed_at_ns else {}
