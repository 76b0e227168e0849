"""What this front end knows of the tables' statistics, without asking."""

from __future__ import annotations

from rutile.session.storage import KvClient
from rutile.statistics import kept
from rutile.statistics.model import TableStatistics


class KnownStatistics:
    """The statistics last loaded. `of` never waits: a query that comes before the first load plans without them."""

    def __init__(self, client: KvClient) -> None:
        self._client = client
        self._kept = kept.NOTHING

    def of(self, table_id: int) -> TableStatistics | None:
        """What is known of a table; None if it was never analyzed."""
        return self._kept.tables.get(table_id)

    def rows(self, table_id: int) -> int | None:
        """About how many rows a table has."""
        found = self.of(table_id)
        return None if found is None else found.rows

    def changed(self, table_id: int) -> int:
        """Rows changed since they were collected."""
        return self._kept.changed.get(table_id, 0)

    def tables(self) -> list[TableStatistics]:
        """All of them, by table id."""
        return [self._kept.tables[table_id] for table_id in sorted(self._kept.tables)]

    def changed_tables(self) -> dict[int, int]:
        """Rows changed, by table id, also of tables that were never analyzed."""
        return dict(self._kept.changed)

    async def refresh(self, ts: int | None = None) -> None:
        """Load what has moved, as of `ts`; as of now without. Raises RutileError."""
        reader = self._client.snapshot(await self._client.timestamp() if ts is None else ts)
        self._kept = await kept.load(reader, self._kept)
