"""The rows a fill has to do with: those there were when it began, read as of one timestamp until it ends.

Everybody follows the definition to come before a fill begins (`DdlWorker` waits for that), so rows written since lack
nothing. One timestamp makes the fill's work as large as the table was: writers, however fast, add nothing to it.

Versions that old must stay. The fill claims its timestamp in the placement driver, in the job's name, and claims it
again while it runs; a claim is never older than `RENEW_MS` when something is read or loaded on its strength, and lasts
ten times as long. The timestamp is written down with the job. An owner that takes over claims it, too, and goes on with
the same rows; if garbage collection has passed it meanwhile, it begins a new snapshot where the old one had come to.
"""

from __future__ import annotations

import math
from dataclasses import replace

from rutile.catalog.jobs import Job
from rutile.session.storage import KeyRange, KvClient, Pair
from rutile_proto.errors import TxnAborted
from rutile_proto.timestamps import physical_ms

READ_AT = "read_at"
"""In `Job.extra`: the timestamp."""
RENEW_MS = 30_000
"""How old a claim may be when it is counted on."""
CLAIM_S = 300
"""How long it lasts: longer than a load that began under it can take, and until another owner is there."""


class FillSnapshot:
    """The rows as of a timestamp that is claimed."""

    def __init__(self, client: KvClient, job_id: int, ts: int) -> None:
        self._client = client
        self._holder = f"rutile-ddl-job-{job_id}"
        self._snapshot = client.snapshot(ts)
        self._claimed_ms = -math.inf
        self.ts = ts

    @classmethod
    async def open(cls, client: KvClient, job: Job) -> FillSnapshot:
        """The snapshot that the job was filled from so far, if it can still be read; otherwise one of now."""
        begun = job.extra.get(READ_AT)
        if begun is not None and await (opened := cls(client, job.id, begun))._claim():
            return opened
        opened = cls(client, job.id, await client.timestamp())
        await opened.keep()
        return opened

    def noted(self, job: Job) -> Job:
        """The job with the timestamp written down."""
        return replace(job, extra={**job.extra, READ_AT: self.ts})

    async def keep(self) -> None:
        """See that nothing visible here is collected soon. Raises TxnAborted if it may be gone already."""
        now_ms = physical_ms(await self._client.timestamp())
        if now_ms - self._claimed_ms > RENEW_MS and not await self._claim():
            raise TxnAborted(f"garbage collection has passed {self.ts}, at which a fill read; it goes on at a new one")

    async def _claim(self) -> bool:
        before_ms = physical_ms(await self._client.timestamp())
        claimed = await self._client.claim_versions(self._holder, self.ts, CLAIM_S)
        if claimed:
            self._claimed_ms = before_ms
        return claimed

    async def close(self) -> None:
        """Let go of it, once nobody is to go on with it."""
        await self._client.claim_versions(self._holder, self.ts, 0)

    async def ranges(self, ranges: tuple[KeyRange, ...]) -> list[KeyRange]:
        """Each range up to its last row, so that nobody looks through what is appended since; empty ones are left
        out."""
        found = []
        for low, end in ranges:
            last = await self._snapshot.scan(low, end, 1, reverse=True)
            if last:
                found.append((low, last[0][0] + b"\0"))
        return found

    async def scan(self, start: bytes, end: bytes, limit: int) -> list[Pair]:
        """The first rows of [start, end). Raises TxnAborted if they may be gone."""
        await self.keep()
        return await self._snapshot.scan(start, end, limit)
