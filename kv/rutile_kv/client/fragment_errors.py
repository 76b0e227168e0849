"""`other_error` back into exceptions: the stores send "<class>: <text>"."""

from __future__ import annotations

from rutile_kv.client.backoff import STORE_BUSY, BackoffKind
from rutile_proto.errors import CoprocessorError, FragmentCancelled, FragmentFailed, FragmentRefused, LayoutMismatch

_CLASSES: dict[str, type[CoprocessorError]] = {
    each.__name__: each for each in (FragmentRefused, FragmentFailed, FragmentCancelled, LayoutMismatch)
}
_BUSY = "ServerIsBusy"


def typed(text: str) -> tuple[CoprocessorError, BackoffKind | None]:
    """The error a text stands for, and how to wait if it passes by waiting; unknown classes are FragmentFailed."""
    name, _, detail = text.partition(": ")
    if name == _BUSY:
        return FragmentFailed(detail), STORE_BUSY
    known = _CLASSES.get(name)
    return (known(detail), None) if known is not None else (FragmentFailed(text), None)
