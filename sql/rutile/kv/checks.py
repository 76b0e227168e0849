"""What the faces check before they pass anything on, and when a transaction is worth another try."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping
from typing import TypeAlias

from rutile_proto.errors import Retry, RutileError

Pair: TypeAlias = tuple[bytes, bytes]

FIRST_PAUSE_S = 0.002
LONGEST_PAUSE_S = 0.25


def check_bytes(what: str, given: bytes) -> bytes:
    """`given`; TypeError if it is anything but bytes."""
    if not isinstance(given, bytes):
        raise TypeError(f"a {what} is bytes, not {type(given).__name__}: encode it first")
    return given


def check_keys(keys: Iterable[bytes]) -> list[bytes]:
    """The keys as a list; TypeError as above, also for one key where several are meant."""
    if isinstance(keys, bytes | str):
        raise TypeError(f"several keys are wanted, not one {type(keys).__name__}: put it into a list")
    return [check_bytes("key", key) for key in keys]


def check_pairs(pairs: Mapping[bytes, bytes] | Iterable[Pair]) -> dict[bytes, bytes]:
    """The pairs as a dict, of a key that comes twice the last; TypeError as above."""
    return {check_bytes("key", key): check_bytes("value", value) for key, value in dict(pairs).items()}


def may_run_again(error: Exception) -> bool:
    """Whether the transaction that met `error` surely did nothing and may succeed when it begins again."""
    return isinstance(error, RutileError) and error.retry is Retry.RESTART_TRANSACTION


def pause_s(tries: int) -> float:
    """Seconds to wait after so many tries in vain; random, so that those who met do not meet again."""
    return random.random() * min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2.0 ** min(tries, 30))
