"""The raw client's `watch`."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Literal, overload

from rutile_kv.client.cluster import Cluster
from rutile_kv.client.watch_raw import RawChange, RawItem, raw_watch_pages


class RawWatches:
    """Mixed into `RawClient`."""

    _cluster: Cluster
    cf: str

    @overload
    def watch(
        self,
        start: bytes = b"",
        end: bytes = b"",
        *,
        with_state: bool = False,
        resume: bytes | None = None,
        progress: Literal[False] = False,
    ) -> AsyncGenerator[RawChange, None]: ...

    @overload
    def watch(
        self,
        start: bytes = b"",
        end: bytes = b"",
        *,
        with_state: bool = False,
        resume: bytes | None = None,
        progress: Literal[True],
    ) -> AsyncGenerator[RawItem, None]: ...

    async def watch(
        self,
        start: bytes = b"",
        end: bytes = b"",
        *,
        with_state: bool = False,
        resume: bytes | None = None,
        progress: bool = False,
    ) -> AsyncGenerator[RawItem, None]:
        """Every change of [start, end) from the first look on, once, in the order it was made for each key; before them
        what is there, if `with_state`.

        It goes on for ever, over splits and changes of leaders; close it when done (`contextlib.aclosing`). With
        `progress` it hands out tokens from time to time: a watch with `resume=token`, in the place of bounds and state,
        goes on there. Raises WatchEnded when it is read too slowly or the logs do not reach back to the token,
        InvalidRequest, and RetriesExhausted.
        """
        pages = raw_watch_pages(
            self._cluster, self.cf, start, end, with_state=with_state, resume=resume, progress=progress
        )
        async with aclosing(pages):
            async for page in pages:
                for item in page:
                    yield item
