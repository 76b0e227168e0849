"""A snapshot's pages with a transaction's own writes laid over them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import TypeAlias

from rutile_kv.client.membuffer import Entry

Pair: TypeAlias = tuple[bytes, bytes]
Own: TypeAlias = tuple[bytes, Entry]


async def overlay(
    pages: AsyncIterator[list[Pair]], own: Sequence[Own], limit: int | None, *, reverse: bool
) -> AsyncIterator[list[Pair]]:
    """The merged pairs in pages, at most `limit` in all. `own` is in the direction of the scan and has no locks in it.

    A page settles the keys up to its last one; own writes beyond it wait for the page that reaches them, or the end.
    """
    at = 0
    async for page in pages:
        upto = _settled(own, at, page[-1][0], reverse)
        merged = _merge(page, own[at:upto], reverse)[:limit]
        at = upto
        if merged:
            yield merged
        if limit is not None and (limit := limit - len(merged)) == 0:
            return
    tail = _merge([], own[at:], reverse)[:limit]
    if tail:
        yield tail


def _settled(own: Sequence[Own], at: int, last: bytes, reverse: bool) -> int:
    while at < len(own) and (own[at][0] >= last if reverse else own[at][0] <= last):
        at += 1
    return at


def _merge(page: list[Pair], own: Sequence[Own], reverse: bool) -> list[Pair]:
    if not own:
        return page
    rows: dict[bytes, bytes] = dict(page)
    for key, entry in own:
        if entry.visible is None:
            rows.pop(key, None)
        else:
            rows[key] = entry.visible
    return sorted(rows.items(), reverse=reverse)
