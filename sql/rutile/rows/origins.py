"""Where a result's column comes from: the table's column that it is unchanged, with what clients are told of it.

Clients use it: drivers that update rows through result sets look for tables and keys, tools show them. The traits are
those of MySQL's column flags that only the table knows; those of the type are `rutile.mysql.columns`' business.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntFlag

from rutile.rows.access import TableAccess


class Trait(IntFlag):
    """What a table says of its column; the numbers are MySQL's flags."""

    NOT_NULL = 1
    PRIMARY_KEY = 1 << 1
    UNIQUE_KEY = 1 << 2
    """A unique index of this column alone."""
    MULTIPLE_KEY = 1 << 3
    """The first column of any other index."""
    AUTO_INCREMENT = 1 << 9
    NO_DEFAULT = 1 << 12
    """NOT NULL, and INSERT has to name it."""
    ON_UPDATE = 1 << 13
    PART_OF_KEY = 1 << 14


@dataclass(frozen=True, slots=True)
class Origin:
    """A table's column, and under which name the statement had the table."""

    database: str
    table: str
    alias: str
    column: str
    traits: Trait


def origin_of(table: TableAccess, position: int, alias: str) -> Origin:
    """The origin of a result column that is the column at `position`."""
    schema, column = table.schema, table.schema.columns[position]
    traits = Trait(0) if column.nullable else Trait.NOT_NULL
    if column.auto_increment:
        traits |= Trait.AUTO_INCREMENT
    if column.on_update_sql:
        traits |= Trait.ON_UPDATE
    if not column.nullable and column.default is None and not column.default_sql and not column.auto_increment:
        traits |= Trait.NO_DEFAULT
    return Origin(schema.database, schema.name, alias, column.name, traits | _key_traits(table, position))


def _key_traits(table: TableAccess, position: int) -> Trait:
    traits = Trait(0)
    if not table.is_hidden and position in table.key_positions:
        traits |= Trait.PRIMARY_KEY | Trait.PART_OF_KEY
    for index in table.indexes:
        if not index.info.is_public or position not in index.positions:
            continue
        traits |= Trait.PART_OF_KEY
        if index.positions[0] == position:
            traits |= Trait.UNIQUE_KEY if index.info.unique and len(index.positions) == 1 else Trait.MULTIPLE_KEY
    return traits
