"""What a commit knows about its chances of async commit."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from rutile_kv.client.sender import Missed
from rutile_proto import kvrpcpb_pb2 as kvrpcpb


class AsyncCommit:
    """From wish to certainty: every prewrite has to be granted it, and be heard of."""

    def __init__(self) -> None:
        self.wanted = False
        """Asked for with every prewrite; off as soon as one store declines."""
        self.commit_ts = 0
        """The least timestamp all answers so far allow; only to be believed once no prewrite is missing."""
        self._unheard: dict[bytes, BaseException] = {}
        """Keys that may be prewritten without our knowing, and why."""

    def sent(self, keys: Sequence[bytes]) -> BaseException:
        """A prewrite of `keys` that asks for async commit leaves. Why the outcome is open from now on."""
        for key in keys:
            self._unheard.setdefault(key, _IN_FLIGHT)
        return _IN_FLIGHT

    def heard(self, keys: Sequence[bytes], answer: kvrpcpb.PrewriteResponse | Missed) -> BaseException | None:
        """What came back for `keys`. Why the outcome is still open, or None."""
        for key in [key for key in keys if key in self._unheard]:
            if not isinstance(answer, Missed):
                del self._unheard[key]
            elif answer.answer_lost:
                self._unheard[key] = answer.cause
            elif self._unheard[key] is _IN_FLIGHT:  # this try was not executed, and no earlier one is in doubt
                del self._unheard[key]
        return next(iter(self._unheard.values()), None) if self.wanted else None

    def granted(self, min_commit_ts: int) -> None:
        """A batch was prewritten. 0 means that its store declined: then the primary decides, whatever the others do."""
        self.wanted = self.wanted and min_commit_ts > 0
        self.commit_ts = max(self.commit_ts, min_commit_ts) if self.wanted else 0


_IN_FLIGHT = asyncio.CancelledError("while in flight")
