"""Who waits for an answer of the store: the driver's tokens are futures."""

import asyncio

from rutile_kv.raftstore.events import Completion, Result
from rutile_proto.errors import RutileError, ServerIsBusy, UndeterminedResult


class Waiting:
    """The open requests of one driver."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._open: dict[asyncio.Future[Result], bool] = {}
        """With whether the request changes anything."""

    def __len__(self) -> int:
        return len(self._open)

    def open(self, changes: bool) -> asyncio.Future[Result]:
        """A token for a new request. Raises ServerIsBusy when too many are open."""
        if len(self._open) >= self._limit:
            raise ServerIsBusy(f"{self._limit} requests are waiting already")
        token: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._open[token] = changes
        return token

    def close(self, token: asyncio.Future[Result]) -> None:
        """Nobody waits for it any more, answered or not."""
        self._open.pop(token, None)

    def finish(self, completion: Completion) -> None:
        """Answer a request."""
        token = completion.token
        assert isinstance(token, asyncio.Future), "the tokens of a driver are futures"
        self._open.pop(token, None)
        if token.done():
            return
        if completion.error is None:
            token.set_result(completion.result)
        else:
            token.set_exception(completion.error)

    def refuse_all(self, error: RutileError) -> None:
        """Answer everybody: a change that is on its way may yet happen elsewhere."""
        waiting, self._open = self._open, {}
        for token, changes in waiting.items():
            if not token.done():
                token.set_exception(UndeterminedResult(0, str(error)) if changes else error)
