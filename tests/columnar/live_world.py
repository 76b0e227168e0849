"""A table with a base, and readers of what becomes of it."""

from dataclasses import dataclass, field

import pyarrow.compute as pc
from mirror_world import ALL_COLUMNS, WHOLE, MirrorWorld, Row, View, requests_of

from rutile_coprocessor.pruning import Bounds
from rutile_kv.columnar.mirror import MirrorReader
from rutile_kv.server.warm_relations import Loaded, WarmRelations

ROWS = 40


@dataclass
class Table:
    """Forty rows in a base, and a reader of what becomes of them."""

    few_rows: int = 0
    world: MirrorWorld = field(default_factory=MirrorWorld)
    clock: int = 20

    def __post_init__(self) -> None:
        self.mirror = MirrorReader(self.world.cache, keeps=False)
        self.relations = WarmRelations(1 << 20, self.few_rows)
        self.world.bulk(10, {handle: (f"cat {handle % 3}", handle) for handle in range(ROWS)})
        for _ in range(3):
            self.read()

    def write(self, handle: int, row: Row | None) -> None:
        self.clock += 10
        self.world.write(handle, self.clock, row)

    def read(
        self,
        view: View | None = None,
        uses: tuple[tuple[Bounds, ...], ...] = (),
        ranges: tuple[tuple[bytes, bytes], ...] = WHOLE,
    ) -> Loaded:
        seen = view or self.world.view()
        parts = requests_of(seen, self.clock + 5, ALL_COLUMNS, ranges, uses)
        return self.relations.load(self.mirror, parts, seen.schema.arrow_schema(ALL_COLUMNS), lambda size_bytes: None)

    def legs(self, view: View | None = None) -> list[object]:
        """By the order of the handles."""
        source = self.read(view).source
        table = source.table if source.live is None else source.table.filter(pc.field(source.live.column).is_valid())
        return [row["legs"] for row in sorted(table.to_pylist(), key=lambda row: row[ALL_COLUMNS[2]])]
