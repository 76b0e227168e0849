"""What is asked of the mirror's bases, as something to remember an answer by (`warm_relations`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from rutile_kv.columnar.mirror import RegionData, TableRequest
from rutile_kv.columnar.sorted_keys import KeyRange

Part: TypeAlias = tuple[RegionData, TableRequest]
"""A region, and what a scan reads there."""


@dataclass(frozen=True, slots=True)
class RelationKey:
    """What is asked of the bases."""

    layout: int
    """The version of the tables' layout, which they share."""
    columns: tuple[tuple[int, str], ...]
    uses: str
    """The conditions, spelled out: 1 and 1.0 are different bounds."""
    ranges: tuple[tuple[int, int, tuple[KeyRange, ...]], ...]
    """Those wanted of each region and table, by their ids."""


def key_of(parts: Sequence[Part]) -> RelationKey:
    """The key of a scan's parts, of which there is at least one: their requests differ only in tables and ranges."""
    request = parts[0][1]
    columns = tuple(zip(request.column_ids, request.columns, strict=True))
    wanted = tuple((data.region.id, each.schema.table_id, tuple(each.ranges)) for data, each in parts)
    return RelationKey(request.schema.layout_version, columns, repr(request.uses), wanted)
