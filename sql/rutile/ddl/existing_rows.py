"""Where the rows are that were there when a fill began: it need not run after those that are written meanwhile.

Everybody follows the definition to come before a fill begins (`DdlWorker` waits for that), so rows written later lack
nothing. Without an upper end, writers that append could keep a fill from ever ending.
"""

from __future__ import annotations

from collections.abc import Iterable

from rutile.session.storage import KvClient

KeyRange = tuple[bytes, bytes]


async def existing(client: KvClient, ranges: Iterable[KeyRange]) -> list[KeyRange]:
    """Each range up to its last row as of now; those without a row are left out."""
    snapshot = client.snapshot(await client.timestamp())
    found = []
    for low, end in ranges:
        last = await snapshot.scan(low, end, 1, reverse=True)
        if last:
            found.append((low, last[0][0] + b"\0"))
    return found
