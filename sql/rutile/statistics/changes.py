"""How many rows this front end's transactions changed, until that is written down."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from itertools import chain, islice

from rutile.catalog.model import TableInfo
from rutile.session.storage import KvTransaction
from rutile_proto.keys import prefix_next, record_prefix

MOST_COUNTED = 100_000
"""Keys of one transaction that are looked at, a table: more than that is much anyway."""


class ChangeCounts:
    """Counts rows by table; not durable: what a front end had not written down when it died was not counted."""

    def __init__(self) -> None:
        self._counts: Counter[int] = Counter()

    def note(self, txn: KvTransaction, tables: Iterable[TableInfo]) -> None:
        """Count the rows that a committed transaction wrote."""
        for info in tables:
            prefixes = [record_prefix(physical_id) for physical_id in info.physical_ids]
            written = chain.from_iterable(txn.buffer.items(prefix, prefix_next(prefix)) for prefix in prefixes)
            rows = sum(1 for _ in islice(written, MOST_COUNTED))
            if rows:
                self._counts[info.table_id] += rows

    def add(self, table_id: int, rows: int) -> None:
        """Count rows that came another way, such as an import."""
        self._counts[table_id] += rows

    def take(self) -> dict[int, int]:
        """What was counted, which is forgotten here."""
        taken = dict(self._counts)
        self._counts.clear()
        return taken

    def give_back(self, counts: dict[int, int]) -> None:
        """What could not be written down."""
        self._counts.update(counts)
