"""Prompt answers: reads and timestamps in the very turn of the loop that asks, for callers in the store's own process.

A call through a LocalStub still awaits: a coroutine for each floor, timers against what cannot happen, a message to
hold the answer. A leader with a lease that meets no lock needs none of it. Whoever may ask so calls `get_now` first,
and when it raises `NotNow` (a lock, a region error, an election, another process) goes the ordinary way, which deals
with it. Nothing is answered here that the ordinary way would answer otherwise.
"""

from collections.abc import Sequence
from typing import Protocol, TypeAlias

from rutile_proto import kvrpcpb_pb2 as kvrpcpb

Pair: TypeAlias = tuple[bytes, bytes]


class NotNow(Exception):
    """It takes an await: ask the ordinary way."""


class PromptTimestamps(Protocol):
    """A placement driver in this process."""

    def timestamps_now(self, count: int) -> int | None:
        """The largest of `count` new timestamps, or None where that takes an await."""


class PromptReads(Protocol):
    """A store in this process. Keys are user keys; the context names region, epoch and peer, and is not changed."""

    def get_now(self, context: kvrpcpb.Context, key: bytes, version: int) -> bytes | None:
        """The value of `key` as of `version`, or None. Raises NotNow."""

    def scan_now(self, context: kvrpcpb.Context, start: bytes, end: bytes, version: int, limit: int) -> Sequence[Pair]:
        """The first `limit` pairs of [start, end), which one region holds. Raises NotNow."""
